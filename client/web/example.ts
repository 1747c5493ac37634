// What a page can ask for; example.html has a form for each. Calls take 60 seconds at most unless they say otherwise.
import { CallError, connect } from "@standpipe/web";

const client = connect(new URLSearchParams(location.search).get("address") ?? "http://127.0.0.1:8080");

answers("embed", async (form, show) => {
  const texts = form.getAll("text").map(String);
  const { embeddings, dimensions } = await patiently(() => client.text.embedText({ texts }));
  show(`${embeddings.length} vectors of ${dimensions} numbers`);
});

answers("classify", async (form, show) => {
  const request = { texts: [String(form.get("text"))], topK: 1 };
  const { results } = await patiently(() => client.text.classifyText(request, { timeoutMs: 10_000 }));
  show(results.flatMap(({ labels }) => labels.map(({ label, score }) => `${label} ${score.toFixed(2)}`)).join(", "));
});

answers("chat", async (form, show) => {
  const messages = [{ role: "user", content: String(form.get("text")) }];
  let text = "";
  for await (const { event } of client.generation.streamChat({ messages })) {
    if (event.case === "delta") show((text += event.value.content));
  }
});

answers("transcribe", async (form, show) => {
  const chosen = form.get("file") as File;
  const file = chosen.size ? chosen : await (await fetch("speech.ogg")).blob();
  const source = { case: "content" as const, value: new Uint8Array(await file.arrayBuffer()) };
  const { results } = await patiently(() => client.audio.transcribeAudio({ audios: [{ source }] }));
  show(results.map(({ text }) => text).join(" "));
});

/** Runs when a form is sent. What goes wrong is told where the answer would be. */
function answers(name: string, run: (form: FormData, show: (text: string) => void) => Promise<void>): void {
  const form = document.forms.namedItem(name)!;
  const output = form.querySelector("output")!;
  const show = (text: string) => void (output.textContent = text);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.ariaBusy = "true";
    show("…");
    await run(new FormData(form), show).catch((error) => show(String(error)));
    output.ariaBusy = "false";
  });
}

/** A server that has too much to do says when to come again. So we do, a few times. */
async function patiently<T>(call: () => Promise<T>, attempts = 5): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const busy = error instanceof CallError && error.code === "RESOURCE_EXHAUSTED";
    if (!busy || attempts === 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, error.retryAfter ?? 1000));
    return patiently(call, attempts - 1);
  }
}
