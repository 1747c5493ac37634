import { readFileSync } from "node:fs";
import { isIP } from "node:net";

import { Client as Channel, type ChannelCredentials, credentials } from "@grpc/grpc-js";

import { bind, type CallOptions, type ServiceClient } from "./calls.js";
import {
  AudioServiceDefinition,
  GenerationServiceDefinition,
  ImageGenerationServiceDefinition,
  ModelServiceDefinition,
  TextServiceDefinition,
  TokenizerServiceDefinition,
  VisionServiceDefinition,
} from "./protos/index.standpipe.v1.js";

/** Largest message that a client takes or sends; as large as a server takes unless configured. */
const MAX_MESSAGE_BYTES = 64 << 20;

const SERVICE_CONFIG = readFileSync(new URL("service_config.json", import.meta.url), "utf8");

/** What is generated for each service, by its name in a Client. */
export const services = {
  text: TextServiceDefinition,
  generation: GenerationServiceDefinition,
  vision: VisionServiceDefinition,
  audio: AudioServiceDefinition,
  imageGeneration: ImageGenerationServiceDefinition,
  tokenizers: TokenizerServiceDefinition,
  models: ModelServiceDefinition,
} as const;

/** A connection to one or several servers, and what can be called on it. */
export type Client = { readonly [K in keyof typeof services]: ServiceClient<(typeof services)[K]> } & {
  /** Closes the connection. Calls that are under way end first. */
  close(): void;
};

/** How to connect, and the options of calls that give none of their own. */
export interface ConnectOptions extends Pick<CallOptions, "timeout" | "metadata"> {
  /** Default: plain text. */
  readonly credentials?: ChannelCredentials;
}

/**
 * Connects to servers when the first call needs it.
 *
 * Calls are spread over all of them, and repeated after UNAVAILABLE with growing pauses.
 *
 * @param addresses - `host:port`, or several of which each host is an IP address. One that is a name may stand for
 *   several addresses.
 * @param options - A call's timeout is 60,000 ms unless said otherwise.
 */
export function connect(addresses: string | readonly string[], options: ConnectOptions = {}): Client {
  const { credentials: secret = credentials.createInsecure(), timeout = 60_000, metadata = {} } = options;
  const list = [addresses].flat();
  if (list.length > 1 && options.credentials) {
    // gRPC would hold every certificate against the first address.
    throw new TypeError("credentials go with one address: give a name that stands for all servers");
  }
  const channel = new Channel(target(list), secret, {
    "grpc.service_config": SERVICE_CONFIG,
    // Else a TXT record beside a host's name could replace ours.
    "grpc.service_config_disable_resolution": 1,
    // What may be sent again, of one request and of all together: gRPC's own 1 MiB is less than a picture.
    "grpc.per_rpc_retry_buffer_size": MAX_MESSAGE_BYTES,
    "grpc.retry_buffer_size": 4 * MAX_MESSAGE_BYTES,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  });
  const clients = Object.entries(services).map(([name, service]) => [
    name,
    bind(service, channel, { timeout, metadata }),
  ]);
  return { ...Object.fromEntries(clients), close: () => channel.close() } as Client;
}

/** Addresses as gRPC reads them. */
function target(addresses: readonly string[]): string {
  const [first] = addresses;
  if (first === undefined) throw new TypeError("no address: give host:port");
  if (addresses.length === 1) return first;
  const families = new Set(addresses.map((address) => isIP(address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1"))));
  const [family] = families;
  if (!family || families.size > 1) {
    throw new TypeError(
      `several addresses must all be IPv4 or all IPv6, and these aren't: ${addresses.join(", ")}. ` +
        "A name that stands for several addresses can be given alone.",
    );
  }
  return `ipv${family}:${addresses.join(",")}`;
}
