"""The answer that carries an event stream: batches of ready bytes, one write each.

Raw ASGI, not sse-starlette's response: docs/adr/0005-raw-asgi-event-stream.md has the figures.
Three things any such answer must do by itself under uvicorn:

1. Watch `receive`: after a disconnect `send` returns silently, for ever.
2. Bound each write: a client that stops reading would hold its stream for ever.
3. Cut the connection then: closing it politely waits for the client that does not read.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Literal

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from streaming.sse import Outlet

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
ABORT_EXTENSION = "chatstream.abort"
"""Scope extension of our server: a function that drops the connection at once."""
WRITE_EXTENSION = "chatstream.write"
"""Scope extension of our server: a function that sends a piece of the body now, or says that it
cannot. Only for an answer that has begun, between two messages."""

CloseReason = Literal["end", "disconnect", "slow"]
OnClose = Callable[[CloseReason], None]


class EventStreamResponse(Response):
    """Sends what `batches` yields, until its end, the client's, or a write that takes too long.

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        extensions = scope.get("extensions", {})
        try:
            await send(start)
            if self._outlet is not None:
                self._outlet.write = extensions.get(WRITE_EXTENSION)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_disconnect, receive, tasks.cancel_scope)
                await self._pump(send, tasks.cancel_scope)
                tasks.cancel_scope.cancel()
        finally:
            if self._outlet is not None:
                self._outlet.write = None
            self._on_close(self._reason)
            if self._reason == "slow":
                abort = extensions.get(ABORT_EXTENSION)
                if abort is not None:
                    abort()

    async def _pump(self, send: Send, scope: anyio.CancelScope) -> None:
        deadline = _SendDeadline(self._send_timeout_s, self._cut, scope)
        try:
            async with aclosing(self._batches) as batches:
                async for batch in batches:
                    deadline.sending_since = deadline.loop.time()
                    await send({"type": "http.response.body", "body": batch, "more_body": True})
                    deadline.sending_since = None
            deadline.sending_since = deadline.loop.time()  # the last write waits for room, too
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            deadline.stop()

    async def _watch_disconnect(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._reason = "disconnect"
        scope.cancel()

    def _cut(self, scope: anyio.CancelScope) -> None:
        self._reason = "slow"
        scope.cancel()


class _SendDeadline:
    """One lazy timer a stream: a write costs two attribute writes, not a timeout scope (3 us)."""

    __slots__ = ("_expire", "_limit_s", "_scope", "_timer", "loop", "sending_since")

    def __init__(
        self,
        limit_s: float,
        expire: Callable[[anyio.CancelScope], None],
        scope: anyio.CancelScope,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.sending_since: float | None = None
        self._limit_s = limit_s
        self._expire = expire
        self._scope = scope
        self._timer = self.loop.call_later(limit_s, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        due = self.loop.time() + self._limit_s
        if self.sending_since is not None:
            due = self.sending_since + self._limit_s
        if due <= self.loop.time():
            self._expire(self._scope)
            return
        self._timer = self.loop.call_at(due, self._look)
