# frozen_string_literal: true

require "grpc"
require "json"
require "standpipe/service_config"
require "standpipe/target"
require "standpipe/v1/audio_services_pb"
require "standpipe/v1/generation_services_pb"
require "standpipe/v1/image_generation_services_pb"
require "standpipe/v1/models_services_pb"
require "standpipe/v1/text_services_pb"
require "standpipe/v1/tokenizers_services_pb"
require "standpipe/v1/vision_services_pb"

module Standpipe
  # Typed stubs of all services on one channel. Calls are spread over the servers, those that are going down are
  # passed by, and UNAVAILABLE is retried with growing pauses. Safe to share between threads.
  class Client
    # Largest message in bytes that a client takes or sends; as large as a server takes unless configured.
    MAX_MESSAGE_BYTES = 64 << 20

    # The reader of each service, and the service.
    SERVICES = {
      text: V1::TextService,
      generation: V1::GenerationService,
      vision: V1::VisionService,
      audio: V1::AudioService,
      image_generation: V1::ImageGenerationService,
      tokenizers: V1::TokenizerService,
      models: V1::ModelService
    }.freeze

    CHANNEL_ARGS = {
      # What a request may hold that is sent again: gRPC's own 256 KiB is less than a picture.
      "grpc.per_rpc_retry_buffer_size" => MAX_MESSAGE_BYTES,
      "grpc.max_receive_message_length" => MAX_MESSAGE_BYTES,
      "grpc.max_send_message_length" => MAX_MESSAGE_BYTES
    }.freeze
    private_constant :CHANNEL_ARGS

    # Without health checks for one address: a lone server says itself why it doesn't answer, and a lone proxy isn't
    # ill because one of its servers is.
    CONFIG_OF_ONE = JSON.generate(JSON.parse(SERVICE_CONFIG).except("healthCheckConfig")).freeze
    private_constant :CONFIG_OF_ONE

    # Yields a client that is closed after the block, whose value is returned.
    def self.open(*addresses, **options)
      client = new(*addresses, **options)
      begin
        yield client
      ensure
        client.close
      end
    end

    # Connects at the first call.
    #
    # addresses::   One gRPC target as it is ("host:port", "dns:///host:port", "unix:path"), whose name gRPC looks up
    #               again when servers are lost; or several "host:port" (IPv6 in brackets), whose names are looked up
    #               here, once: all of them must have IPv4 addresses, or all of them IPv6 addresses.
    # credentials:: A GRPC::Core::ChannelCredentials, for one address only; plain text unless given.
    # timeout::     Seconds that a call may take, retries included, unless it is given a deadline: of its own.
    #
    # Raises ArgumentError for no address, credentials for several, one of several that isn't host:port, or names that can't be looked up.
    def initialize(*addresses, credentials: :this_channel_is_insecure, timeout: 60)
      several = addresses.size > 1
      if several && credentials != :this_channel_is_insecure
        raise ArgumentError, "credentials go with one address: give a name that stands for all servers"
      end

      target = Target.of(addresses)
      # A new hash: gRPC changes the arguments that it is given.
      arguments = CHANNEL_ARGS.merge("grpc.service_config" => several ? SERVICE_CONFIG : CONFIG_OF_ONE)
      @channel = GRPC::ClientStub.setup_channel(nil, target, credentials, arguments)
      @stubs = SERVICES.transform_values do |service|
        service::Stub.new(target, credentials, channel_override: @channel, timeout: timeout)
      end
    end

    SERVICES.each_key { |name| define_method(name) { @stubs.fetch(name) } }

    # Ends the connections. Calls fail from here on.
    def close
      @channel.close
    end
  end
end
