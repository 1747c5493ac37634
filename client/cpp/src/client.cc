#include "standpipe/client.h"

#include "service_config.h"
#include "target.h"

namespace standpipe {
namespace {

std::shared_ptr<grpc::Channel> Connect(const std::vector<std::string>& addresses,
                                       const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  // What a request may hold that is sent again: gRPC's own 256 KiB is less than a picture.
  arguments.SetInt("grpc.per_rpc_retry_buffer_size", kMaxMessageBytes);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(Target(addresses), credentials, arguments);
}

}  // namespace

Client::Client(const std::vector<std::string>& addresses, const std::shared_ptr<grpc::ChannelCredentials>& credentials)
    : channel_(Connect(addresses, credentials)),
      text_(v1::TextService::NewStub(channel_)),
      generation_(v1::GenerationService::NewStub(channel_)),
      vision_(v1::VisionService::NewStub(channel_)),
      audio_(v1::AudioService::NewStub(channel_)),
      image_generation_(v1::ImageGenerationService::NewStub(channel_)),
      tokenizers_(v1::TokenizerService::NewStub(channel_)),
      models_(v1::ModelService::NewStub(channel_)) {}

}  // namespace standpipe
