// The conformance runner: `conformance TARGET CASES`; tests/conformance/README.md says what it reads and writes.
import { readFileSync } from "node:fs";

import { CallError, connect, services, Status, type Client, type Method, type Service } from "@standpipe/client";

interface Case {
  name: string;
  service: string;
  method: string;
  requests: unknown[];
  metadata: Record<string, string>;
  timeout: number;
  cancel_after: number | null;
}

type Call = (request: unknown, options: object) => Promise<unknown> | AsyncIterable<unknown>;

/** The RPC that a case calls, and what calls it. */
function find(client: Client, { service: fullName, method: name }: Case): [Method, Call] {
  for (const [key, service] of Object.entries<Service>(services)) {
    for (const [property, method] of Object.entries(service.methods)) {
      if (service.fullName === fullName && method.name === name) {
        return [method, (client as unknown as Record<string, Record<string, Call>>)[key]![property]!];
      }
    }
  }
  throw new Error(`no RPC ${fullName}/${name}`);
}

/** A case's messages, as they come. */
async function* messages(client: Client, one: Case): AsyncGenerator<unknown> {
  const [method, call] = find(client, one);
  const requests = one.requests.map((request) => method.requestType.fromJSON(request));
  const cancel = new AbortController();
  const options = { timeout: one.timeout * 1_000, metadata: one.metadata, signal: cancel.signal };
  const result = call(method.requestStream ? requests : requests[0], options);
  let count = 0;
  for await (const message of method.responseStream ? (result as AsyncIterable<unknown>) : [await result]) {
    yield method.responseType.toJSON(message);
    if (++count === one.cancel_after) cancel.abort();
  }
}

function told(error: unknown): { status: string; error: object } {
  if (error instanceof CallError) {
    const { code, details: message, reason, domain, metadata, fields, retryAfter } = error;
    const retry_after = retryAfter === undefined ? null : retryAfter / 1_000;
    return { status: Status[code], error: { message, reason, domain, metadata, fields, retry_after } };
  }
  const nothing = { reason: "", domain: "", metadata: {}, fields: {}, retry_after: null };
  return { status: "RUNNER_FAILED", error: { message: String(error), ...nothing } };
}

const [address, path] = process.argv.slice(2);
if (address === undefined || path === undefined) throw new Error("usage: conformance TARGET CASES");
const client = connect(address);
for (const one of JSON.parse(readFileSync(path, "utf8")) as Case[]) {
  const received: unknown[] = [];
  const outcome = { name: one.name, status: "OK", messages: received, error: null };
  try {
    for await (const message of messages(client, one)) received.push(message);
    console.log(JSON.stringify(outcome));
  } catch (error) {
    console.log(JSON.stringify({ ...outcome, ...told(error) }));
  }
}
client.close();
