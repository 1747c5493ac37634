import { createGrpcWebTransport, type GrpcWebTransportOptions } from "@connectrpc/connect-web";

import { AudioService } from "#gen/standpipe/v1/audio_pb.js";
import { GenerationService } from "#gen/standpipe/v1/generation_pb.js";
import { ImageGenerationService } from "#gen/standpipe/v1/image_generation_pb.js";
import { ModelService } from "#gen/standpipe/v1/models_pb.js";
import { TextService } from "#gen/standpipe/v1/text_pb.js";
import { TokenizerService } from "#gen/standpipe/v1/tokenizers_pb.js";
import { VisionService } from "#gen/standpipe/v1/vision_pb.js";

import { type Calls, createCalls } from "./calls.js";

export type { Calls } from "./calls.js";
export { CallError, type StatusCode } from "./errors.js";
export * from "#gen/standpipe/v1/audio_pb.js";
export * from "#gen/standpipe/v1/common_pb.js";
export * from "#gen/standpipe/v1/generation_pb.js";
export * from "#gen/standpipe/v1/image_generation_pb.js";
export * from "#gen/standpipe/v1/models_pb.js";
export * from "#gen/standpipe/v1/text_pb.js";
export * from "#gen/standpipe/v1/tokenizers_pb.js";
export * from "#gen/standpipe/v1/vision_pb.js";

/** What a client is made of: the services by the names that it has for them. */
export const services = {
  text: TextService,
  generation: GenerationService,
  vision: VisionService,
  audio: AudioService,
  imageGeneration: ImageGenerationService,
  tokenizers: TokenizerService,
  models: ModelService,
} as const;

/** All services, typed. */
export type Standpipe = { readonly [Name in keyof typeof services]: Calls<(typeof services)[Name]> };

/** How to connect: interceptors (credentials in a header, for one), and `defaultTimeoutMs`, 60,000 unless given. */
export type Options = Omit<GrpcWebTransportOptions, "baseUrl" | "useBinaryFormat">;

/**
 * A client of the servers behind a proxy that speaks gRPC-Web, such as Envoy with deploy/envoy.yaml. There is nothing to
 * close: connections are the browser's.
 *
 * @param url Of the proxy: "https://models.example.com".
 */
export function connect(url: string, options: Options = {}): Standpipe {
  const transport = createGrpcWebTransport({ defaultTimeoutMs: 60_000, ...options, baseUrl: url });
  const calls = Object.entries(services).map(([name, service]) => [name, createCalls(service, transport)]);
  return Object.fromEntries(calls) as Standpipe;
}
