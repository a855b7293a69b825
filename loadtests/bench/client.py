"""The load: bare connections that count marked tokens in whatever wire format comes.

A tenth of the cost of an HTTP client, so that the load's core is not what is measured. It trusts
the server: one request per connection, the status line is looked at, the framing is not.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

MARK = b"~"

_STATUS_END = 12


@dataclass(slots=True)
class Load:
    """What all connections of a load saw together."""

    tokens: int = 0
    started: int = 0  # streams that have their first token
    failed: list[str] = field(default_factory=list)


class StreamClient(asyncio.Protocol):
    """One connection, one request, one stream of tokens."""

    def __init__(self, request: bytes, load: Load) -> None:
        self.first_token: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tokens = 0
        self._request = request
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._sent_at = 0.0
        self._is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports have the type's methods and not its class.
        self._transport = cast("asyncio.Transport", transport)
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if len(self._head) < _STATUS_END:
            self._head += data[:_STATUS_END]
        found = data.count(MARK)
        if not found:
            return
        if not self.tokens:
            self._load.started += 1
            if not self.first_token.done():
                self.first_token.set_result(time.perf_counter() - self._sent_at)
        self.tokens += found
        self._load.tokens += found

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closing:
            status = self._head.decode("latin-1") or "no answer"
            self._load.failed.append(f"{status} ({exc or 'closed'}) after {self.tokens} tokens")
        if not self.first_token.done():
            self.first_token.cancel()
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Leave."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()


async def connect(port: int, request: bytes, load: Load) -> StreamClient:
    """Open a connection and send the request."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: StreamClient(request, load), "127.0.0.1", port)
    return client
