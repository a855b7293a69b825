"""The peer: a streaming chat endpoint as tutorials build it, with the usual libraries.

Starlette, the `openai` package, `async for chunk in stream`, sse-starlette. Nothing is stored,
nobody is known, a lost connection loses the answer.
"""

import argparse
import json
from collections.abc import AsyncIterator

import uvicorn
from openai import AsyncOpenAI
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def make_app(base_url: str, model: str) -> Starlette:
    """Return the application."""
    client = AsyncOpenAI(base_url=base_url, api_key="none")

    async def chat(request: Request) -> EventSourceResponse:
        body = await request.json()

        async def events() -> AsyncIterator[dict[str, str]]:
            stream = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": body["message"]}],
                stream=True,
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    text = chunk.choices[0].delta.content
                    yield {"event": "delta", "data": json.dumps({"text": text})}
            yield {"event": "done", "data": "{}"}

        return EventSourceResponse(events())

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/chat", chat, methods=["POST"]), Route("/healthz", health)])


def main() -> None:
    """Serve on 127.0.0.1 until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    arguments = parser.parse_args()
    app = make_app(arguments.base_url, arguments.model)
    uvicorn.run(app, port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
