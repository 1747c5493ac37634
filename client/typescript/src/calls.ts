import { Readable } from "node:stream";

import {
  type Client as Channel,
  type ClientDuplexStream,
  Metadata,
  status as Status,
  type StatusObject,
} from "@grpc/grpc-js";

import { CallError } from "./errors.js";

/** What a call may be given. */
export interface CallOptions {
  /** Milliseconds that the call may take, retries and the whole of a stream included; Infinity for no limit. */
  readonly timeout?: number;

  /** Ends the call when it is aborted: nothing more is received, and CallError says CANCELLED. */
  readonly signal?: AbortSignal;

  /** What the call carries besides its request, such as `{ "x-request-id": "…" }`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Some messages: an array, a generator, a stream of Node's. */
export type Stream<T> = Iterable<T> | AsyncIterable<T>;

/** A message some of whose fields are left out, at any depth; for a bigint, a number will do. */
export type DeepPartial<T> = T extends bigint
  ? bigint | number
  : T extends boolean | number | string | Uint8Array | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? readonly DeepPartial<Item>[]
      : { readonly [K in keyof T]?: DeepPartial<T[K]> };

/** What is generated for an RPC. */
export interface Method {
  readonly name: string;
  readonly requestType: MessageType;
  readonly requestStream: boolean;
  readonly responseType: MessageType;
  readonly responseStream: boolean;
}

/** What is generated for a service. */
export interface Service {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, Method>>;
}

// `any`, as the functions of each message take and give that message alone.
interface MessageType {
  encode(message: any): { finish(): Uint8Array };
  decode(bytes: Uint8Array): any;
  fromPartial(partial: any): any;
  fromJSON(json: any): any;
  toJSON(message: any): unknown;
}

type Request<M extends Method> = DeepPartial<ReturnType<M["requestType"]["fromPartial"]>>;
type Response<M extends Method> = ReturnType<M["responseType"]["decode"]>;
type Argument<M extends Method> = M["requestStream"] extends true ? Stream<Request<M>> : Request<M>;
type Result<M extends Method> = M["responseStream"] extends true
  ? AsyncGenerator<Response<M>, void, void>
  : Promise<Response<M>>;

/**
 * The RPCs of a service. Fields that a request leaves out are unset. A stream begins when it is read; leaving it
 * (`break`) cancels the call. What fails throws a CallError.
 */
export type ServiceClient<S extends Service> = {
  readonly [K in keyof S["methods"]]: (
    request: Argument<S["methods"][K]>,
    options?: CallOptions,
  ) => Result<S["methods"][K]>;
};

/** The RPCs of a service on a channel; `defaults` hold where a call doesn't say otherwise. */
export function bind<S extends Service>(
  service: S,
  channel: Channel,
  defaults: Required<Pick<CallOptions, "timeout" | "metadata">>,
): ServiceClient<S> {
  const calls = Object.entries(service.methods).map(([name, method]) => {
    const path = `/${service.fullName}/${method.name}`;
    const call = (request: unknown, { timeout = defaults.timeout, signal, metadata }: CallOptions = {}) => {
      const requests = (method.requestStream ? request : [request]) as Stream<unknown>;
      const begin = () =>
        channel.makeBidiStreamRequest(path, asIs, asIs, carried({ ...defaults.metadata, ...metadata }), {
          deadline: Date.now() + timeout,
        });
      const responses = exchange(begin, method, requests, signal);
      return method.responseStream ? responses : last(responses);
    };
    return [name, call];
  });
  return Object.fromEntries(calls) as ServiceClient<S>;
}

// Messages are encoded in `exchange`: gRPC would report one that can't be as if the server had failed (INTERNAL).
const asIs = (bytes: unknown) => bytes as Buffer;

/**
 * One call, whose messages are pulled: what isn't read yet makes the server wait.
 *
 * gRPC sends a stream of messages each way for every kind of RPC; for some both ends know that it holds one.
 */
async function* exchange(
  begin: () => ClientDuplexStream<unknown, Buffer>,
  method: Method,
  requests: Stream<unknown>,
  signal: AbortSignal | undefined,
): AsyncGenerator<unknown, void, void> {
  const call = begin();
  const sending = Readable.from(encode(method.requestType, requests));

  // Made where it is thrown, so that its stack tells who called.
  let failure: (() => Error) | undefined;
  const fail = (error: () => Error) => {
    failure ??= error;
    call.cancel();
  };
  const abort = () => fail(() => ended(Status.CANCELLED, "aborted by the caller"));
  call.on("status", (status: StatusObject) => {
    if (status.code !== Status.OK) fail(() => new CallError(status));
  });
  // The status has told what went wrong; but an error that nothing listens to would end the process.
  call.on("error", () => {});
  sending.on("error", (error) => fail(() => error));
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();

  try {
    sending.pipe(call);
    for await (const bytes of call) {
      if (signal?.aborted) break;
      yield method.responseType.decode(bytes);
    }
    if (failure) throw failure();
  } catch (error) {
    throw failure?.() ?? error;
  } finally {
    signal?.removeEventListener("abort", abort);
    call.cancel();
    sending.destroy();
  }
}

function carried(pairs: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(pairs)) metadata.set(key, value);
  return metadata;
}

async function* encode(type: MessageType, messages: Stream<unknown>): AsyncGenerator<Buffer, void, void> {
  for await (const message of messages) {
    const bytes = type.encode(type.fromPartial(message)).finish();
    yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** The one message of an answer; read to the end, where the status is. */
async function last(messages: AsyncIterable<unknown>): Promise<unknown> {
  let message: unknown;
  for await (message of messages);
  return message ?? Promise.reject(ended(Status.INTERNAL, "the server ended the call without an answer"));
}

function ended(code: Status, details: string): CallError {
  return new CallError({ code, details, metadata: new Metadata() });
}
