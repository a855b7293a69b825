"""Few requests begin in one turn of the event loop, so that hundreds at once hold up nobody.

When a worker is lost, its readers come back all at once. Each takes a millisecond or so before it
first waits; together they would stand between the running turns and their next tokens.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass, replace
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

AT_ONCE = 8
"""Requests that begin between two looks of the loop at its sockets and timers."""

_ARRIVAL = "chatstream.arrival"
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a request came, in monotonic seconds, and how long it waited to be let in.

    `traceparent` is whose trace it is part of, where its sender says so (W3C Trace Context).
    """

    came_at: float
    waited_s: float
    traceparent: str | None = None


def arrival(scope: Scope) -> Arrival:
    """Return when a request came; now, where it did not come through the turnstile."""
    known = scope.get(_ARRIVAL)
    arrived = known if isinstance(known, Arrival) else Arrival(monotonic(), 0.0)
    traceparent = dict(scope.get("headers", ())).get(b"traceparent", b"").decode("latin-1")
    return replace(arrived, traceparent=traceparent if _TRACE.fullmatch(traceparent) else None)


class TurnstileMiddleware:
    """Lets requests in, in the order in which they came; a lone one is not delayed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._free = AT_ONCE
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            came_at = monotonic()
            await self._pass()
            scope[_ARRIVAL] = Arrival(came_at, monotonic() - came_at)
        await self._app(scope, receive, send)

    async def _pass(self) -> None:
        loop = asyncio.get_running_loop()
        if self._free == AT_ONCE:
            loop.call_soon(self._turn, loop)
        if self._free > 0:
            self._free -= 1
            return
        place = loop.create_future()
        self._waiting.append(place)
        await place

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next ones in; who was cancelled while waiting has no place."""
        self._free = AT_ONCE
        while self._waiting and self._free > 0:
            if not (place := self._waiting.popleft()).done():
                place.set_result(None)
                self._free -= 1
        if self._free < AT_ONCE:
            loop.call_soon(self._turn, loop)
