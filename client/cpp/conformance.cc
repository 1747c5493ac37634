// The C++ client's conformance runner: conformance TARGET CASES; tests/conformance/README.md says what it reads
// and writes.
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <standpipe/client.h>

namespace {

namespace pb = google::protobuf;
using MessageStub = grpc::TemplatedGenericStub<pb::Message, pb::Message>;
using MessagePtr = std::unique_ptr<pb::Message>;

std::string ToJson(const pb::Message& message) {
  std::string json;
  const auto status = pb::util::MessageToJsonString(message, &json);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  return json;
}

void FromJson(const std::string& json, pb::Message* message) {
  const auto status = pb::util::JsonStringToMessage(json, message);
  if (!status.ok()) throw std::invalid_argument(status.ToString());
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("can't read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

const pb::Value& Get(const pb::Struct& object, const std::string& key) {
  const auto found = object.fields().find(key);
  if (found == object.fields().end()) throw std::invalid_argument("the case has no " + key);
  return found->second;
}

pb::Value Text(const std::string& text) {
  pb::Value value;
  value.set_string_value(text);
  return value;
}

pb::Value Null() {
  pb::Value value;
  value.set_null_value(pb::NULL_VALUE);
  return value;
}

template <typename Map>
pb::Value Object(const Map& texts) {
  pb::Value value;
  auto& fields = *value.mutable_struct_value()->mutable_fields();
  for (const auto& [key, text] : texts) fields[key] = Text(text);
  return value;
}

// What a case's line says of an error.
pb::Value Error(const standpipe::CallError& error) {
  pb::Value value;
  auto& fields = *value.mutable_struct_value()->mutable_fields();
  fields["message"] = Text(error.message);
  fields["reason"] = Text(error.reason);
  fields["domain"] = Text(error.domain);
  fields["metadata"] = Object(error.metadata);
  fields["fields"] = Object(error.fields);
  fields["retry_after"] = Null();
  if (error.retry_after) {
    fields["retry_after"].set_number_value(std::chrono::duration<double>(*error.retry_after).count());
  }
  return value;
}

const pb::MethodDescriptor& FindMethod(const std::string& service, const std::string& method) {
  const auto* found = pb::DescriptorPool::generated_pool()->FindMethodByName(service + "." + method);
  if (found == nullptr) throw std::invalid_argument("no method " + service + "." + method);
  return *found;
}

MessagePtr NewMessage(const pb::Descriptor* type) {
  return MessagePtr(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

std::vector<MessagePtr> Requests(const pb::Struct& row, const pb::MethodDescriptor& method) {
  std::vector<MessagePtr> requests;
  for (const auto& json : Get(row, "requests").list_value().values()) {
    requests.push_back(NewMessage(method.input_type()));
    FromJson(ToJson(json), requests.back().get());
  }
  return requests;
}

// Waits for the one operation that is under way, and says whether it went through.
bool Await(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

// Makes a case's call. On the wire every call is a stream of requests and one of responses, most of them of one
// message, so that all kinds of RPCs go one way.
grpc::Status Run(MessageStub& stub, const pb::Struct& row, pb::ListValue* messages) {
  const auto& method = FindMethod(Get(row, "service").string_value(), Get(row, "method").string_value());
  const auto requests = Requests(row, method);
  const std::chrono::duration<double> timeout(Get(row, "timeout").number_value());
  standpipe::CallContext context(std::chrono::duration_cast<std::chrono::milliseconds>(timeout));
  for (const auto& [key, value] : Get(row, "metadata").struct_value().fields()) {
    context.AddMetadata(key, value.string_value());
  }
  // 0 for null: there is no such message.
  const auto cancel_after = static_cast<int>(Get(row, "cancel_after").number_value());

  grpc::CompletionQueue queue;
  const std::string path = "/" + method.service()->full_name() + "/" + method.name();
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  Await(queue);
  for (const auto& request : requests) {
    call->Write(*request, nullptr);
    if (!Await(queue)) break;  // The server has ended the call; its status comes below.
  }
  call->WritesDone(nullptr);
  Await(queue);
  const auto response = NewMessage(method.output_type());
  for (call->Read(response.get(), nullptr); Await(queue); call->Read(response.get(), nullptr)) {
    FromJson(ToJson(*response), messages->add_values());
    if (messages->values_size() == cancel_after) context.TryCancel();
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  Await(queue);
  return status;
}

// A case's line.
pb::Struct Report(MessageStub& stub, const pb::Struct& row) {
  pb::Struct line;
  auto& fields = *line.mutable_fields();
  fields["name"] = Get(row, "name");
  try {
    const auto status = Run(stub, row, fields["messages"].mutable_list_value());
    fields["status"] = Text(standpipe::StatusName(status.error_code()));
    fields["error"] = status.ok() ? Null() : Error(standpipe::CallError(status));
  } catch (const std::exception& error) {
    const grpc::Status reason(grpc::StatusCode::UNKNOWN, error.what());
    fields["status"] = Text("RUNNER_FAILED");
    fields["error"] = Error(standpipe::CallError(reason));
  }
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: conformance TARGET CASES\n";
    return 2;
  }
  try {
    const standpipe::Client client({argv[1]});
    MessageStub stub(client.channel());
    pb::ListValue cases;
    FromJson(ReadFile(argv[2]), &cases);
    for (const auto& row : cases.values()) std::cout << ToJson(Report(stub, row.struct_value())) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "conformance: " << error.what() << '\n';
    return 1;
  }
}
