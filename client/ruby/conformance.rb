# frozen_string_literal: true

# The Ruby client's conformance runner: conformance TARGET CASES; tests/conformance/README.md says what it reads and
# writes.

require "json"
require "standpipe"

# A case, and what came of it.
class Case
  def initialize(row)
    @row = row
    @messages = []
  end

  # Makes the call, and tells the line's fields.
  def report(client)
    run(client)
    line("OK", nil)
  rescue GRPC::BadStatus => e
    error = Standpipe::CallError.of(e)
    line(error.status, describe(error))
  rescue StandardError => e
    line("RUNNER_FAILED", { message: "#{e.class}: #{e.message}" })
  end

  private

  def run(client)
    name, service = Standpipe::Client::SERVICES.find { |_, one| one::Service.service_name == @row.fetch("service") }
    raise ArgumentError, "no service #{@row['service']}" unless service

    rpc = service::Service.rpc_descs.fetch(@row.fetch("method").to_sym)
    call = GRPC::GenericService.underscore(@row["method"]).to_sym
    operation = client.public_send(name).public_send(call, argument(rpc.input), options)
    receive(operation, rpc.output.is_a?(GRPC::RpcDesc::Stream))
  end

  # What the stub takes: a message, or all of a stream.
  def argument(input)
    streamed = input.is_a?(GRPC::RpcDesc::Stream)
    type = streamed ? input.type : input
    requests = @row.fetch("requests").map { |request| type.decode_json(JSON.generate(request)) }
    streamed ? requests : requests.first
  end

  def options
    { metadata: @row.fetch("metadata"), deadline: Time.now + @row.fetch("timeout"), return_op: true }
  end

  def receive(operation, streamed)
    result = operation.execute
    (streamed ? result : [result]).each do |message|
      @messages << JSON.parse(message.to_json)
      operation.cancel if @messages.size == @row["cancel_after"]
    end
  end

  def line(status, error)
    { name: @row["name"], status: status, messages: @messages, error: error }
  end

  def describe(error)
    {
      message: error.details,
      reason: error.reason,
      domain: error.domain,
      metadata: error.metadata,
      fields: error.fields,
      retry_after: error.retry_after
    }
  end
end

abort "usage: conformance TARGET CASES" unless ARGV.size == 2

$stdout.sync = true
Standpipe::Client.open(ARGV[0]) do |client|
  JSON.parse(File.read(ARGV[1], encoding: "UTF-8")).each do |row|
    # In ASCII, as some readers take U+2028 for the end of a line.
    puts JSON.generate(Case.new(row).report(client), ascii_only: true)
  end
end
