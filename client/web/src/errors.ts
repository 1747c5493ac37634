import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.js";

const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** Name of a gRPC status. */
export type StatusCode = (typeof CODES)[number];

/** A call that the server, or the way to it, refused. */
export class CallError extends Error {
  override readonly name = "CallError";

  private constructor(
    /** The gRPC status. */
    readonly code: StatusCode,
    /** What was said, for people; `message` has the code before it and the fields after it. */
    readonly details: string,
    /** For programs: "LIMIT_EXCEEDED", "QUEUE_FULL"; empty where no server answered. */
    readonly reason: string,
    /** Who gave the reason: "standpipe", or what stands between. */
    readonly domain: string,
    /** What the reason is about, such as the model's name and the request id. */
    readonly metadata: Readonly<Record<string, string>>,
    /** What is wrong with which field of the request, by its path: `{"texts[3]": "…"}`. */
    readonly fields: Readonly<Record<string, string>>,
    /** Milliseconds after which a retry is worth while; undefined where none is. */
    readonly retryAfter: number | undefined,
    cause: unknown,
  ) {
    const problems = Object.entries(fields).map(([field, problem]) => `; ${field}: ${problem}`);
    super(`${code}: ${details}${problems.join("")}`, { cause });
  }

  /** What a thrown value tells; a CallError is given back as it is. */
  static from(thrown: unknown): CallError {
    if (thrown instanceof CallError) {
      return thrown;
    }
    const error = ConnectError.from(thrown);
    const info = error.findDetails(ErrorInfoSchema)[0];
    const violations = error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
    const retry = error.findDetails(RetryInfoSchema)[0];
    return new CallError(
      CODES[codeOf(error)] ?? "UNKNOWN",
      error.rawMessage,
      info?.reason ?? "",
      info?.domain ?? "",
      info?.metadata ?? {},
      Object.fromEntries(violations.map(({ field, description }) => [field, description])),
      // A delay that is unset is none: at once.
      retry && (retry.retryDelay ? durationMs(retry.retryDelay) : 0),
      thrown,
    );
  }
}

/** A browser throws a TypeError where nobody answers, or a connection breaks: what gRPC calls UNAVAILABLE. */
function codeOf(error: ConnectError): number {
  return error.code === Code.Unknown && error.cause instanceof TypeError ? Code.Unavailable : error.code;
}
