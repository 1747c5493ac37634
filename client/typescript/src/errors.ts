import { status as Status, type StatusObject } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo, RetryInfo } from "./protos/google/rpc/error_details.js";
import { Status as RpcStatus } from "./protos/google/rpc/status.js";

/** A call that the server, or the way to it, refused. */
export class CallError extends Error {
  override readonly name = "CallError";

  /** The gRPC status. */
  readonly code: Status;

  /** What the server says, for people; `message` has the code before it and the fields after it. */
  readonly details: string;

  /** For programs, from ErrorInfo: "LIMIT_EXCEEDED", "QUEUE_FULL"; empty where no server answered. */
  readonly reason: string;

  /** Who gave the reason: "standpipe", or what stands between. */
  readonly domain: string;

  /** What the reason is about, such as the model's name and the request id. */
  readonly metadata: Readonly<Record<string, string>>;

  /** What is wrong with which field of the request, by its path: `{ "texts[3]": "…" }`. */
  readonly fields: Readonly<Record<string, string>>;

  /** Milliseconds after which a retry is worth while; undefined where none is. */
  readonly retryAfter: number | undefined;

  /** @param status - As gRPC reports it. */
  constructor(status: StatusObject) {
    const [bytes] = status.metadata.get("grpc-status-details-bin");
    const details = (bytes instanceof Buffer && decoded(RpcStatus, bytes)?.details) || [];
    const read = <T>(type: Decoder<T>, name: string) => {
      const found = details.find((one) => one.typeUrl.endsWith(`/google.rpc.${name}`));
      return found && decoded(type, found.value);
    };

    const info = read(ErrorInfo, "ErrorInfo");
    const violations = read(BadRequest, "BadRequest")?.fieldViolations ?? [];
    const retry = read(RetryInfo, "RetryInfo");

    const where = violations.map(({ field, description }) => `; ${field}: ${description}`).join("");
    super(`${Status[status.code]}: ${status.details}${where}`);
    this.code = status.code;
    this.details = status.details;
    this.reason = info?.reason ?? "";
    this.domain = info?.domain ?? "";
    this.metadata = info?.metadata ?? {};
    this.fields = Object.fromEntries(violations.map(({ field, description }) => [field, description]));
    // A delay that is unset is none: at once.
    const { seconds, nanos } = retry?.retryDelay ?? { seconds: 0n, nanos: 0 };
    this.retryAfter = retry && Number(seconds) * 1_000 + nanos / 1_000_000;
  }
}

interface Decoder<T> {
  decode(bytes: Uint8Array): T;
}

/** A message; undefined where what stands between has garbled it: then the status is what counts. */
function decoded<T>(type: Decoder<T>, bytes: Uint8Array): T | undefined {
  try {
    return type.decode(bytes);
  } catch {
    return undefined;
  }
}
