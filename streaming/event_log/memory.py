"""The embedded event log: everything in this process's memory.

Bounds: a live log is bounded by its turn (length and time limits); ended logs are dropped after the
replay window, or earlier, oldest first, once all of them together hold more than `max_bytes`.
Whoever comes later is served from the record.
"""

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Callable

import anyio

from streaming.cursor import Cursor
from streaming.errors import CursorLostError, LogNotFoundError
from streaming.event_log.base import Wake
from streaming.events import Event
from streaming.frames import FrameEncoder

_FRAME_OVERHEAD_BYTES = 48
"""What CPython keeps for a bytes object and its places in our lists, beside its contents."""
_LOG_BYTES = 480
"""What it keeps for a log without any, which of short answers is half."""


class MemoryLog:
    """One turn's frames, in order; `frames[n]` is the entry of seq `base` + n + 1.

    `base` is 0 but for a log whose beginning was lost.
    """

    __slots__ = (
        "abandoned",
        "base",
        "ended",
        "ended_at",
        "epochs",
        "frames",
        "size_bytes",
        "turn_id",
        "waiting",
    )

    def __init__(self, turn_id: str, base: int = 0) -> None:
        self.turn_id = turn_id
        self.base = base
        self.frames: list[bytes] = []
        self.epochs = array("I")
        self.waiting: dict[MemoryReader, None] = {}  # in order; leaving it is O(1)
        self.size_bytes = _LOG_BYTES
        self.abandoned = False
        self.ended = False
        self.ended_at = 0.0

    def append(self, frame: bytes, epoch: int) -> None:
        """Add the next entry and wake whoever waits for it."""
        self.frames.append(frame)
        self.epochs.append(epoch)
        self.size_bytes += len(frame) + _FRAME_OVERHEAD_BYTES
        for reader in tuple(self.waiting):
            # Who waits has taken all that came before.
            if self.ended or not reader.passes_on(frame):
                reader.wake(Wake.ENTRY)

    def abandon(self) -> None:
        """Send every reader elsewhere: this is no longer the log."""
        self.abandoned = True
        for reader in tuple(self.waiting):
            reader.wake(Wake.LEAVE)

    def holds(self, cursor: Cursor) -> bool:
        """Whether the cursor's entry is here and was written in the cursor's epoch."""
        place = cursor.seq - self.base
        if cursor.seq == 0 or place <= 0:
            return cursor.seq == self.base == 0
        return place <= len(self.frames) and self.epochs[place - 1] == cursor.epoch

    @property
    def last(self) -> Cursor:
        """The last entry, and its epoch."""
        return Cursor(epoch=self.epochs[-1] if self.epochs else 1, seq=self.last_seq)

    @property
    def before_end(self) -> Cursor | None:
        """The last entry that is not terminal, and its epoch; None: none such is held."""
        count = len(self.frames) - self.ended
        return Cursor(self.epochs[count - 1], self.base + count) if count else None

    @property
    def last_seq(self) -> int:
        """Number of the last entry."""
        return self.base + len(self.frames)


class MemoryReader:
    """A cursor into a `MemoryLog`."""

    __slots__ = ("_future", "_log", "_pending", "_taken", "_takes")

    def __init__(self, log: MemoryLog, seq: int) -> None:
        self._log = log
        self._taken = seq - log.base
        self._future: asyncio.Future[Wake] | None = None
        self._pending: Wake | None = None
        self._takes: Callable[[bytes], bool] | None = None

    @property
    def cursor(self) -> Cursor:
        """The last entry taken."""
        epoch = self._log.epochs[self._taken - 1] if self._taken else 1
        return Cursor(epoch=epoch, seq=self._log.base + self._taken)

    @property
    def at_end(self) -> bool:
        """Whether the terminal entry has been taken."""
        return self._log.ended and self._taken == len(self._log.frames)

    def take(self, max_bytes: int) -> bytes:
        """Return the frames after the cursor that fit, at least one if there is any."""
        frames, start = self._log.frames, self._taken
        waiting = len(frames) - start
        if waiting == 0:
            return b""
        if waiting == 1:  # the live case: one delta, no copy
            self._taken = start + 1
            return frames[start]
        size, stop = len(frames[start]), start + 1
        while stop < len(frames) and size + len(frames[stop]) <= max_bytes:
            size += len(frames[stop])
            stop += 1
        self._taken = stop
        return b"".join(frames[start:stop])

    async def wait(self) -> Wake:
        """Wait for an entry, or for `wake`."""
        if self._pending is not None:
            why, self._pending = self._pending, None
            return why
        if self._taken < len(self._log.frames):
            return Wake.ENTRY
        if self._log.abandoned:
            return Wake.LEAVE
        self._future = asyncio.get_running_loop().create_future()
        self._log.waiting[self] = None
        try:
            why = await self._future
        finally:
            self._forget()  # cancelled: a silent turn's log would collect such futures
            self._future = None
        if why is Wake.IDLE and self._taken < len(self._log.frames):
            return Wake.ENTRY  # came after the wake, before this task ran
        return why

    def offer_to(self, takes: Callable[[bytes], bool]) -> None:
        """Have what comes while this waits taken at once, where it can be."""
        self._takes = takes

    def passes_on(self, frame: bytes) -> bool:
        """Say whether the next entry was taken, and need not be waited for."""
        if self._takes is None or not self._takes(frame):
            return False
        self._taken += 1
        return True

    def wake(self, why: Wake) -> None:
        """Make a pending `wait` return `why`, or the next one if it is LEAVE."""
        if self._future is not None and not self._future.done():
            self._forget()
            self._future.set_result(why)
        elif why is Wake.LEAVE:
            self._pending = why

    def close(self) -> None:
        """Leave no future behind in the log."""
        self._forget()

    def _forget(self) -> None:
        self._log.waiting.pop(self, None)


class MemoryWriter:
    """The holder of a `MemoryLog`."""

    __slots__ = ("_encode", "_epoch", "_log", "_on_end")

    def __init__(
        self, log: MemoryLog, on_end: Callable[[MemoryLog], None], *, epoch: int = 1
    ) -> None:
        self._log = log
        self._epoch = epoch
        self._encode = FrameEncoder(log.turn_id).encode
        self._on_end = on_end

    @property
    def cursor(self) -> Cursor:
        """Epoch held, and the last seq given out."""
        return Cursor(epoch=self._epoch, seq=self._log.last_seq)

    def holds(self, cursor: Cursor) -> bool:
        """Whether the cursor's entry is here and was written in the cursor's epoch."""
        return self._log.holds(cursor)

    def append(self, event: Event) -> int:
        """Encode the event once, number it, and show it."""
        log = self._log
        assert not log.ended, "nothing follows a terminal event"  # noqa: S101  # invariant 1
        seq = log.base + len(log.frames) + 1  # as the property 1,000 instructions more
        frame = self._encode(self._epoch, seq, event)  # may raise: then nothing has happened
        log.ended = event.is_terminal
        log.append(frame, self._epoch)
        return seq

    def close(self) -> None:
        """Let the log expire from now on."""
        self._on_end(self._log)

    def abandon(self) -> None:
        """Send the readers away; without other processes it is never called."""
        self._log.abandon()


class MemoryEventLog:  # noqa: PLR0904  # the seam, and what a shared log needs of it
    """All logs of this process."""

    is_down = False
    """Nothing is shared, so nothing is missing."""

    def __init__(
        self, *, replay_window_s: float, max_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._live: dict[str, MemoryLog] = {}
        self._ended: OrderedDict[str, MemoryLog] = OrderedDict()
        self._ended_bytes = 0
        self._replay_window_s = replay_window_s
        self._max_bytes = max_bytes
        self._clock = clock

    @property
    def size_bytes(self) -> int:
        """What the frames held here take, of ended turns and of those that run."""
        return self._ended_bytes + sum(log.size_bytes for log in self._live.values())

    def create(self, turn_id: str, on_lost: Callable[[], None] | None = None) -> MemoryWriter:  # noqa: ARG002  # never lost here
        """Begin a turn's log."""
        log = MemoryLog(turn_id)
        self._live[turn_id] = log
        return MemoryWriter(log, self._retire)

    def hold(self, log: MemoryLog, epoch: int) -> MemoryWriter:
        """Become the holder of a log that begins with what another process wrote."""
        self._live[log.turn_id] = log
        return MemoryWriter(log, self._retire, epoch=epoch)

    def find(self, turn_id: str) -> MemoryLog | None:
        """Return the log if it is here."""
        return self._live.get(turn_id) or self._ended.get(turn_id)

    def forget(self, turn_id: str) -> None:
        """Drop a live log that is somebody else's now."""
        self._live.pop(turn_id, None)

    async def reach(self, turn_id: str, cursor: Cursor, *, is_running: bool) -> None:
        """Nothing is out of reach here."""

    def attach(self, turn_id: str, cursor: Cursor) -> MemoryReader:
        """Return a reader that starts after the cursor."""
        log = self.find(turn_id)
        if log is None:
            raise LogNotFoundError(turn_id)
        if not log.holds(cursor):
            raise CursorLostError(turn_id)
        return MemoryReader(log, cursor.seq)

    async def settle(self) -> None:
        """Nothing is behind."""

    async def run(self) -> None:
        """Nothing is to be followed."""
        await anyio.sleep_forever()

    def expire(self) -> None:
        """Drop ended logs, oldest first, that are too old or one too many."""
        horizon = self._clock() - self._replay_window_s
        while self._ended:
            oldest = next(iter(self._ended.values()))
            if oldest.ended_at > horizon and self._ended_bytes <= self._max_bytes:
                return
            self._ended_bytes -= oldest.size_bytes
            del self._ended[oldest.turn_id]

    def _retire(self, log: MemoryLog) -> None:
        if self._live.pop(log.turn_id, None) is None:
            return
        former = self._ended.pop(log.turn_id, None)
        if former is not None:  # it had ended here before, and its end was lost elsewhere
            self._ended_bytes -= former.size_bytes
        log.ended_at = self._clock()
        log.waiting = log.waiting or {}  # an emptied one keeps its table, 170 bytes
        self._ended[log.turn_id] = log
        self._ended_bytes += log.size_bytes
        self.expire()
