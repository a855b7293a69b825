"""The stream that a reader is sent: replay, then live, with heartbeats, to the end or to `bye`.

Pure but for waiting on the log.
Source: WHATWG HTML 9.2, server-sent events.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from streaming.event_log.base import EventReader, Wake
from streaming.frames import heartbeat_frame

MAX_BATCH_BYTES = 64 * 1024
"""Frames sent in one write while a reader catches up; enough to amortise the write."""


async def frames(
    turn_id: str,
    reader: EventReader,
    *,
    prefix: bytes = b"",
    heartbeat_s: float,
    farewell: Callable[[], bytes],
    outlet: "Outlet | None" = None,
) -> AsyncGenerator[bytes, None]:
    """Yield batches of ready bytes: replay, then live, until the terminal event or a farewell.

    Every event loop turn is shared: a long replay pauses after each batch, also when the client is
    gone and writes no longer wait. After `heartbeat_s` without an event comes a heartbeat.

    Args:
        turn_id: Named in heartbeats.
        reader: Where to read from; closed at the end.
        prefix: Sent first: a reset for a reader whose cursor was not good.
        heartbeat_s: Seconds of silence before a heartbeat.
        farewell: Gives the last frame of a reader that was woken with LEAVE.
        outlet: Takes single frames past this, while nothing is left to yield.
    """
    outlet = outlet or Outlet()
    reader.offer_to(outlet.takes)
    pulse = _Pulse(reader, heartbeat_s, outlet)
    try:
        if prefix:
            yield prefix
        while not reader.at_end:
            batch = reader.take(MAX_BATCH_BYTES)
            why = Wake.ENTRY if batch else await reader.wait()
            if why is Wake.LEAVE:
                yield farewell()
                return
            if why is Wake.IDLE:
                batch = heartbeat_frame(turn_id, reader.cursor.seq)
            if batch:
                pulse.beat()
                yield batch
            if len(batch) > MAX_BATCH_BYTES // 2:
                await asyncio.sleep(0)
    finally:
        pulse.stop()
        reader.close()


class Outlet:
    """Where a live frame goes out at once, without waking the task that serves its reader.

    That task lay under 22 coroutines, of middleware and routing, and each message it sent passed
    six more: 36,000 of 139,000 instructions a token (callgrind). Nine of all are left.

    Attributes:
        write: Sends a frame now, or says that it cannot; set by whoever sends.
        written_at: When it last did, by the loop's clock.
    """

    __slots__ = ("_now", "write", "written_at")

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self.write: Callable[[bytes], bool] | None = None
        self.written_at = 0.0

    def takes(self, frame: bytes) -> bool:
        """Send the frame if that is possible now; False: it is to be yielded."""
        if self.write is None:
            return False
        # uvloop's clock stands for a millisecond: what comes together is joined, in one write.
        now = self._now()
        if now == self.written_at or not self.write(frame):
            return False
        self.written_at = now
        return True


class _Pulse:
    """Wakes an idle reader. Costs one clock reading per event: the timer re-arms itself lazily."""

    __slots__ = ("_heartbeat_s", "_last", "_loop", "_outlet", "_reader", "_timer")

    def __init__(self, reader: EventReader, heartbeat_s: float, outlet: Outlet) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._outlet = outlet
        self._heartbeat_s = heartbeat_s
        self._last = self._loop.time()
        self._timer = self._loop.call_later(heartbeat_s, self._fire)

    def beat(self) -> None:
        self._last = self._loop.time()

    def stop(self) -> None:
        self._timer.cancel()

    def _fire(self) -> None:
        due = max(self._last, self._outlet.written_at) + self._heartbeat_s
        if self._loop.time() >= due:
            self._reader.wake(Wake.IDLE)
            self._last = self._loop.time()
            due = self._last + self._heartbeat_s
        self._timer = self._loop.call_at(due, self._fire)
