"""What every window of the last minutes promises, be it of one worker or of all."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator

import pytest

from metrics.base import Window
from metrics.delta import MAX_NAMES
from metrics.histogram import Histogram
from metrics.memory import MemoryWindow
from metrics.redis.window import RedisWindow
from storage.redis import RedisConnection
from tests.metrics.clocks import FakeClock
from tests.support.redis import RedisServer, running_redis

PATIENCE_S = 20.0


class Windows(ABC):
    """New windows, all of one deployment, and the time that passes for them."""

    def __init__(self) -> None:
        self.clock = FakeClock()

    @abstractmethod
    def another(self) -> Window: ...

    @abstractmethod
    async def settle(self) -> None:
        """Let what was recorded arrive wherever it goes."""

    @abstractmethod
    async def close(self) -> None: ...


class MemoryWindows(Windows):
    def another(self) -> Window:
        return MemoryWindow(clock=self.clock)

    async def settle(self) -> None:
        return

    async def close(self) -> None:
        return


class RedisWindows(Windows):
    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        with server.client() as client:
            client.flushall()
        self._connection = RedisConnection(server.url, timeout_s=PATIENCE_S)
        self._windows: list[RedisWindow] = []

    def another(self) -> Window:
        name = f"worker_{len(self._windows)}"
        window = RedisWindow(self._connection, worker_id=name, clock=self.clock)
        self._windows.append(window)
        return window

    async def settle(self) -> None:
        for window in self._windows:
            await window.flush()

    async def close(self) -> None:
        await self._connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.services)])
async def windows(request: pytest.FixtureRequest) -> AsyncIterator[Windows]:
    made: Windows = MemoryWindows()
    if request.param == "redis":
        made = RedisWindows(request.getfixturevalue("server"))
    yield made
    await made.close()


async def test_a_record_is_read_at_once_and_stays_when_it_has_arrived(windows: Windows) -> None:
    window = windows.another()
    window.count("turns")
    window.observe("ttft", [0.1, 0.3])

    before = window.read()
    await windows.settle()
    after = window.read()

    for totals in (before, after):
        assert totals.count("turns") == 1
        assert totals.histogram("ttft").count == 2
        assert totals.histogram("ttft").mean == pytest.approx(0.2)
        assert totals.covers_s == 300.0


async def test_records_add_up_over_time(windows: Windows) -> None:
    window, more = windows.another(), Histogram()
    more.add([0.5, 0.5])

    for _ in range(3):
        window.count("turns")
        window.count("tokens", 10.5)
        window.observe("ttft", [0.1])
        window.merge("ttft", more)
        await windows.settle()
        windows.clock.now += 20

    totals = window.read()
    assert totals.count("turns") == 3
    assert totals.counters["tokens"] == pytest.approx(31.5)
    assert totals.histogram("ttft").count == 9
    assert totals.histogram("ttft").sum == pytest.approx(3.3)


async def test_records_fall_out_once_the_window_has_slid_past_them(windows: Windows) -> None:
    window = windows.another()
    window.count("turns")
    window.observe("ttft", [0.1])
    await windows.settle()

    windows.clock.now += 290
    inside = window.read()
    windows.clock.now += 10
    outside = window.read()

    assert (inside.count("turns"), inside.histogram("ttft").count) == (1, 1)
    assert (outside.count("turns"), outside.histogram("ttft").count) == (0, 0)


async def test_what_was_read_does_not_change_afterwards(windows: Windows) -> None:
    window = windows.another()
    window.count("turns")
    window.observe("ttft", [0.1])
    await windows.settle()

    totals = window.read()
    window.count("turns")
    window.observe("ttft", [0.1])

    assert totals.count("turns") == 1
    assert totals.histogram("ttft").count == 1


async def test_names_beyond_the_bound_are_left_out_and_known_ones_go_on(windows: Windows) -> None:
    window = windows.another()
    for n in range(MAX_NAMES + 50):
        window.count(f"name-{n}")
        window.observe(f"name-{n}", [1.0])

    window.count("name-0")
    window.observe("name-0", [1.0])

    totals = window.read()
    assert len(totals.counters) == len(totals.histograms) == MAX_NAMES
    assert (totals.count("name-0"), totals.histogram("name-0").count) == (2, 2)


async def test_gauges_are_those_of_now(windows: Windows) -> None:
    window = windows.another()
    window.hold("active_turns", 3)
    await windows.settle()
    window.hold("active_turns", 1)
    windows.clock.now += 2

    live = window.live()

    assert live.workers == 1
    assert live.gauge("active_turns") == window.read().live.gauge("active_turns") == 1
    assert live.gauge("active_readers") == 0
    assert live.oldest_s == live.youngest_s == pytest.approx(2, abs=0.01)


async def test_a_lone_worker_serves_its_gauges_before_anything_has_arrived(
    windows: Windows,
) -> None:
    window = windows.another()
    window.hold("active_turns", 3)

    assert (window.live().workers, window.live().gauge("active_turns")) == (1, 3)
