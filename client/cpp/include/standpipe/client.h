// The way to one or several Standpipe servers.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "standpipe/call_error.h"
#include "standpipe/v1/audio.grpc.pb.h"
#include "standpipe/v1/generation.grpc.pb.h"
#include "standpipe/v1/image_generation.grpc.pb.h"
#include "standpipe/v1/models.grpc.pb.h"
#include "standpipe/v1/text.grpc.pb.h"
#include "standpipe/v1/tokenizers.grpc.pb.h"
#include "standpipe/v1/vision.grpc.pb.h"

namespace standpipe {

/// Largest message in bytes that a client takes or sends; as large as a server takes unless configured.
inline constexpr int kMaxMessageBytes = 64 << 20;

/// Typed stubs of all services on one channel. Calls are spread over the servers, those that are going down are
/// passed by, and UNAVAILABLE is retried with growing pauses. Safe to share between threads; closed when destroyed.
class Client {
 public:
  /// Connects at the first call.
  ///
  /// @param addresses One gRPC target as it is ("host:port", "dns:///host:port", "unix:path"), whose name gRPC looks
  ///     up again when servers are lost; or several "host:port" (IPv6 in brackets), whose names are looked up here,
  ///     once: all of them must have IPv4 addresses, or all of them IPv6 addresses.
  /// @param credentials Of the channel, for one address only; plain text where null.
  /// @throws std::invalid_argument No address, credentials for several, one of several that isn't host:port, or names that can't be looked up.
  explicit Client(const std::vector<std::string>& addresses,
                  const std::shared_ptr<grpc::ChannelCredentials>& credentials = nullptr);

  v1::TextService::Stub& text() const { return *text_; }
  v1::GenerationService::Stub& generation() const { return *generation_; }
  v1::VisionService::Stub& vision() const { return *vision_; }
  v1::AudioService::Stub& audio() const { return *audio_; }
  v1::ImageGenerationService::Stub& image_generation() const { return *image_generation_; }
  v1::TokenizerService::Stub& tokenizers() const { return *tokenizers_; }
  v1::ModelService::Stub& models() const { return *models_; }

  /// For stubs of other services, such as gRPC's own health service.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TextService::Stub> text_;
  std::unique_ptr<v1::GenerationService::Stub> generation_;
  std::unique_ptr<v1::VisionService::Stub> vision_;
  std::unique_ptr<v1::AudioService::Stub> audio_;
  std::unique_ptr<v1::ImageGenerationService::Stub> image_generation_;
  std::unique_ptr<v1::TokenizerService::Stub> tokenizers_;
  std::unique_ptr<v1::ModelService::Stub> models_;
};

/// The context of one call, with a deadline.
class CallContext : public grpc::ClientContext {
 public:
  /// @param timeout How long the call may take from now, retries included; of a stream, all of it.
  explicit CallContext(std::chrono::milliseconds timeout = std::chrono::minutes(1)) {
    set_deadline(std::chrono::system_clock::now() + timeout);
  }
};

/// Throws a CallError where a call failed.
inline void Check(const grpc::Status& status) {
  if (!status.ok()) throw CallError(status);
}

/// Makes a unary call: Call(client.text(), &v1::TextService::Stub::EmbedText, request).
///
/// @param timeout How long the call may take, retries included.
/// @throws CallError The call failed.
template <typename Stub, typename Request, typename Response>
Response Call(Stub& stub, grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
              const Request& request, std::chrono::milliseconds timeout = std::chrono::minutes(1)) {
  CallContext context(timeout);
  Response response;
  Check((stub.*rpc)(&context, request, &response));
  return response;
}

}  // namespace standpipe
