// The peer: a streaming chat endpoint as the AI SDK's documentation builds it on Node's own server.
// Nothing is stored, nobody is known, a lost connection loses the answer.
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const [port, baseURL, model] = process.argv.slice(2);
const provider = createOpenAICompatible({ name: "simulator", baseURL, apiKey: "none" });

createServer(async (request, response) => {
  if (request.url === "/healthz") {
    response.end("ok");
    return;
  }
  const { message } = JSON.parse(await text(request));
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const result = streamText({
    model: provider(model),
    messages: [{ role: "user", content: message }],
    abortSignal: gone.signal,
    onError: () => {}, // a client that leaves is no news
  });
  result.pipeUIMessageStreamToResponse(response);
}).listen(Number(port), "127.0.0.1");
