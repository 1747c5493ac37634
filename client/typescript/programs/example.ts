import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { CallError, connect, Status } from "@standpipe/client";

const speech = fileURLToPath(new URL("../speech.ogg", import.meta.url));
const [addresses = "127.0.0.1:50051", file = speech] = process.argv.slice(2);

/** Calls, and again after the pause that a server with a full queue asks for; gives up after five times. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const busy = error instanceof CallError && error.code === Status.RESOURCE_EXHAUSTED;
      if (!busy || error.retryAfter === undefined || attempt === 5) throw error;
      console.log(`overload: ${error.details}; again in ${error.retryAfter} ms`);
      await sleep(error.retryAfter);
    }
  }
}

const client = connect(addresses.split(","), { timeout: 30_000 });
try {
  const texts = ["A standpipe is a pipe for water.", "Firefighters couple their hoses to it."];
  const { embeddings, dimensions } = await client.text.embedText({ texts }, { timeout: 5_000 });
  console.log(`embed: ${embeddings.length} vectors of ${dimensions} numbers`);

  const { results } = await client.text.classifyText({ texts: ["The hose fits at once. I love it!"], topK: 1 });
  for (const { label, score } of results.flatMap(({ labels }) => labels)) {
    console.log(`classify: ${label} ${score.toFixed(2)}`);
  }

  process.stdout.write("chat: ");
  const messages = [{ role: "user", content: "Why do firefighters use a standpipe?" }];
  for await (const { delta } of client.generation.streamChat({ messages, parameters: { maxNewTokens: 60 } })) {
    process.stdout.write(delta?.content ?? "");
  }
  console.log();

  const { results: transcripts } = await client.audio.transcribeAudio({ audios: [{ content: await readFile(file) }] });
  console.log(`transcribe: ${transcripts.map(({ text }) => text).join(" ")}`);

  const ranked = await patiently(() => client.text.rerankText({ query: "hoses", texts }));
  console.log(`overload: answered, the best is text ${ranked.results[0]?.index}`);
} catch (error) {
  if (!(error instanceof CallError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  client.close();
}
