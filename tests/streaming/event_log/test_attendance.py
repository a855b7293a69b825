"""A worker whose connections are gone has lost its turns at once; who only rests keeps them."""

from collections.abc import Iterator
from time import monotonic

import anyio
import pytest

from streaming.event_log.redis import attendance
from streaming.event_log.redis.keys import WORKERS, channel_of
from tests.streaming.event_log.workers import TURN, Worker, on_two_workers, say, until
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance, "LISTENED_S", 0.0)


async def both_are_there(a: Worker, b: Worker) -> list[str]:
    """Let both look until each is known and heard of; return what was overdue meanwhile."""
    named: list[str] = []

    async def is_so() -> bool:
        named.extend([*await a.leases.overdue(), *await b.leases.overdue()])
        listed = await b.redis("SCARD", WORKERS)
        counted = await b.redis("PUBSUB", "NUMSUB", channel_of("a"), channel_of("b"))
        return (listed, counted) == (2, [b"chat:worker:a", 1, b"chat:worker:b", 1])

    await until(is_so)
    return named


async def overdue_after_s(b: Worker) -> float:
    """Return how long it takes until the turn is named overdue."""
    since = monotonic()

    async def is_overdue() -> bool:
        return TURN in await b.leases.overdue()

    await until(is_overdue)
    return monotonic() - since


@pytest.mark.fault(1)
@on_two_workers
async def test_turns_of_a_killed_worker_are_overdue_long_before_their_leases_run_out(
    two: list[Worker],
) -> None:
    a, b = two
    say(a.log.create(TURN), 5)
    await both_are_there(a, b)
    a.pause()  # which closes its subscription, as the kernel does for a process that is killed
    since = monotonic()
    left_ms = await left_of_lease(b)

    await overdue_after_s(b)

    assert attendance.GONE_AFTER_S <= monotonic() - since < left_ms / 1000
    assert await b.redis("SMEMBERS", WORKERS) == {b"b"}


@on_two_workers
async def test_who_connects_anew_in_time_keeps_its_turns(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 5)
    await both_are_there(a, b)
    named: list[str] = []
    for client in await listening(b):
        await b.redis("CLIENT", "KILL", "ID", client)
        named += await both_are_there(a, b)
    until_s = monotonic() + 1.5 * attendance.GONE_AFTER_S
    while monotonic() < until_s:
        named += await b.leases.overdue()
        await anyio.sleep(0.05)

    assert named == []
    assert a.lost == []


@pytest.mark.long
@on_two_workers
async def test_who_has_not_listened_for_long_itself_gives_up_nobody(
    two: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    say(a.log.create(TURN), 5)
    await both_are_there(a, b)
    monkeypatch.setattr(attendance, "LISTENED_S", 60.0)
    left_ms = await left_of_lease(b)
    a.pause()

    waited_s = await overdue_after_s(b)

    assert waited_s > left_ms / 1000 - 0.5


async def listening(worker: Worker) -> list[int]:
    """Return the ids of all links that listen."""
    told = await worker.redis("CLIENT", "LIST", "TYPE", "pubsub")
    assert isinstance(told, bytes)
    return [int(line.split(b" ")[0].removeprefix(b"id=")) for line in told.splitlines()]


async def left_of_lease(worker: Worker) -> float:
    """Return for how many ms the lease lasts unless it is renewed."""
    until_ms = await worker.redis("HGET", f"chat:{{{TURN}}}:lease", "until")
    seconds, micros = await server_time(worker)
    assert isinstance(until_ms, bytes)
    return int(until_ms) - (seconds * 1000 + micros / 1000)


async def server_time(worker: Worker) -> tuple[int, int]:
    """Return the time of Redis."""
    told = await worker.redis("TIME")
    assert isinstance(told, list | tuple)
    return int(told[0]), int(told[1])
