"""The archive in Redis: a key for each period, which all workers add to."""

from collections.abc import Sequence
from pathlib import Path

from metrics.archive.base import LEVELS, ArchiveUnavailableError, Charted, Level, Period
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS
from metrics.redis.keys import PREFIX, archived_by
from storage.errors import StorageError
from storage.redis import RedisConnection, Script, ask

_ADD = Script(Path(__file__).with_name("merge.lua"), Path(__file__).with_name("archive.lua"))
_LEVELS = tuple(
    part
    for level in LEVELS
    for part in (level.name, level.step_s * 1000, round(level.keep_s * 1000))
)


class RedisArchive:
    """Periods as keys that expire; the server's clock tells which they are.

    Args:
        connection: To Redis; not closed with this.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def add(self, charted: Sequence[Charted]) -> None:
        by_writer: dict[str, list[str | bytes | int]] = {}
        for each in charted:
            batch = (each.number, round(each.age_s * 1000), each.delta.encode())
            by_writer.setdefault(each.writer, []).extend(batch)
        try:
            for writer, batches in by_writer.items():
                arguments = (PREFIX, len(LEVELS), *_LEVELS, *batches)
                await self._connection.run(_ADD, [archived_by(writer)], arguments)
        except StorageError as error:
            raise ArchiveUnavailableError(str(error)) from error

    async def read(
        self, level: Level, periods: int, *, until_s: float | None = None
    ) -> Sequence[Period]:
        try:
            async with self._connection.call() as client:
                if until_s is None:
                    until_s = int((await ask(client, "TIME"))[0])
                last = int(until_s // level.step_s)
                numbers = range(last - periods + 1, last + 1)
                keys = [f"{PREFIX}{level.name}:{number}" for number in numbers]
                held = await ask(client, "MGET", *keys)
        except StorageError as error:
            raise ArchiveUnavailableError(str(error)) from error
        return [
            Period(number * level.step_s, Delta.decode(figures, COARSE_BOUNDS))
            for number, figures in zip(numbers, held, strict=True)
            if figures is not None
        ]
