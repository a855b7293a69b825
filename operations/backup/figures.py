"""What charts are drawn from, in Redis: `{metrics}:minute:…` and its kind of docs/redis-keys.md."""

import gzip
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from metrics.archive.base import LEVELS, Level
from operations.backup.archive import Part, packing, sealed
from operations.backup.redis import TIMEOUT_S, connected
from storage.redis import Client, ask, ask_all

NAME = "figures-redis.jsonl.gz"

_BATCH = 500
"""Periods asked for at once."""


class Kept(msgspec.Struct):
    """A period: its level, its number since 1970, and what is stored of it, which is JSON."""

    level: str
    number: int
    figures: str


async def dump(url: str, folder: Path) -> list[Part]:
    """Write all periods that there are into a file; none where there are none.

    Raises:
        OperationError: Redis did not answer.
    """
    path, count = folder / NAME, 0
    async with connected(url) as connection, connection.call(TIMEOUT_S) as client:
        with packing(path) as file:
            async for kept in _held(client):
                file.write(msgspec.json.encode(kept) + b"\n")
                count += 1
    if not count:
        path.unlink()
        return []
    return [sealed(path, "redis_figures", entries=count)]


async def load(url: str, part: Part, folder: Path) -> None:
    """Put periods back that are neither over nor there: what is there has all that was archived.

    Raises:
        OperationError: Redis did not answer; do it again.
    """
    async with connected(url) as connection, connection.call(TIMEOUT_S) as client:
        now = await _now(client)
        with gzip.open(folder / part.path, "rb") as lines:
            while batch := [msgspec.json.decode(line, type=Kept) for line in islice(lines, _BATCH)]:
                await ask_all(client, _commands(batch, now))


async def _held(client: Client) -> AsyncIterator[Kept]:
    now = await _now(client)
    for level, numbers in _batches(now):
        held = await ask(client, "MGET", *(_key(level.name, number) for number in numbers))
        for number, figures in zip(numbers, held, strict=True):
            if figures is not None:
                yield Kept(level.name, number, figures.decode())


def _commands(batch: Sequence[Kept], now: int) -> list[tuple[str | int, ...]]:
    levels = {level.name: level for level in LEVELS}
    return [
        ("SET", _key(each.level, each.number), each.figures, "NX", "PX", left)
        for each in batch
        if (left := _left_ms(levels[each.level], each.number, now)) > 0
    ]


def _batches(now: int) -> Iterator[tuple[Level, range]]:
    for level in LEVELS:
        last = now // level.step_s
        first = last - round(level.keep_s / level.step_s)
        for start in range(first, last + 1, _BATCH):
            yield level, range(start, min(start + _BATCH, last + 1))


def _left_ms(level: Level, number: int, now: int) -> int:
    return round((number * level.step_s + level.keep_s - now) * 1000)


def _key(level: str, number: int) -> str:
    return f"{{metrics}}:{level}:{number}"


async def _now(client: Client) -> int:
    return int((await ask(client, "TIME"))[0])
