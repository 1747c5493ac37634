# frozen_string_literal: true

require "google/protobuf/well_known_types"
require "google/rpc/error_details_pb"
require "google/rpc/status_pb"
require "grpc"

module Standpipe
  # What a failed call tells: its status, and the google.rpc details that came with it.
  class CallError < StandardError
    STATUS_NAMES = GRPC::Core::StatusCodes.constants.to_h do |name|
      [GRPC::Core::StatusCodes.const_get(name), name.to_s]
    end.freeze
    private_constant :STATUS_NAMES

    # The gRPC status, an Integer of GRPC::Core::StatusCodes.
    attr_reader :code

    # What the server, or the way to it, says, without the status and the fields that #message has.
    attr_reader :details

    # For programs: "LIMIT_EXCEEDED", "QUEUE_FULL"; empty where no server answered.
    attr_reader :reason

    # Who gave the reason: "standpipe", or what stands between.
    attr_reader :domain

    # What the reason is about, such as the model's name and the request id; a Hash of Strings.
    attr_reader :metadata

    # What is wrong with which field of the request, by its path: {"texts[3]" => "…"}.
    attr_reader :fields

    # Seconds after which a retry is worth while, a Float; nil where none is.
    attr_reader :retry_after

    # Reads the GRPC::BadStatus that gRPC raised. Details that can't be read count as none.
    def self.of(error)
      new(error)
    end

    def initialize(error)
      @code = error.code
      @details = error.details
      @reason = @domain = ""
      @metadata = {}
      @fields = {}
      error.to_rpc_status&.details&.each { |detail| read(detail) }
      super(["#{status}: #{details}", *fields.map { |field, problem| "#{field}: #{problem}" }].join("; "))
    end

    # The name of the status, such as "INVALID_ARGUMENT".
    def status
      STATUS_NAMES.fetch(code, "UNKNOWN")
    end

    private

    def read(detail)
      if (info = detail.unpack(Google::Rpc::ErrorInfo))
        @reason = info.reason
        @domain = info.domain
        @metadata = info.metadata.to_h
      elsif (bad = detail.unpack(Google::Rpc::BadRequest))
        @fields = bad.field_violations.to_h { |violation| [violation.field, violation.description] }
      elsif (retried = detail.unpack(Google::Rpc::RetryInfo))
        @retry_after = retried.retry_delay.to_f
      end
    rescue Google::Protobuf::ParseError
      # What stands between may garble details: the status is what counts.
    end
  end
end
