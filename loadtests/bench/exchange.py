"""HTTP on a bare socket: one request, one answer, one connection, a fraction of a client's cost."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import anyio
import httptools

_ANSWER_S = 30.0


class Exchange(asyncio.Protocol):
    """One request and its answer, as it comes.

    Args:
        request: Sent as it is, once connected.
        on_body: Gets the pieces of the body.

    Attributes:
        status: Of the answer; 0 before it has come.
        is_complete: Whether all of the answer has come.
        ended: Done once the connection is closed.
    """

    def __init__(self, request: bytes, on_body: Callable[[bytes], None]) -> None:
        self.status = 0
        self.is_complete = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_body = on_body
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports have the type's methods and not its class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the Protocol's
        if not self.ended.done():
            self.ended.set_result(None)

    def on_headers_complete(self) -> None:
        """Take the status."""
        self.status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        """Take note of the end, and leave."""
        self.is_complete = True
        self.cut()

    def cut(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; status 0 where the connection broke before its end."""

    status: int
    body: bytes


async def connect(port: int, exchange: Exchange) -> bool:
    """Open the exchange's connection; return whether somebody listens there."""
    try:
        await asyncio.get_running_loop().create_connection(lambda: exchange, "127.0.0.1", port)
    except OSError:
        return False
    return True


async def fetch(port: int, request: bytes) -> Answer | None:
    """Send a request and return the answer; None where nobody listens.

    Raises:
        TimeoutError: It takes too long.
    """
    pieces: list[bytes] = []
    exchange = Exchange(request, pieces.append)
    with anyio.fail_after(_ANSWER_S):
        if not await connect(port, exchange):
            return None
        try:
            await exchange.ended
        finally:
            exchange.cut()
    return Answer(exchange.status if exchange.is_complete else 0, b"".join(pieces))


def get(path: str, headers: dict[str, str]) -> bytes:
    """Return a whole GET request."""
    fields = {"host": "127.0.0.1", "connection": "close", **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def post(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return a whole POST request with a JSON body."""
    own = {"content-type": "application/json", "content-length": str(len(body))}
    return get(path, {**own, **headers}).replace(b"GET", b"POST", 1) + body
