# frozen_string_literal: true

# The client of Standpipe, typed gRPC inference for Hugging Face pipelines.
module Standpipe
end

require "standpipe/call_error"
require "standpipe/client"
