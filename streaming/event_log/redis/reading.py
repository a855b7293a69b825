"""Who reads turns that another worker holds: told to the holder by way of Redis, until it lapses.

A state, not messages: one entry for each worker that has readers of a turn. Whoever comes to hold
the turn finds it, and of a worker that died nothing is left after a while.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from storage.redis import RedisConnection, Script
from streaming.event_log.redis.keys import TOLD, readers_of

_TURNS_PER_CALL = 200
_READING = Script(Path(__file__).with_name("reading.lua"))


async def note_readers(
    connection: RedisConnection, worker_id: str, turn_ids: Iterable[str], *, for_s: float
) -> None:
    """Note that a worker has readers of these turns, for so many seconds; 0: none any more.

    One call for all of them; in a cluster one a turn, because they are in different slots.

    Raises:
        StorageError: it may have been noted of some.
    """
    size = 1 if connection.is_cluster else _TURNS_PER_CALL
    rest = iter(turn_ids)
    while some := list(islice(rest, size)):
        arguments: list[str | bytes | int | float] = [worker_id, round(for_s * 1000), TOLD, *some]
        await connection.run(_READING, [readers_of(turn_id) for turn_id in some], arguments)
