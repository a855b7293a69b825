"""A server that plays scripted answers, for what the LLM simulator never does."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
from anyio.streams.buffered import BufferedByteReceiveStream

Step = bytes | anyio.Event

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
HELLO = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = HEAD + HELLO + STOP + USAGE + DONE


@dataclass
class Request:
    """What a client asked."""

    head: str
    body: dict[str, Any]


@dataclass
class Upstream:
    """A running server: plays one script for each request, the last one for all others."""

    scripts: Sequence[Sequence[Step]]
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have come."""
        while len(self.requests) < count:
            await anyio.lowlevel.checkpoint()

    async def serve(self, client: anyio.abc.SocketStream) -> None:
        """Read one request, play its script, and hang up."""
        async with client:
            reader = BufferedByteReceiveStream(client)
            head = (await reader.receive_until(b"\r\n\r\n", 65_536)).decode()
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            body = json.loads(await reader.receive_exactly(length))
            self.requests.append(Request(head, body))
            script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
            with suppress(anyio.BrokenResourceError):
                for step in script:
                    await (step.wait() if isinstance(step, anyio.Event) else client.send(step))


def refusal(status: int, body: bytes = b"{}", /, **headers: str) -> bytes:
    """Return a whole answer that is not a stream."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", "connection: close"]
    given = {"content_type": "application/json"} | headers
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def upstream(*scripts: Sequence[Step]) -> AsyncGenerator[Upstream, None]:
    """Run a server on a free port for the length of the block."""
    server = Upstream(scripts)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  not Django's
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.serve)
        yield server
        group.cancel_scope.cancel()
