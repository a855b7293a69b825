"""What every archive promises: figures of minutes and hours, kept, and counted once."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from metrics.archive.base import (
    FIVE_MINUTES,
    HOUR,
    MINUTE,
    Archive,
    ArchiveUnavailableError,
    Charted,
    Level,
)
from metrics.archive.sqlite import SqliteArchive
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS
from metrics.redis.archive import RedisArchive
from storage.redis import RedisConnection
from storage.sqlite import SqliteDatabase
from tests.support.redis import RedisServer, running_redis

PATIENCE_S = 20.0


class Archives(ABC):
    """An archive that is empty at first, and how to come back to it and to lose it."""

    def __init__(self) -> None:
        self.archive = self.opened()

    @abstractmethod
    def opened(self) -> Archive: ...

    @abstractmethod
    async def close(self) -> None: ...

    async def reopen(self) -> None:
        await self.close()
        self.archive = self.opened()

    @abstractmethod
    def lost(self) -> Archive:
        """Return an archive that cannot be reached."""


class SqliteArchives(Archives):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__()

    def opened(self) -> Archive:
        self._file = SqliteArchive(
            lambda: SqliteDatabase(self._folder / "metrics.db", timeout_s=PATIENCE_S)
        )
        return self._file

    async def close(self) -> None:
        await self._file.close()

    def lost(self) -> Archive:
        (self._folder / "in the way").touch()
        return SqliteArchive(lambda: SqliteDatabase(self._folder / "in the way" / "metrics.db"))


class RedisArchives(Archives):
    def __init__(self, server: RedisServer) -> None:
        self._server = server
        with server.client() as client:
            client.flushall()
        super().__init__()

    def opened(self) -> Archive:
        self._connection = RedisConnection(self._server.url, timeout_s=PATIENCE_S)
        return RedisArchive(self._connection)

    async def close(self) -> None:
        await self._connection.close()

    def lost(self) -> Archive:
        return RedisArchive(RedisConnection("redis://127.0.0.1:1", timeout_s=0.5))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.services)])
async def archives(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archives]:
    made: Archives
    if request.param == "redis":
        made = RedisArchives(request.getfixturevalue("server"))
    else:
        made = SqliteArchives(tmp_path)
    yield made
    await made.close()


def charted(
    number: int = 1, *, writer: str = "w", age_s: float = 0.0, turns: int = 1, peak: float = 1
) -> Charted:
    delta = Delta(COARSE_BOUNDS)
    delta.count("started.on", turns)
    delta.observe("ttft.on", [0.25] * turns)
    delta.peak("active_turns", peak)
    return Charted(writer, number, age_s, delta)


async def turns(archive: Archive, level: Level = HOUR, periods: int = 48) -> list[float]:
    """Return the turns of each period that was kept."""
    kept = await archive.read(level, periods)
    return [period.delta.counters["started.on"] for period in kept]


async def total(archive: Archive, level: Level = HOUR) -> float:
    return sum(await turns(archive, level))


async def test_an_archive_is_empty_at_first(archives: Archives) -> None:
    assert list(await archives.archive.read(MINUTE, 60)) == []


async def test_figures_of_one_period_add_up_and_the_highest_peak_stays(archives: Archives) -> None:
    archive = archives.archive
    for number, (peak, writer) in enumerate([(3, "a"), (9, "b"), (4, "a")], start=1):
        await archive.add([charted(number, writer=writer, age_s=7200.0, turns=2, peak=peak)])

    periods = await archive.read(HOUR, 48)

    counted = sum(period.delta.counters["started.on"] for period in periods)
    assert counted == 6
    assert sum(period.delta.histograms["ttft.on"].count for period in periods) == 6
    assert sum(period.delta.histograms["ttft.on"].sum for period in periods) == pytest.approx(1.5)
    assert max(period.delta.maxima["active_turns"] for period in periods) == 9


@pytest.mark.parametrize("level", [MINUTE, FIVE_MINUTES, HOUR])
async def test_figures_are_in_the_periods_of_their_age_in_all_levels(
    archives: Archives, level: Level
) -> None:
    archive = archives.archive
    now = time.time()
    ages = (0.0, level.step_s * 1.0, level.step_s * 5.0)
    await archive.add([charted(n, age_s=age_s) for n, age_s in enumerate(ages, start=1)])

    periods = await archive.read(level, 7)

    expected = sorted(now - now % level.step_s - age_s for age_s in ages)
    found = [period.began_s for period in periods]
    late_s = found[0] - expected[0]  # a period may have ended meanwhile
    assert late_s in {0, level.step_s}
    assert found == [began_s + late_s for began_s in expected]


async def test_only_what_is_asked_for_is_read(archives: Archives) -> None:
    archive = archives.archive
    await archive.add([charted(n, age_s=n * 60.0) for n in range(1, 11)])

    last = await archive.read(MINUTE, 4)
    earlier = await archive.read(MINUTE, 3, until_s=time.time() - 360)

    assert 3 <= len(last) <= 4
    assert 2 <= len(earlier) <= 3
    assert max(p.began_s for p in earlier) < min(p.began_s for p in last)


async def test_what_is_repeated_counts_once(archives: Archives) -> None:
    archive = archives.archive
    both = [charted(1), charted(2, turns=5)]

    for batches in (both, both, [both[1]], [both[0]], [*both, charted(3, turns=10)]):
        await archive.add(batches)

    assert await total(archive) == 16


async def test_writers_have_numbers_of_their_own(archives: Archives) -> None:
    archive = archives.archive

    for writer in ("a", "b", "a"):
        await archive.add([charted(1, writer=writer)])

    assert await total(archive) == 2


async def test_what_was_added_is_there_after_a_restart_and_still_counts_once(
    archives: Archives,
) -> None:
    await archives.archive.add([charted(1), charted(2)])
    await archives.reopen()

    await archives.archive.add([charted(2), charted(3)])

    assert await total(archives.archive) == await total(archives.archive, MINUTE) == 3


async def test_an_archive_that_is_away_says_so(archives: Archives) -> None:
    lost = archives.lost()

    with pytest.raises(ArchiveUnavailableError):
        await lost.add([charted()])
    with pytest.raises(ArchiveUnavailableError):
        await lost.read(MINUTE, 60)
