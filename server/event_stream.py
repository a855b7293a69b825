"""The answer that carries an event stream: batches of ready bytes, one write each.

Raw ASGI, not sse-starlette's response: docs/adr/0005-raw-asgi-event-stream.md has the figures.
Four things such an answer must do by itself under uvicorn:

1. Be told of the client's leaving: after it `send` returns silently, for ever.
2. Bound each write: a client that stops reading would hold its stream for ever.
3. Cut the connection then: closing it politely waits for the client that does not read.
4. Leave the middleware and the routing: an answer that lasts would hold all their coroutines, and
   the request, 11 KB. Its rest is sent by the outermost middleware, once all others have returned.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Literal, Protocol

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from streaming.sse import Outlet

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
CONNECTION_EXTENSION = "chatstream.connection"
"""Scope extension of our server: the `Connection`."""
REST = "rest_of_answer"
"""In the request's state: what sends the rest of an answer that has begun, a `Rest`."""

Rest = Callable[[Send], Awaitable[None]]

CloseReason = Literal["end", "disconnect", "slow"]
OnClose = Callable[[CloseReason], None]


class Connection(Protocol):
    """What our server offers beyond ASGI, for the answer that is being sent on a connection."""

    def write_now(self, body: bytes) -> bool:
        """Send a piece of the body now; False where that is not possible.

        Only for an answer that has begun, between two messages.
        """
        ...

    def abort(self) -> None:
        """Drop the connection at once."""
        ...

    def on_disconnect(self, call: Callable[[], None] | None) -> None:
        """Have it called once when the client leaves, at once where it has; None: not any more."""
        ...


class EventStreamResponse(Response):
    """Sends what `batches` yields, until its end, the client's, or a write that takes too long.

    While it lasts its request can no longer be asked: the scope is emptied.

    Args:
        batches: Ready bytes; closed when the answer ends, however it ends.
        headers: Added to the event stream's own.
        send_timeout_s: Seconds one write may take.
        on_close: Told once, with the reason.
        outlet: Given the way to the client, past all that is between, while the answer lasts.
    """

    def __init__(
        self,
        batches: AsyncGenerator[bytes, None],
        *,
        headers: Mapping[str, str],
        send_timeout_s: float,
        on_close: OnClose,
        outlet: Outlet | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({**HEADERS, **headers})
        self._batches = batches
        self._send_timeout_s = send_timeout_s
        self._on_close = on_close
        self._outlet = outlet
        self._reason: CloseReason = "end"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # the server tells of the end
        """Begin the answer; the outermost middleware sends the rest."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            await send(start)
        except BaseException:
            self._closed()
            raise
        self.raw_headers.clear()
        scope["state"][REST] = partial(self._send_rest, scope["extensions"][CONNECTION_EXTENSION])

    async def _send_rest(self, connection: Connection, send: Send) -> None:
        if self._outlet is not None:
            self._outlet.write = connection.write_now
        try:
            with anyio.CancelScope() as scope:
                connection.on_disconnect(partial(self._stop, scope, "disconnect"))
                await self._pump(send, scope)
        finally:
            connection.on_disconnect(None)
            self._closed()
            if self._reason == "slow":
                connection.abort()

    async def _pump(self, send: Send, scope: anyio.CancelScope) -> None:
        deadline = _SendDeadline(self._send_timeout_s, partial(self._stop, scope, "slow"))
        try:
            async with aclosing(self._batches) as batches:
                async for batch in batches:
                    deadline.begin()
                    await send({"type": "http.response.body", "body": batch, "more_body": True})
                    deadline.end()
            deadline.begin()  # the last write waits for room, too
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            deadline.stop()

    def _stop(self, scope: anyio.CancelScope, reason: CloseReason) -> None:
        self._reason = reason
        scope.cancel()

    def _closed(self) -> None:
        if self._outlet is not None:
            self._outlet.write = None
        self._on_close(self._reason)


class _SendDeadline:
    """One lazy timer a stream: a write costs two attribute writes, not a timeout scope (3 us).

    While nothing is sent there is none: what is live goes past this.
    """

    __slots__ = ("_expire", "_limit_s", "_loop", "_sending_since", "_timer")

    def __init__(self, limit_s: float, expire: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sending_since: float | None = None
        self._limit_s = limit_s
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._sending_since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit_s, self._look)

    def end(self) -> None:
        self._sending_since = None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._sending_since is None:
            return
        due = self._sending_since + self._limit_s
        if due <= self._loop.time():
            self._expire()
        else:
            self._timer = self._loop.call_at(due, self._look)
