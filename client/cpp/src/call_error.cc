#include "standpipe/call_error.h"

#include <array>

#include <google/protobuf/util/time_util.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace standpipe {
namespace {

// In the order of their numbers; gRPC C++ has no such list.
constexpr std::array<const char*, 17> kStatusNames = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

}  // namespace

std::string StatusName(grpc::StatusCode code) {
  const auto number = static_cast<std::size_t>(code);
  return number < kStatusNames.size() ? kStatusNames[number] : "UNKNOWN";
}

CallError::CallError(const grpc::Status& status)
    : code(status.error_code()),
      message(status.error_message()),
      text_(StatusName(status.error_code()) + ": " + status.error_message()) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return;
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad;
  google::rpc::RetryInfo retry;
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&info)) {
      reason = info.reason();
      domain = info.domain();
      metadata = {info.metadata().begin(), info.metadata().end()};
    } else if (detail.UnpackTo(&bad)) {
      for (const auto& violation : bad.field_violations()) fields[violation.field()] = violation.description();
    } else if (detail.UnpackTo(&retry)) {
      const auto delay = google::protobuf::util::TimeUtil::DurationToNanoseconds(retry.retry_delay());
      retry_after = std::chrono::nanoseconds(delay);
    }
  }
  for (const auto& [field, problem] : fields) text_ += "; " + field + ": " + problem;
}

}  // namespace standpipe
