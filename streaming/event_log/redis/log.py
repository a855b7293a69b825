"""The shared event log: memory for the readers here, Redis for everybody else's."""

from collections.abc import Callable

import anyio
import structlog

from storage.redis import RedisConnection
from streaming.cursor import Cursor
from streaming.event_log.base import EventReader
from streaming.event_log.memory import MemoryEventLog, MemoryLog
from streaming.event_log.redis.fitness import unfit
from streaming.event_log.redis.following import Mirrors
from streaming.event_log.redis.writing import (
    OnCommand,
    OnRead,
    OnRepeated,
    Outbox,
    RedisWriter,
)

log = structlog.get_logger(__name__)

LOOK_FOR_REDIS_EVERY_S = 0.5


def _nothing() -> None:
    """Nobody wants to know."""


class RedisEventLog:  # noqa: PLR0904  # the seam, and what the leases need of it
    """All logs that this process can reach, its own and others'.

    Args:
        connection: To Redis.
        memory: The logs of this process.
        worker_id: Who holds the leases.
        keep_s: How long logs stay in Redis after their last entry.
        on_command: Told of commands for turns that are held here.
        on_read: Told for how many seconds yet turns held here are known to be read elsewhere.
        on_repeated: Told of entries that Redis had already, as its answer had been lost.
    """

    def __init__(
        self,
        connection: RedisConnection,
        memory: MemoryEventLog,
        *,
        worker_id: str,
        keep_s: float,
        on_command: OnCommand,
        on_read: OnRead,
        on_repeated: OnRepeated = _nothing,
    ) -> None:
        self._connection = connection
        self._memory = memory
        self._outbox = Outbox(
            connection,
            worker_id=worker_id,
            keep_s=keep_s,
            on_command=on_command,
            on_read=on_read,
            on_repeated=on_repeated,
        )
        self._mirrors = Mirrors(connection, worker_id=worker_id, on_told=self._outbox.look)

    @property
    def is_down(self) -> bool:
        """Whether Redis could not be reached when something was last sent."""
        return self._outbox.is_down

    @property
    def size_bytes(self) -> int:
        """What the logs held here take, those of other workers included."""
        return self._memory.size_bytes + self._mirrors.size_bytes

    @property
    def listening_since(self) -> float | None:
        """Since when this process hears of what others write, in monotonic time."""
        return self._mirrors.listening_since

    def create(self, turn_id: str, on_lost: Callable[[], None] | None = None) -> RedisWriter:
        """Begin a turn's log in epoch 1 and become its holder."""
        return self.hold(MemoryLog(turn_id), 1, on_lost or _nothing)

    def hold(self, log: MemoryLog, epoch: int, on_lost: Callable[[], None]) -> RedisWriter:
        """Go on with a log in an epoch that was granted."""
        self._mirrors.give(log)
        writer = RedisWriter(log, self._memory, self._outbox, epoch=epoch, on_lost=on_lost)
        self._outbox.hold(writer)
        return writer

    async def fetch(self, turn_id: str) -> MemoryLog:
        """Return a log as it is in Redis now; empty where there is none.

        Raises:
            LogUnavailableError: Redis cannot be reached.
        """
        return await self._mirrors.fetch(turn_id)

    async def reach(self, turn_id: str, cursor: Cursor, *, is_running: bool) -> None:
        """Bring a log of another process within reach of `attach`."""
        if self._memory.find(turn_id) is None:
            await self._mirrors.reach(turn_id, cursor, is_running=is_running)

    def attach(self, turn_id: str, cursor: Cursor) -> EventReader:
        """Return a reader that starts after the cursor."""
        if self._memory.find(turn_id) is not None:
            return self._memory.attach(turn_id, cursor)
        return self._mirrors.attach(turn_id, cursor)

    def find(self, turn_id: str) -> MemoryLog | None:
        """Return a log as it is here now."""
        return self._memory.find(turn_id) or self._mirrors.find(turn_id)

    def expire(self) -> None:
        """Drop what is too old here; Redis drops its own by itself."""
        self._memory.expire()
        self._mirrors.expire()

    def drop(self, turn_id: str) -> None:
        """Send nothing more of a turn, and keep its lease no longer."""
        self._outbox.drop(turn_id)

    async def settle(self) -> None:
        """Wait until everything is sent; whoever waits bounds it."""
        await self._outbox.settle()

    async def run(self) -> None:
        """Send, renew and follow until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._outbox.run)
            tasks.start_soon(self._mirrors.run)
            tasks.start_soon(self._tell_unfit)

    async def _tell_unfit(self) -> None:
        """Tell the operator what is wrong with Redis, once it is there."""
        while self.listening_since is None:  # noqa: ASYNC110  # nobody waits for it
            await anyio.sleep(LOOK_FOR_REDIS_EVERY_S)
        for hint in await unfit(self._connection):
            log.warning("event_log.redis_unfit", hint=hint)
