"""A server whose every byte is scripted, and how often it was connected to."""

import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import anyio.abc
from anyio.streams.tls import TLSStream

RESET_AT_ONCE = struct.pack("ii", 1, 0)


@dataclass
class Link:
    """One connection, seen from the server."""

    number: int
    stream: anyio.abc.ByteStream
    requests: list[bytes]

    async def request(self) -> bytes:
        """Return the next whole request; nothing where the client has left."""
        came = b""
        while b"\r\n\r\n" not in came:
            came += await self._more()
            if not came:
                return b""
        head, _, body = came.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        pieces, missing = [head, b"\r\n\r\n", body], length - len(body)
        while missing > 0:
            pieces.append(await self._more())
            missing -= len(pieces[-1])
        self.requests.append(b"".join(pieces))
        return self.requests[-1]

    async def send(self, *parts: bytes) -> None:
        """Send parts, each by itself as far as the kernel leaves them apart."""
        for part in parts:
            await self.stream.send(part)

    def reset(self) -> None:
        """Have the connection reset when it is closed."""
        own: socket.socket = self.stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610  not Django's
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)

    async def until_left(self) -> None:
        """Wait until the client has closed."""
        while await self._more():
            pass

    async def _more(self) -> bytes:
        try:
            return await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return b""


@dataclass
class Peer:
    """A running server."""

    port: int
    links: int = 0
    requests: list[bytes] = field(default_factory=list)
    left: anyio.Event = field(default_factory=anyio.Event)
    """Set when the first of its scripts has ended."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def a_peer(
    serve: Callable[[Link], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
    shakes_after_s: float = 0,
) -> AsyncGenerator[Peer, None]:
    """Serve each connection with the script, which hangs up at its end."""
    listener = await anyio.create_tcp_listener(local_host=host)
    peer = Peer(listener.extra(anyio.abc.SocketAttribute.local_port))  # noqa: S610  not Django's

    async def link(client: anyio.abc.ByteStream) -> None:
        peer.links += 1
        async with client:
            if context is not None:
                await anyio.sleep(shakes_after_s)
                try:
                    client = await TLSStream.wrap(
                        client, server_side=True, ssl_context=context, standard_compatible=False
                    )
                except (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):
                    return
            with suppress(anyio.BrokenResourceError):
                await serve(Link(peer.links, client, peer.requests))
        peer.left.set()

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, link)
        yield peer
        group.cancel_scope.cancel()
