"""The load: bare connections that count tokens in whatever wire format comes.

A tenth of the cost of an HTTP client, so that the load's core is not what is measured. It trusts
the server: one request per connection, the status line is looked at, the framing is not. What the
framing holds is looked at once before (`loadtests.bench.correctness`).
"""

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import cast

MARK = b"~"
"""Ends every token that the simulator writes with `mark=1`."""

_STATUS_END = 12


@dataclass(slots=True)
class Load:
    """What all connections of a load saw together.

    Attributes:
        gap_s: Seconds between two tokens of a stream as they are sent.
        is_recording: Whether each token's lateness is kept, by stream.
    """

    gap_s: float = 0.0
    is_recording: bool = False
    tokens: int = 0
    started: int = 0  # streams that have their first token
    failed: list[str] = field(default_factory=list)


class StreamClient(asyncio.Protocol):
    """One connection, one request, one stream of tokens.

    Attributes:
        first_token: Seconds from the request to it; a ConnectionError where none came.
        late: When each recorded token came, less the place that its number gives it, in seconds;
            only differences mean something.
        earliest: The least of these, over all tokens.
    """

    def __init__(self, request: bytes, load: Load, mark: bytes = MARK) -> None:
        self.first_token: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tokens = 0
        self.late = array("d")
        self.earliest = float("inf")
        self._request = request
        self._load = load
        self._mark = mark
        self._kept = len(mark) - 1  # bytes in which a mark may have begun
        self._rest = b""
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
        if self._kept:
            data = self._rest + data
            self._rest = data[-self._kept :]
        found = data.count(self._mark)
        if found:
            self._note(found, time.perf_counter())

    def _note(self, found: int, now: float) -> None:
        load = self._load
        if not self.tokens:
            load.started += 1
            if not self.first_token.done():
                self.first_token.set_result(now - self._sent_at)
        late = now - (self.tokens + found - 1) * load.gap_s
        self.earliest = min(self.earliest, late)  # the last of those that came together
        if load.is_recording:
            self.late.extend(late + place * load.gap_s for place in range(found - 1, -1, -1))
        self.tokens += found
        load.tokens += found

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closing:
            status = self._head.decode("latin-1") or "no answer"
            self._load.failed.append(f"{status} ({exc or 'closed'}) after {self.tokens} tokens")
        if not self.first_token.done():
            self.first_token.set_exception(ConnectionError("closed before the first token"))
            self.first_token.exception()  # not awaited by all: no news then
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Leave."""
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()


async def connect(port: int, request: bytes, load: Load, mark: bytes = MARK) -> StreamClient:
    """Open a connection and send the request."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: StreamClient(request, load, mark), "127.0.0.1", port
    )
    return client
