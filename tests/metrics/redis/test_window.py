"""The window of all workers, on a real Redis: what is shared, once, and what an outage takes."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from metrics.base import Window
from metrics.redis.window import RedisWindow
from storage.errors import StorageUnavailableError
from storage.redis import RedisConnection, Script
from tests.metrics.clocks import FakeClock
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services
PATIENCE_S = 20.0
LIVE_FOR_S = 0.3


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    with running.client() as client:
        client.flushall()
    return running


class Losing(RedisConnection):
    """A connection that loses answers when told to, with the script run all the same, or all."""

    is_losing = False
    is_cut = False

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        if self.is_cut:
            raise StorageUnavailableError("Nobody is there.")
        answer = await super().run(script, keys, arguments)
        if self.is_losing:
            raise StorageUnavailableError("The answer was lost.")
        return answer


@asynccontextmanager
async def connected(server: RedisServer, timeout_s: float = PATIENCE_S) -> AsyncIterator[Losing]:
    connection = Losing(server.url, timeout_s=timeout_s)
    try:
        yield connection
    finally:
        await connection.close()


def figures(window: Window) -> tuple[int, int, float]:
    """Return what the tests record, as a window has it."""
    totals = window.read()
    return totals.count("turns"), totals.histogram("ttft").count, totals.histogram("ttft").sum


def record(window: Window, turns: int = 1) -> None:
    window.count("turns", turns)
    window.observe("ttft", [0.25] * turns)


async def test_workers_agree_on_what_all_of_them_recorded(server: RedisServer) -> None:
    async with connected(server) as connection:
        workers = [RedisWindow(connection, worker_id=f"w{n}") for n in range(3)]
        for turns, worker in enumerate(workers, start=1):
            record(worker, turns)
            worker.hold("active_turns", turns)

        for worker in [*workers, *workers]:
            await worker.flush()

        assert [figures(worker) for worker in workers] == [(6, 6, 1.5)] * 3
        for worker in workers:
            live = worker.live()
            assert (live.workers, live.gauge("active_turns")) == (3, 6)
        await workers[0].leave()
        await workers[1].flush()
        assert (workers[1].live().workers, workers[1].live().gauge("active_turns")) == (2, 5)


async def test_a_worker_that_comes_later_hears_of_the_whole_window(server: RedisServer) -> None:
    async with connected(server) as connection:
        clock = FakeClock()
        first = RedisWindow(connection, worker_id="first", clock=clock)
        record(first, 2)
        await first.flush()
        record(first, 3)
        await first.flush()

        second = RedisWindow(connection, worker_id="second")
        await second.flush()

        assert figures(second) == figures(first) == (5, 5, 1.25)


async def test_a_killed_worker_leaves_its_records_and_no_gauges(server: RedisServer) -> None:
    async with connected(server) as connection:
        killed = RedisWindow(connection, worker_id="killed", live_for_s=LIVE_FOR_S)
        left = RedisWindow(connection, worker_id="left", live_for_s=LIVE_FOR_S)
        record(killed)
        killed.hold("active_turns", 7)
        await killed.flush()
        await left.flush()
        before = left.live()

        with anyio.fail_after(PATIENCE_S):
            while left.live().workers > 1:
                await left.flush()
                await anyio.sleep(0.02)

        assert (before.workers, before.gauge("active_turns")) == (2, 7)
        assert left.live().gauge("active_turns") == 0
        assert figures(left) == (1, 1, 0.25)
        with server.client() as client:
            assert client.hkeys("{metrics}:live") == [b"left"]


async def test_an_answer_that_was_lost_counts_once(server: RedisServer) -> None:
    async with connected(server) as connection:
        worker = RedisWindow(connection, worker_id="worker")
        other = RedisWindow(connection, worker_id="other")
        connection.is_losing = True
        for _ in range(3):
            record(worker)
            await worker.flush()
        during = figures(worker)
        connection.is_losing = False

        await worker.flush()
        await other.flush()

        assert during == figures(worker) == figures(other) == (3, 3, 0.75)
        assert worker.behind_s == 0


async def test_without_redis_own_figures_go_on_and_arrive_when_it_is_back(
    server: RedisServer,
) -> None:
    async with connected(server, timeout_s=0.2) as connection:
        worker = RedisWindow(connection, worker_id="worker", live_for_s=LIVE_FOR_S)
        other = RedisWindow(connection, worker_id="other", live_for_s=LIVE_FOR_S)
        worker.hold("active_turns", 2)
        record(worker)
        await worker.flush()
        await other.flush()

        server.pause()
        try:
            for _ in range(3):
                record(worker)
                await worker.flush()
            during = figures(worker)
            behind_s = worker.behind_s
        finally:
            server.resume()
        with anyio.fail_after(PATIENCE_S):
            while worker.behind_s or figures(other)[0] < 4:
                await worker.flush()
                await other.flush()

        assert during == figures(worker) == figures(other) == (4, 4, 1.0)
        assert behind_s > 0
        assert worker.dropped == 0


async def test_a_redis_that_comes_back_empty_takes_nothing_from_who_heard_of_it(
    server: RedisServer,
) -> None:
    async with connected(server) as connection:
        worker = RedisWindow(connection, worker_id="worker")
        other = RedisWindow(connection, worker_id="other")
        for window in (worker, other, worker):
            record(window)
            await window.flush()
        with server.client() as client:
            client.flushall()

        record(worker)
        await worker.flush()
        await other.flush()

        assert figures(worker)[0] == 4
        assert other.live().workers == 2


async def test_an_outage_is_kept_slot_by_slot_and_what_is_too_old_is_not_sent(
    server: RedisServer,
) -> None:
    async with connected(server) as connection:
        clock = FakeClock()
        worker = RedisWindow(connection, worker_id="worker", clock=clock)
        await worker.flush()
        connection.is_cut = True
        for _ in range(400):
            record(worker)
            await worker.flush()
            clock.now += 1
        kept = figures(worker)[0]
        connection.is_cut = False

        await worker.flush()

        other = RedisWindow(connection, worker_id="other")
        await other.flush()
        assert 290 <= kept <= 300
        assert abs(figures(other)[0] - kept) <= 5
        assert worker.dropped > 0
        assert worker.behind_s == 0


async def test_clocks_that_jump_neither_lose_nor_repeat_anything(server: RedisServer) -> None:
    async with connected(server) as connection:
        clock = FakeClock()
        worker = RedisWindow(connection, worker_id="worker", clock=clock)
        record(worker)
        await worker.flush()
        with server.client() as client:  # as it would look if the server's clock were set back
            ahead = int(client.time()[0]) + 3600
            client.zadd("{metrics}:slots", {str(ahead // 5): ahead * 1_000_000})
            client.set(f"{{metrics}}:slot:{ahead // 5}", '{"c":{"turns":99}}')
            client.hset("{metrics}:live", "ghost", f"{ahead * 1000} 1 50 0 0")

        for jump_s in (-500.0, 2.0, 10_000.0):
            clock.now += jump_s
            record(worker)
            await worker.flush()

        other = RedisWindow(connection, worker_id="other")
        await other.flush()
        assert figures(other) == (4, 4, 1.0)
        assert (other.live().workers, other.live().gauge("active_turns")) == (2, 0)


async def test_what_is_not_ours_in_redis_hurts_nobody(server: RedisServer) -> None:
    async with connected(server) as connection:
        worker = RedisWindow(connection, worker_id="worker")
        record(worker)
        await worker.flush()
        with server.client() as client:
            for key in client.scan_iter("{metrics}:slot:*"):
                client.set(key, "no JSON")
            client.hset("{metrics}:live", "odd", "x y z")
        record(worker)
        await worker.flush()

        other = RedisWindow(connection, worker_id="other")
        await other.flush()

        assert figures(other)[0] == 1
        assert other.live().workers == 2


async def test_everything_in_redis_goes_by_itself(server: RedisServer) -> None:
    async with connected(server) as connection:
        worker = RedisWindow(connection, worker_id="worker")
        record(worker)
        await worker.flush()

        with server.client() as client:
            left_ms = {key: client.pttl(key) for key in client.scan_iter()}

        assert len(left_ms) == 4
        assert all(key.startswith(b"{metrics}:") for key in left_ms)
        assert all(0 < left <= 3_600_000 for left in left_ms.values())
