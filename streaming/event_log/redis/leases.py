"""Leases: who produces a turn. Whoever dies loses them, and another process goes on.

The next holder has an epoch of its own; the former one is refused, however late it wakes.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from time import monotonic

from storage.errors import StorageError
from storage.redis import RedisConnection, Script, ask
from streaming.errors import LogUnavailableError
from streaming.event_log.base import OVERDUE_AT_ONCE, Taken
from streaming.event_log.memory import MemoryLog
from streaming.event_log.redis.attendance import Attendance
from streaming.event_log.redis.keys import RUNNING, TOLD, commands_of, lease_of, log_of
from streaming.event_log.redis.log import RedisEventLog
from streaming.event_log.redis.reading import note_readers
from streaming.event_log.redis.writing import LEASE_S, kept_ms

_HERE = Path(__file__).parent
_OVERDUE, _TAKE, _TELL, _RELEASE = (
    Script(_HERE / f"{name}.lua") for name in ("overdue", "take", "tell", "release")
)
_MOST_COMMANDS = 20
_COMMANDS_KEPT_MS = 60_000

RETURN_S = 2.0
"""Where Redis was away here, leases may have run out of which the holders live: they have so long
to get them back, which they try several times a second."""


class RedisLeases:
    """The leases on turns, and commands for their holders.

    Args:
        connection: To Redis.
        event_log: The logs that go with the leases.
        worker_id: Who takes over here.
        keep_s: How long logs stay in Redis after their last entry.
    """

    def __init__(
        self,
        connection: RedisConnection,
        event_log: RedisEventLog,
        *,
        worker_id: str,
        keep_s: float,
    ) -> None:
        self._connection = connection
        self._event_log = event_log
        self._worker_id = worker_id
        self._keep_ms = kept_ms(keep_s)
        self._failed_at = float("-inf")
        self._attendance = Attendance(
            connection, worker_id=worker_id, listening_since=lambda: event_log.listening_since
        )

    async def overdue(self) -> Sequence[str]:
        """Return turns whose leases have run out, the longest first."""
        try:
            await self._attendance.look()
            found = await self._connection.run(_OVERDUE, [RUNNING], [OVERDUE_AT_ONCE])
        except StorageError as error:
            self._failed_at = monotonic()
            raise LogUnavailableError(str(error)) from error
        if monotonic() < self._failed_at + RETURN_S:
            return []
        return [turn_id.decode() for turn_id in found]

    async def take(
        self, turn_id: str, *, epoch: int, last_seq: int, on_lost: Callable[[], None]
    ) -> Taken | None:
        """Become the holder of a turn that nobody holds; None where somebody does."""
        asked = (self._worker_id, round(LEASE_S * 1000), self._keep_ms, epoch, last_seq)
        try:
            is_ours, held, last, takeovers, until = await self._connection.run(
                _TAKE, [lease_of(turn_id), log_of(turn_id)], asked
            )
            if is_ours:  # nobody need look at it any more
                await self._list(turn_id, until)
        except StorageError as error:
            self._failed_at = monotonic()
            raise LogUnavailableError(turn_id) from error
        if not is_ours:
            return None
        log = _taken_log(await self._event_log.fetch(turn_id), turn_id, last)
        writer = self._event_log.hold(log, held, on_lost)
        return Taken(writer, tuple(log.frames), log.base, takeovers)

    async def release(self, turn_id: str, epoch: int, *, after_s: float = 0) -> bool:
        """End the lease of a turn held here, for another process to take it."""
        self._event_log.drop(turn_id)
        try:
            is_ours = await self._connection.run(
                _RELEASE, [lease_of(turn_id)], [self._worker_id, epoch, round(after_s * 1000)]
            )
            if is_ours:
                await self._list(turn_id, 0)
        except StorageError:
            return False
        return bool(is_ours)

    async def _list(self, turn_id: str, until_ms: int) -> None:
        async with self._connection.call() as client:
            await ask(client, "ZADD", RUNNING, until_ms, turn_id)

    async def tell(self, turn_id: str, command: bytes) -> bool:
        """Leave a command for whoever holds a turn; False where nobody does."""
        arguments = (command, _MOST_COMMANDS, _COMMANDS_KEPT_MS, TOLD, turn_id)
        try:
            told = await self._connection.run(
                _TELL, [lease_of(turn_id), commands_of(turn_id)], arguments
            )
        except StorageError as error:
            raise LogUnavailableError(turn_id) from error
        return bool(told)

    async def tell_readers(
        self, *, read: Collection[str], left: Collection[str], for_s: float
    ) -> None:
        """Tell the holders of turns which of them are read here."""
        try:
            await note_readers(self._connection, self._worker_id, read, for_s=for_s)
            await note_readers(self._connection, self._worker_id, left, for_s=0)
        except StorageError as error:
            raise LogUnavailableError(str(error)) from error

    async def unlist(self, turn_id: str) -> None:
        """Name a turn as overdue no more: it has ended."""
        try:
            async with self._connection.call() as client:
                await ask(client, "ZREM", RUNNING, turn_id)
        except StorageError as error:
            raise LogUnavailableError(turn_id) from error


def _taken_log(found: MemoryLog, turn_id: str, last: int) -> MemoryLog:
    """Return the log to go on with: what is in Redis, or nothing where entries are missing."""
    is_whole = found.last_seq == last and not found.abandoned
    return found if is_whole else MemoryLog(turn_id, last)
