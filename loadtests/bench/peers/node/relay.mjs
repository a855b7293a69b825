// The peer: what Node can do without an SDK. Every event is read, parsed, and written anew.
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

const [port, baseURL, model] = process.argv.slice(2);

async function* events(body) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of body) {
    rest += decoder.decode(piece, { stream: true });
    const frames = rest.split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      if (frame.startsWith("data: ")) yield frame.slice(6);
    }
  }
}

async function relay(message, response, signal) {
  const answer = await fetch(`${baseURL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, stream: true, messages: [{ role: "user", content: message }] }),
    signal,
  });
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  for await (const data of events(answer.body)) {
    if (data === "[DONE]") break;
    const delta = JSON.parse(data).choices?.[0]?.delta?.content;
    if (delta) response.write(`event: delta\ndata: ${JSON.stringify({ text: delta })}\n\n`);
  }
  response.end("event: done\ndata: {}\n\n");
}

createServer(async (request, response) => {
  if (request.url === "/healthz") {
    response.end("ok");
    return;
  }
  const { message } = JSON.parse(await text(request));
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  try {
    await relay(message, response, gone.signal);
  } catch {
    response.destroy(); // the client or the model is gone
  }
}).listen(Number(port), "127.0.0.1");
