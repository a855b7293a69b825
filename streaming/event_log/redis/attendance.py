"""Which workers are connected: a killed one is gone at once, long before its leases run out.

The kernel closes a dead process's connections, and Redis drops its subscription. So each worker
subscribes to a channel of its own, on the link that it listens on anyway, and the others ask how
many listen there. What is taken from a worker that lives, and was only cut off from Redis, is
fenced as ever: haste can cost another question to the model, never a word.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import monotonic

import structlog

from storage.redis import RedisConnection, Script, ask, ask_all
from streaming.event_log.redis.keys import RUNNING, WORKERS, channel_of, lease_of

log = structlog.get_logger(__name__)

GONE_AFTER_S = 1.0
"""Who connects anew after a cut has this long."""

LISTENED_S = 3.0
"""Who has listened for less has just lost its own link: maybe all have, as in a failover."""

_TURNS_PER_CALL = 200
_END_LEASES = Script(Path(__file__).with_name("end_leases.lua"))


class Attendance:
    """Ends the leases of workers that are gone.

    In a cluster nothing is ended: its nodes tell only of their own subscribers.

    Args:
        connection: To Redis.
        worker_id: Who looks.
        listening_since: Since when this worker listens itself, in monotonic time; None: not now.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        worker_id: str,
        listening_since: Callable[[], float | None],
    ) -> None:
        self._connection = connection
        self._worker_id = worker_id
        self._listening_since = listening_since
        self._missing_since: dict[str, float] = {}

    async def look(self) -> None:
        """End what has to be ended now.

        Raises:
            StorageError: Redis cannot be reached.
        """
        since, now = self._listening_since(), monotonic()
        if self._connection.is_cluster or since is None or now - since < LISTENED_S:
            self._missing_since.clear()
            return
        missing = await self._missing()
        self._missing_since = {each: self._missing_since.get(each, now) for each in missing}
        for worker_id, missing_since in list(self._missing_since.items()):
            if now - missing_since >= GONE_AFTER_S:
                await self._end_leases_of(worker_id)
                del self._missing_since[worker_id]

    async def _missing(self) -> Sequence[str]:
        async with self._connection.call() as client:
            _, known = await ask_all(
                client, [("SADD", WORKERS, self._worker_id), ("SMEMBERS", WORKERS)]
            )
            workers = [each.decode() for each in known if each.decode() != self._worker_id]
            if not workers:
                return []
            counted = await ask(client, "PUBSUB", "NUMSUB", *map(channel_of, workers))
        return [who for who, count in zip(workers, counted[1::2], strict=True) if count == 0]

    async def _end_leases_of(self, worker_id: str) -> None:
        async with self._connection.call() as client:
            running = [turn.decode() for turn in await ask(client, "ZRANGE", RUNNING, 0, -1)]
        ended = 0
        for turns in _chunks(running):
            keys = [RUNNING, *map(lease_of, turns)]
            ended += await self._connection.run(_END_LEASES, keys, [worker_id, *turns])
        async with self._connection.call() as client:
            await ask(client, "SREM", WORKERS, worker_id)
        if ended:
            log.warning("worker.gone", worker_id=worker_id, turns=ended)


def _chunks(turns: Sequence[str]) -> Iterable[Sequence[str]]:
    return (
        turns[start : start + _TURNS_PER_CALL] for start in range(0, len(turns), _TURNS_PER_CALL)
    )
