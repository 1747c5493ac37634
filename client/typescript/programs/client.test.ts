// What the conformance table can't reach: what becomes of calls that are left, refused, slow to be read or cut off.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as open, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from "@grpc/grpc-js";
import { CallError, type Client, connect, type Service, services, Status } from "@standpipe/client";

type Call = ServerDuplexStream<any, any>;

const LONG = "…".repeat(50_000);

let server: Server;
let client: Client;
let address: string;
/** What the server does with each call. */
let handle: (call: Call) => unknown;

/** A service all of whose RPCs are streams to gRPC, as they are on the wire. */
function definition(service: Service): ServiceDefinition {
  const methods = Object.entries(service.methods).map(([key, { name, requestType, responseType }]) => [
    key,
    {
      path: `/${service.fullName}/${name}`,
      requestStream: true,
      responseStream: true,
      requestSerialize: (message: unknown) => Buffer.from(requestType.encode(message).finish()),
      requestDeserialize: (bytes: Buffer) => requestType.decode(bytes),
      responseSerialize: (partial: unknown) =>
        Buffer.from(responseType.encode(responseType.fromPartial(partial)).finish()),
      responseDeserialize: (bytes: Buffer) => responseType.decode(bytes),
    },
  ]);
  return Object.fromEntries(methods);
}

beforeEach(async () => {
  server = new Server();
  for (const service of [services.generation, services.audio, services.models]) {
    const methods = Object.keys(service.methods).map((key) => [key, (call: Call) => handle(call)]);
    server.addService(definition(service), Object.fromEntries(methods));
  }
  const bound = new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  address = `127.0.0.1:${await bound}`;
  client = connect(address, { timeout: 10_000 });
});

afterEach(() => {
  client.close();
  server.forceShutdown();
});

/** Says something every few milliseconds until the call is cancelled. */
function chatter(call: Call): void {
  const timer = setInterval(() => call.write({ delta: { text: "la" } }), 5);
  call.once("cancelled", () => clearInterval(timer));
}

test("a stream that is left is cancelled", async () => {
  const cancelled = new Promise<void>((resolve) => {
    handle = (call) => {
      call.once("cancelled", resolve);
      chatter(call);
    };
  });
  for await (const { delta } of client.generation.streamGenerateText({ prompt: "Sing" })) {
    assert.equal(delta?.text, "la");
    break;
  }
  await cancelled;
});

test("an abort ends a call at once, also before it begins", async () => {
  handle = chatter;
  const cancel = new AbortController();
  const options = { signal: cancel.signal };
  let count = 0;
  const read = async () => {
    for await (const _ of client.generation.streamGenerateText({}, options)) if (++count === 3) cancel.abort();
  };
  await assert.rejects(read, { name: "CallError", code: Status.CANCELLED });
  assert.equal(count, 3);
  await assert.rejects(client.models.listModels({}, options), { name: "CallError", code: Status.CANCELLED });
});

test("a server waits for a slow reader", async () => {
  let written = 0;
  handle = async (call) => {
    for (; written < 1_000 && !call.cancelled; written++) {
      if (!call.write({ delta: { text: LONG } })) await once(call, "drain");
    }
    call.end();
  };
  const stream = client.generation.streamGenerateText({});
  await stream.next();
  await sleep(300);
  assert.ok(written < 100, `${written} messages of 150 kB were sent`);
  await stream.return();
});

test("what was said before an error is read, then the error is thrown", async () => {
  handle = (call) => {
    for (let i = 0; i < 20; i++) call.write({ delta: { text: "la" } });
    call.emit("error", { code: Status.ABORTED, details: "no more" });
  };
  const stream = client.generation.streamGenerateText({});
  for (let i = 0; i < 20; i++) assert.equal((await stream.next()).done, false);
  await assert.rejects(stream.next(), (error) => error instanceof CallError && error.details === "no more");
});

test("an error in a stream of requests is thrown as it is, and cancels the call", async () => {
  const begun = new Promise<Call>((resolve) => {
    handle = (call) => resolve(call.resume());
  });
  async function* requests() {
    yield { config: { sampleRate: 16_000 } };
    await begun;
    throw new RangeError("the microphone is gone");
  }
  await assert.rejects(client.audio.streamTranscribeAudio(requests()).next(), new RangeError("the microphone is gone"));
  const call = await begun;
  if (!call.cancelled) await once(call, "cancelled");
});

test("a stream of requests is left when the call ends before it", async () => {
  let left = false;
  async function* requests() {
    try {
      for (;;) yield { audio: Buffer.alloc(1 << 16) };
    } finally {
      left = true;
    }
  }
  handle = (call) => call.emit("error", { code: Status.INVALID_ARGUMENT, details: "no" });
  const call = client.audio.streamTranscribeAudio(requests()).next();
  await assert.rejects(call, { name: "CallError", code: Status.INVALID_ARGUMENT });
  await sleep(0);
  assert.ok(left);
});

test("a request that can't be encoded is no call", async () => {
  handle = () => assert.fail("called");
  const call = client.generation.generateText({ prompts: ["Once"], parameters: { maxNewTokens: -1 } });
  await assert.rejects(call, (error) => !(error instanceof CallError) && /uint32/.test(String(error)));
});

test("a call whose connection is cut is repeated", async () => {
  const sockets = new Set<Socket>();
  const port = Number(address.split(":")[1]);
  const proxy = createServer((socket) => {
    const onward = open(port, "127.0.0.1");
    for (const end of [socket, onward]) sockets.add(end.on("error", () => {}));
    socket.pipe(onward).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  let calls = 0;
  handle = (call) => {
    if (++calls === 1) for (const socket of sockets) socket.destroy();
    else call.end(void call.write({ models: [] }));
  };
  const through = connect(`127.0.0.1:${(proxy.address() as AddressInfo).port}`, { timeout: 5_000 });
  try {
    assert.deepEqual(await through.models.listModels({}), { models: [] });
    assert.equal(calls, 2);
  } finally {
    through.close();
    proxy.close();
  }
});

test("closing lets a call that is under way end", async () => {
  handle = async (call) => {
    await sleep(100);
    call.end(void call.write({ models: [] }));
  };
  const call = client.models.listModels({});
  await sleep(50);
  client.close();
  assert.deepEqual(await call, { models: [] });
});

test("addresses that can't be connected to together are refused", () => {
  assert.throws(() => connect([]), /no address/);
  assert.throws(() => connect(["one.test:50051", "two.test:50051"]), /one\.test:50051, two\.test:50051/);
  assert.throws(() => connect(["127.0.0.1:50051", "[::1]:50051"]), /must all be IPv4 or all IPv6/);
  connect(["[::1]:50051", "[::1]:50052"]).close();
});
