#include "standpipe/client.h"

#include <stdexcept>

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "service_config.h"
#include "target.h"

namespace standpipe {
namespace {

// A lone server says itself why it doesn't answer; and a lone proxy isn't ill because one of its servers is.
std::string ServiceConfig(bool choice) {
  google::protobuf::Struct config;
  const auto read = google::protobuf::util::JsonStringToMessage(kServiceConfig, &config);
  if (!read.ok()) throw std::logic_error("service_config.json isn't JSON: " + read.ToString());
  if (!choice) config.mutable_fields()->erase("healthCheckConfig");
  std::string json;
  const auto written = google::protobuf::util::MessageToJsonString(config, &json);
  if (!written.ok()) throw std::logic_error(written.ToString());
  return json;
}

std::shared_ptr<grpc::Channel> Connect(const std::vector<std::string>& addresses,
                                       const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const bool choice = addresses.size() > 1;
  if (choice && credentials != nullptr) {
    // gRPC would hold every certificate against the whole list.
    throw std::invalid_argument("credentials go with one address: give a name that stands for all servers");
  }
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(ServiceConfig(choice));
  // What a request may hold that is sent again: gRPC's own 256 KiB is less than a picture.
  arguments.SetInt("grpc.per_rpc_retry_buffer_size", kMaxMessageBytes);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(Target(addresses), credentials ? credentials : grpc::InsecureChannelCredentials(),
                                   arguments);
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
