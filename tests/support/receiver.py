"""A webhook's other side: a real HTTP server that answers as the test says, and keeps what came."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

HANG = b""
"""An answer that never comes."""


def answer(status: int, **headers: str) -> bytes:
    """Return an answer without a body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Whatever", "Content-Length: 0", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode()


OK = answer(200)


@dataclass
class Receiver:
    """What came, and how it is answered: by the list, then with 200.

    Attributes:
        posts: Path and JSON of each request, in order.
    """

    port: int = 0
    answers: list[bytes] = field(default_factory=list)
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _news: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        """Where it listens; the path is what nobody may know."""
        return f"http://127.0.0.1:{self.port}/hook/canary-secret"

    @property
    def texts(self) -> list[str]:
        """The messages, in order."""
        return [str(body["text"]) for _, body in self.posts]

    async def until(
        self, claim: Callable[[Sequence[str]], bool], *, within_s: float = 20.0
    ) -> list[str]:
        """Wait until the messages are as claimed, and return them."""
        with anyio.fail_after(within_s):
            while not claim(self.texts):
                await self._news.wait()
        return self.texts

    async def serve(self, stream: ByteStream) -> None:
        """Take one request."""
        async with stream:
            path, body = await _request(stream)
            self.posts.append((path, json.loads(body)))
            self._news.set()
            self._news = anyio.Event()
            said = self.answers.pop(0) if self.answers else OK
            if said == HANG:
                await anyio.sleep_forever()
            await stream.send(said)


async def _request(stream: ByteStream) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += await stream.receive()
    return lines[0].split()[1].decode(), body


@asynccontextmanager
async def receiving(*answers: bytes, tls: Any = None) -> AsyncIterator[Receiver]:
    """Run a receiver until the block ends.

    Args:
        answers: What the first requests are answered.
        tls: A server's TLS context; none: plain HTTP.
    """
    receiver = Receiver(answers=list(answers))
    listener: Any = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    receiver.port = listener.extra_attributes[SocketAttribute.local_port]()
    if tls is not None:
        listener = TLSListener(listener, ssl_context=tls, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, receiver.serve)
        yield receiver
        tasks.cancel_scope.cancel()
