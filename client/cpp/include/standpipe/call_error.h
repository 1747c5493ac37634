// What a failed call tells.
#pragma once

#include <chrono>
#include <exception>
#include <map>
#include <optional>
#include <string>

#include <grpcpp/support/status.h>

namespace standpipe {

/// A call that the server, or the way to it, refused: its status, and the google.rpc details that came with it.
/// A value to look at, and an exception for those who throw.
class CallError : public std::exception {
 public:
  /// Reads a status that isn't OK. Details that can't be read count as none.
  explicit CallError(const grpc::Status& status);

  /// The gRPC status.
  grpc::StatusCode code;

  /// For people.
  std::string message;

  /// For programs: "LIMIT_EXCEEDED", "QUEUE_FULL"; empty where no server answered.
  std::string reason;

  /// Who gave the reason: "standpipe", or what stands between.
  std::string domain;

  /// What the reason is about, such as the model's name and the request id.
  std::map<std::string, std::string> metadata;

  /// What is wrong with which field of the request, by its path: {"texts[3]", "…"}.
  std::map<std::string, std::string> fields;

  /// After how long a retry is worth while; empty where none is.
  std::optional<std::chrono::nanoseconds> retry_after;

  /// The status, the message and the fields in one line.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// A status by its name, such as "INVALID_ARGUMENT"; "UNKNOWN" for a code that gRPC doesn't have.
std::string StatusName(grpc::StatusCode code);

}  // namespace standpipe
