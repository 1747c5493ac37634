// The half of tests/conformance/web_runner.py that runs in the page; the README beside that says what it reads and writes.
import { type DescMethod, fromJson, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { CallError, connect, services, type Standpipe } from "@standpipe/web";

interface Case {
  name: string;
  service: string;
  method: string;
  requests: JsonValue[];
  metadata: Record<string, string>;
  timeout: number;
  cancel_after: number | null;
}

interface Outcome {
  name: string;
  status: string;
  messages: JsonValue[];
  error: Record<string, unknown> | null;
}

interface Options {
  headers: Record<string, string>;
  timeoutMs: number;
  signal: AbortSignal;
}

// A method of the client, of whichever types: what it takes and gives, `method` says.
type Call = (request: Message, options: Options) => Promise<Message> & AsyncIterable<Message>;

const READERS: Partial<Record<DescMethod["methodKind"], (answer: ReturnType<Call>) => AsyncIterable<Message>>> = {
  unary: async function* (answer) {
    yield await answer;
  },
  server_streaming: (answer) => answer,
};

function find(client: Standpipe, { service, method }: Case): [DescMethod, Call] {
  for (const [name, { typeName, methods }] of Object.entries(services)) {
    const found = methods.find((one) => typeName === service && one.name === method);
    if (found) {
      const calls = client[name as keyof Standpipe] as unknown as Record<string, Call>;
      return [found, calls[found.localName]!];
    }
  }
  throw new Error(`there is no RPC ${service}.${method}`);
}

async function run(client: Standpipe, given: Case, messages: JsonValue[]): Promise<void> {
  const [method, call] = find(client, given);
  const read = READERS[method.methodKind];
  if (!read) {
    throw new Error("browsers don't send streams");
  }
  const caller = new AbortController();
  const options = { headers: given.metadata, timeoutMs: given.timeout * 1000, signal: caller.signal };
  const request = fromJson(method.input, given.requests[0]!);
  for await (const message of read(call(request, options))) {
    messages.push(toJson(method.output, message));
    if (messages.length === given.cancel_after) {
      caller.abort();
    }
  }
}

function failed(thrown: unknown): Pick<Outcome, "status" | "error"> {
  if (!(thrown instanceof CallError)) {
    return { status: "RUNNER_FAILED", error: { message: String(thrown) } };
  }
  const { code, details: message, reason, domain, metadata, fields, retryAfter } = thrown;
  const retry_after = retryAfter === undefined ? null : retryAfter / 1000;
  return { status: code, error: { message, reason, domain, metadata, fields, retry_after } };
}

/** What comes of cases, one after the other, at Envoy's `host:port`. */
async function runConformance(target: string, cases: Case[]): Promise<Outcome[]> {
  const client = connect(`http://${target}`);
  const outcomes: Outcome[] = [];
  for (const given of cases) {
    const outcome: Outcome = { name: given.name, status: "OK", messages: [], error: null };
    await run(client, given, outcome.messages).catch((thrown: unknown) => Object.assign(outcome, failed(thrown)));
    outcomes.push(outcome);
  }
  return outcomes;
}

Object.assign(globalThis, { runConformance });
