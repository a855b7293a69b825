"""The reading side: logs that other processes write, mirrored here once for all their readers.

One subscription wakes; per-turn range reads, which never block, fetch what is new; once a second
every mirror is read anyway, so that a lost message costs a second and no more.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import anyio
import structlog

from storage.errors import StorageError
from storage.redis import RedisConnection, Subscription, ask_all
from streaming.cursor import Cursor
from streaming.errors import CursorLostError, LogNotFoundError, LogUnavailableError
from streaming.event_log.memory import MemoryLog, MemoryReader
from streaming.event_log.redis.keys import TOLD, WAKE, channel_of, log_of
from streaming.event_log.replay import ends_log, split_frames

log = structlog.get_logger(__name__)

POLL_EVERY_S = 1.0
CATCH_UP_S = 0.5
"""A reader may come here with a cursor that its former process has not sent on yet."""
LAST_ENTRIES_S = 0.25
"""The same of a turn whose record has ended: they are sent within 50 ms and a call."""

LOST_AFTER_S = 3.0
"""A mirror of what Redis no longer has is given up after that: its holder, if it lives, sends all
of it again within a renewal; if the turn has ended nobody does, and readers would wait for ever.
So is one that cannot be read for so long: elsewhere its readers may come to the turn's worker."""

KEEP_UNREAD_S = 10.0
"""A mirror without readers is kept so long: readers come back."""

_BATCHES_PER_CALL = 500
_MOST_BATCHES = 50
"""Of one turn in one call: the driver takes 50 us for each, in which nothing else runs. Measured:
20 logs of 500 batches at once held the loop for 0.3 s in one piece each, for 0.03 s in these."""

_TURNS_PER_CALL = 100
_RETRY_S = 0.25

Entry = tuple[bytes, Mapping[bytes, bytes]]


class Mirror:
    """A log as it is in Redis, and how many read it here."""

    def __init__(self, turn_id: str) -> None:
        self.log = MemoryLog(turn_id)
        self.readers = 0
        self.read_at = 0.0
        self.lock = anyio.Lock()
        self.used_at = monotonic()
        self.missing_since: float | None = None
        self.failing_since: float | None = None
        self.failed_at = 0.0
        self.grown = asyncio.Event()

    def apply(self, entries: Iterable[Entry]) -> bool:
        """Append what is new; False where it is not what this mirror goes on with.

        A stream that lost its tail in a failover, and was written on by another holder, must not be
        glued to what its readers have seen.
        """
        for _, fields in entries:
            epoch, before, first, frames = _batch(fields)
            mine = self.log
            if not mine.frames:
                mine.base = first - 1
            if first > mine.last_seq + 1:
                return False
            if not self._goes_on(first, before) or not self._goes_on(first + 1, epoch):
                return False
            for frame in frames[mine.last_seq + 1 - first :]:
                mine.append(frame, epoch)
            mine.ended = ends_log(mine.frames)
        self.grown.set()
        self.grown = asyncio.Event()
        return True

    def was_read(self, at: float) -> None:
        """Note that Redis told what was new at a time."""
        self.read_at = at
        self.failing_since = None

    def failed(self, at: float) -> None:
        """Note that Redis did not answer what it was asked at a time."""
        self.failed_at = at
        if self.failing_since is None:
            self.failing_since = at

    def _goes_on(self, seq: int, epoch: int) -> bool:
        """Whether the entry before `seq`, where it is here, was written in the epoch."""
        place = seq - 1 - self.log.base
        return not 0 < place <= len(self.log.epochs) or self.log.epochs[place - 1] == epoch


class MirrorReader(MemoryReader):
    """A cursor into a mirror; counted."""

    __slots__ = ("_mirror",)

    def __init__(self, mirror: Mirror, seq: int) -> None:
        super().__init__(mirror.log, seq)
        self._mirror: Mirror | None = mirror
        mirror.readers += 1

    def offer_to(self, takes: Callable[[bytes], bool]) -> None:
        """Be woken: entries come in batches here, and a batch tells its end only after it."""

    def close(self) -> None:
        """Count the reader out, once."""
        super().close()
        if self._mirror is not None:
            self._mirror.readers -= 1
            self._mirror.used_at = monotonic()
            self._mirror = None


class Mirrors:
    """The logs of other processes that somebody reads here.

    Args:
        connection: To Redis.
        worker_id: Who listens: others see by it that this worker is connected.
        on_told: Told of every turn for whose holder there is a command.
    """

    def __init__(
        self, connection: RedisConnection, *, worker_id: str, on_told: Callable[[str], None]
    ) -> None:
        self._connection = connection
        self._channels = (WAKE, TOLD, channel_of(worker_id))
        self.listening_since: float | None = None
        self._is_deaf = False
        self._is_blind = False
        self._on_told = on_told
        self._mirrors: dict[str, Mirror] = {}
        self._woken: set[str] = set()
        self._due = asyncio.Event()

    @property
    def size_bytes(self) -> int:
        """What the frames held here of other workers' turns take."""
        return sum(mirror.log.size_bytes for mirror in self._mirrors.values())

    async def reach(self, turn_id: str, cursor: Cursor, *, is_running: bool) -> None:
        """Mirror a log as it is now; wait a moment for what a reader has seen elsewhere.

        Raises:
            LogNotFoundError: Redis holds no log of the turn.
            LogUnavailableError: Redis cannot be reached.
        """
        asked_at = monotonic()
        mirror = self._mirrors.setdefault(turn_id, Mirror(turn_id))
        mirror.used_at = asked_at
        async with mirror.lock:  # of many who come at once one reads, for all who came before it
            if not mirror.log.ended and mirror.read_at < asked_at:
                if mirror.failed_at >= asked_at or self._is_lost:
                    raise self._unavailable(mirror)
                await self._read_now(mirror)
        wanted = max(cursor.seq, 1)
        # Of an ended one the last entries are on their way, unless its worker has died just then.
        with anyio.move_on_after(CATCH_UP_S if is_running else LAST_ENTRIES_S):
            while mirror.log.last_seq < wanted and not mirror.log.ended:
                if not is_running and not mirror.log.frames:
                    break
                await mirror.grown.wait()
        if not mirror.log.frames:
            self._drop(mirror)
            raise LogNotFoundError(turn_id)

    async def fetch(self, turn_id: str) -> MemoryLog:
        """Return a log as it is in Redis now; empty where there is none.

        Raises:
            LogUnavailableError: Redis cannot be reached.
        """
        mirror = self._mirrors.setdefault(turn_id, Mirror(turn_id))
        await self._read_now(mirror)
        return mirror.log

    def attach(self, turn_id: str, cursor: Cursor) -> MirrorReader:
        """Return a reader of a log that `reach` has just mirrored.

        Raises:
            LogNotFoundError: it is not mirrored.
            CursorLostError: the cursor's entry is not in it.
        """
        mirror = self._mirrors.get(turn_id)
        if mirror is None or mirror.log.abandoned:
            raise LogNotFoundError(turn_id)
        if not mirror.log.holds(cursor):
            raise CursorLostError(turn_id)
        return MirrorReader(mirror, cursor.seq)

    def find(self, turn_id: str) -> MemoryLog | None:
        """Return a mirrored log."""
        mirror = self._mirrors.get(turn_id)
        return None if mirror is None else mirror.log

    def give(self, log: MemoryLog) -> None:
        """Hand a mirrored log to whoever produces it here from now on; its readers stay with it.

        Readers of another log of that turn are sent away.
        """
        mirror = self._mirrors.pop(log.turn_id, None)
        if mirror is not None and mirror.log is not log:
            mirror.log.abandon()

    def expire(self) -> None:
        """Drop mirrors that nobody has read for a while."""
        horizon = monotonic() - KEEP_UNREAD_S
        for mirror in list(self._mirrors.values()):
            if mirror.readers == 0 and mirror.used_at < horizon:
                self._drop(mirror)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            tasks.start_soon(self._poll)
            while True:
                await self._due.wait()
                self._due.clear()
                woken, self._woken = self._woken, set()
                try:
                    await self._read(
                        [self._mirrors[each] for each in woken if each in self._mirrors]
                    )
                except StorageError:  # the poll comes again
                    await anyio.sleep(_RETRY_S)

    @property
    def _is_lost(self) -> bool:
        """Whether Redis is asked by who listens only, however many readers come meanwhile."""
        return self._is_deaf and self._is_blind

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear_all()
            except StorageError as error:
                if not self._is_deaf:
                    log.warning("event_log.not_listening", reason=str(error))
                self._is_deaf = True
                await anyio.sleep(_RETRY_S)

    async def _hear_all(self) -> None:
        async with self._connection.subscribe(*self._channels) as subscription:
            if self._is_deaf:
                log.info("event_log.listening_again")
            self._is_deaf = False
            self.listening_since = monotonic()
            try:
                await self._hear_from(subscription)
            finally:
                self.listening_since = None

    async def _hear_from(self, subscription: Subscription) -> None:
        while True:
            message = await subscription.get(POLL_EVERY_S)
            if message is not None:
                self._hear(*message)

    async def _poll(self) -> None:
        while True:
            await anyio.sleep(POLL_EVERY_S)
            self._wake([each for each, mirror in self._mirrors.items() if not mirror.log.ended])
            with suppress(StorageError):  # who is asked again in a second
                await self._drop_lost()
            self._drop_unread()
            self.expire()

    async def _drop_lost(self) -> None:
        """Send readers away from mirrors of logs that Redis has lost; the record knows the rest."""
        mirrors = [each for each in self._mirrors.values() if not each.log.ended]
        if not mirrors:
            return
        commands = [("EXISTS", log_of(mirror.log.turn_id)) for mirror in mirrors]
        async with self._connection.call() as client:
            answers = await ask_all(client, commands)
        now = monotonic()
        for mirror, exists in zip(mirrors, answers, strict=True):
            if exists:
                mirror.missing_since = None
            elif mirror.missing_since is None:
                mirror.missing_since = now
            elif now - mirror.missing_since >= LOST_AFTER_S:
                log.warning("event_log.lost", turn_id=mirror.log.turn_id)
                self._drop(mirror)

    def _drop_unread(self) -> None:
        """Send readers away from mirrors that Redis has not told anything of for too long."""
        horizon = monotonic() - LOST_AFTER_S
        for mirror in list(self._mirrors.values()):
            if mirror.failing_since is not None and mirror.failing_since <= horizon:
                log.warning("event_log.unread", turn_id=mirror.log.turn_id)
                self._drop(mirror)

    def _wake(self, turn_ids: Sequence[str]) -> None:
        self._woken.update(each for each in turn_ids if each in self._mirrors)
        if self._woken:
            self._due.set()

    def _hear(self, channel: str, message: bytes) -> None:
        if channel == TOLD:
            self._on_told(message.decode())
        else:
            self._wake(message.decode().split())

    async def _read_now(self, mirror: Mirror) -> None:
        try:
            await self._read([mirror])
        except StorageError as error:
            raise self._unavailable(mirror) from error

    def _unavailable(self, mirror: Mirror) -> LogUnavailableError:
        if mirror.readers == 0:
            self._drop(mirror)
        return LogUnavailableError(mirror.log.turn_id)

    async def _read(self, mirrors: Sequence[Mirror]) -> None:
        """Fetch what is new of some logs; as often as it takes. Safe to run twice at a time."""
        left = [mirror for mirror in mirrors if not mirror.log.ended]
        while left:
            now, some = monotonic(), left[:_TURNS_PER_CALL]
            most = min(_MOST_BATCHES, _BATCHES_PER_CALL // len(some))
            commands = [
                (
                    "XRANGE",
                    log_of(each.log.turn_id),
                    f"({each.log.last_seq}-0",
                    "+",
                    "COUNT",
                    most,
                )
                for each in some
            ]
            try:
                async with self._connection.call() as client:
                    answers = await ask_all(client, commands)
            except StorageError:
                self._is_blind = True
                for mirror in left:
                    mirror.failed(now)
                raise
            self._is_blind = False
            again = [
                mirror
                for mirror, entries in zip(some, answers, strict=True)
                if self._took(mirror, entries, now) and len(entries) == most
            ]
            left = [*again, *left[_TURNS_PER_CALL:]]

    def _took(self, mirror: Mirror, entries: Any, now: float) -> bool:
        """Apply an answer; False where it is of no use."""
        mirror.was_read(now)
        if not mirror.apply(entries):
            log.warning("event_log.rewound", turn_id=mirror.log.turn_id)
            self._drop(mirror)
            return False
        return True

    def _drop(self, mirror: Mirror) -> None:
        if self._mirrors.get(mirror.log.turn_id) is mirror:
            del self._mirrors[mirror.log.turn_id]
        if mirror.readers:
            mirror.log.abandon()


def _batch(fields: Mapping[bytes, bytes]) -> tuple[int, int, int, list[bytes]]:
    frames = split_frames(fields[b"f"])
    return int(fields[b"e"]), int(fields[b"p"]), int(fields[b"s"]), frames
