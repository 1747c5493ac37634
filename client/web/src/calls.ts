import type {
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { type AnyClient, type CallOptions, createClient, makeAnyClient, type Transport } from "@connectrpc/connect";

import { CallError } from "./errors.js";

type Callable = DescMethodUnary | DescMethodServerStreaming;

type Call<M extends DescMethod> = (
  request: MessageInitShape<M["input"]>,
  options?: CallOptions,
) => M extends DescMethodUnary ? Promise<MessageShape<M["output"]>> : AsyncIterable<MessageShape<M["output"]>>;

/**
 * The RPCs of a service; those that take a stream of requests are missing, as browsers can't send one.
 *
 * They throw CallError. A stream is called when it is first read from, and cancelled when its reader leaves the loop; it
 * can be read once.
 */
export type Calls<S extends DescService> = {
  readonly [P in keyof S["method"] as S["method"][P] extends Callable ? P : never]: Call<S["method"][P]>;
};

/** The RPCs of a service on a transport. */
export function createCalls<S extends DescService>(service: S, transport: Transport): Calls<S> {
  const client: AnyClient = createClient(service, transport);
  const made = makeAnyClient(service, ({ methodKind, localName }) => WAYS[methodKind]?.(client[localName]) ?? null);
  return made as Calls<S>;
}

// What Connect's client makes of a method, of whichever type, and what is made of that here.
type AnyCall = AnyClient[string] | undefined;

const WAYS: Partial<Record<DescMethod["methodKind"], (call: AnyCall) => AnyCall>> = {
  unary: (call) => async (request: unknown, options?: CallOptions) => {
    try {
      return await call?.(request, options);
    } catch (error) {
      throw CallError.from(error);
    }
  },
  // Connect's own iterables don't learn that their reader has left: the model would go on for nobody.
  server_streaming: (call) =>
    async function* (request: unknown, options?: CallOptions) {
      const reader = new AbortController();
      const signal = AbortSignal.any([reader.signal, ...(options?.signal ? [options.signal] : [])]);
      try {
        yield* call?.(request, { ...options, signal });
      } catch (error) {
        throw CallError.from(error);
      } finally {
        reader.abort();
      }
    },
};
