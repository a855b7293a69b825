"""Operators' live figures: one state a second, made once for all who look.

There is no task and no queue: whoever holds the lock waits for the next second and makes the state,
the others take it as it is. Who reads slowly is shown fewer states, never older ones; while nobody
looks nothing is made.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable

import anyio
from starlette.responses import Response

from server.event_stream import EventStreamResponse
from streaming.frames import bye_frame

MAX_OPEN = 50
"""Streams at once in this process; one more is told `bye` and comes back."""
MAKING_S = 5.0
"""A state that takes longer is given up: a heartbeat says that the stream is alive."""

Make = Callable[[], Awaitable[bytes]]
"""Makes a state, as JSON in one line."""

_HEARTBEAT = b": heartbeat\nevent: heartbeat\ndata: {}\n\n"
_ENDED = b'event: session.ended\ndata: {"reason": "ended"}\n\n'


class OperatorStreams:
    """Opens operators' event streams, and asks them to leave.

    Args:
        send_timeout_s: Seconds one write may take.
        every_s: Seconds between two states.
    """

    def __init__(self, *, send_timeout_s: float, every_s: float = 1.0) -> None:
        self._send_timeout_s = send_timeout_s
        self._every_s = every_s
        self._open = 0
        self._turn = anyio.Lock()
        self._leaving = anyio.Event()
        self._frame = b""
        self._number = 0
        self._due_at = 0.0

    def follow(self, make: Make, *, is_welcome: Callable[[], Awaitable[bool]]) -> Response:
        """Answer with a state now, and another each second, until `bye` or the sign-in's end.

        Args:
            make: Makes a state, if it is this stream's turn to.
            is_welcome: Asked before each state: a sign-in may end meanwhile.
        """
        if self._open >= MAX_OPEN:
            return self._response(_one(bye_frame("full")), closed=lambda: None)
        self._open += 1
        return self._response(self._frames(make, is_welcome), closed=self._closed)

    def leave_all(self) -> None:
        """Ask everybody to come back elsewhere, or later."""
        self._leaving.set()

    async def _frames(
        self, make: Make, is_welcome: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        seen = 0
        while await is_welcome():
            seen = await self._next(seen, make)
            if self._leaving.is_set():
                yield bye_frame("restarting")
                return
            yield self._frame
        yield _ENDED

    async def _next(self, seen: int, make: Make) -> int:
        """Return the number of a state that is newer than the one that was seen."""
        async with self._turn:
            if self._number == seen or anyio.current_time() >= self._due_at:
                with anyio.move_on_after(max(0.0, self._due_at - anyio.current_time())):
                    await self._leaving.wait()
                if not self._leaving.is_set():
                    self._due_at = anyio.current_time() + self._every_s
                    self._frame = await _made(make)
                    self._number += 1
            return self._number

    def _closed(self) -> None:
        self._open -= 1

    def _response(
        self, frames: AsyncGenerator[bytes, None], *, closed: Callable[[], None]
    ) -> Response:
        return EventStreamResponse(
            frames,
            headers={},
            send_timeout_s=self._send_timeout_s,
            on_close=lambda _: closed(),
        )


async def _made(make: Make) -> bytes:
    with anyio.move_on_after(MAKING_S):
        return b"event: state\ndata: %b\n\n" % await make()
    return _HEARTBEAT


async def _one(frame: bytes) -> AsyncGenerator[bytes, None]:
    yield frame
