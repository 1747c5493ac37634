# frozen_string_literal: true

Gem::Specification.new do |spec|
  spec.name = "standpipe"
  spec.version = "0.1.0"
  spec.summary = "Client of Standpipe, typed gRPC inference for Hugging Face pipelines"
  spec.authors = ["The Standpipe authors"]
  spec.license = "Apache-2.0"
  spec.required_ruby_version = ">= 3.0"
  # `make` writes the code of the protos to build/lib.
  spec.files = Dir["lib/**/*.rb", "build/lib/**/*.rb", "README.md", base: __dir__]
  spec.require_paths = ["lib", "build/lib"]
  # The code of the protos fits the minor version of protobuf that wrote it.
  spec.add_dependency "google-protobuf", "~> 3.21.12"
  spec.add_dependency "googleapis-common-protos-types", "~> 1.4"
  spec.add_dependency "grpc", "~> 1.51"
end
