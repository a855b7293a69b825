"""From records to the points of a chart: what is gathered, brought, and drawn."""

from collections.abc import Sequence

import pytest

from metrics.archive.archiver import Archiver
from metrics.archive.base import (
    HOUR,
    MINUTE,
    ArchiveUnavailableError,
    Charted,
    Period,
)
from metrics.archive.chart import COUNTERS, HISTOGRAMS, Chart, ChartedWindow
from metrics.archive.points import RANGES, points
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS
from metrics.memory import MemoryWindow
from metrics.turns import EndedTurn, TurnMetrics
from tests.metrics.clocks import FakeClock


class Shelf:
    """An archive in memory that refuses, or holds and then says that it does not know."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], Charted] = {}
        self.is_down = False
        self.loses_answers = False

    async def add(self, charted: Sequence[Charted]) -> None:
        if self.is_down:
            raise ArchiveUnavailableError("down")
        for each in charted:
            self.held.setdefault((each.writer, each.number), each)
        if self.loses_answers:
            raise ArchiveUnavailableError("the answer was lost")

    def turns(self) -> float:
        return sum(each.delta.counters.get("started.on", 0) for each in self.held.values())


def a_busy_window(chart: Chart, clock: FakeClock) -> TurnMetrics:
    """Return a recorder whose window is charted, after one turn, which still runs, and one end."""
    metrics = TurnMetrics(ChartedWindow(MemoryWindow(clock=clock), chart), clock=clock)
    for _ in range(2):
        metrics.turn_started(streaming=True)
        metrics.first_delta(0.25, streaming=True)
    ended = EndedTurn("completed", True, 2.0, 0.25, [0.02] * 50, 3, 40, "exact", None)
    metrics.turn_ended(ended)
    metrics.loop_lag(0.001)
    metrics.cache_looked_up("tts", hit=True)
    metrics.http_request("/", "GET", 200, 0.1)
    metrics.page_reported(ttft_s=0.4, gaps_s={}, reconnects=0)
    return metrics


def test_only_what_is_drawn_is_gathered_and_taken_once() -> None:
    chart, clock = Chart(), FakeClock()
    metrics = a_busy_window(chart, clock)

    delta = chart.take()

    assert set(delta.counters) <= COUNTERS
    assert set(delta.histograms) == HISTOGRAMS - {"ttft.off"}
    assert delta.histograms["gaps"].count == metrics.snapshot().gaps.count == 50
    assert delta.histograms["gaps"].bounds is COARSE_BOUNDS
    assert len(delta.encode()) < 500
    assert not chart.take()


async def test_figures_wait_while_the_archive_is_away_and_each_counts_once() -> None:
    chart, shelf, clock = Chart(), Shelf(), FakeClock()
    window = ChartedWindow(MemoryWindow(clock=clock), chart)
    archiver = Archiver(shelf.add, chart, window, writer="w", clock=clock)

    for shelf.is_down, shelf.loses_answers in ((True, False), (False, True), (True, False)):
        for _ in range(20):
            window.count("started.on")
            await archiver.look()
            with pytest.raises(ArchiveUnavailableError):
                await archiver.flush()
            clock.now += 10
    assert archiver.behind_s == 600
    shelf.is_down = shelf.loses_answers = False
    await archiver.flush()

    ages = [each.age_s for each in shelf.held.values()]
    assert shelf.turns() == 60
    assert (archiver.behind_s, archiver.dropped) == (0, 0)
    assert max(ages) == 590
    assert min(ages) < 60
    assert len(ages) <= 12


async def test_an_outage_takes_a_bounded_room_and_drops_the_oldest() -> None:
    chart, shelf, clock = Chart(), Shelf(), FakeClock()
    window = ChartedWindow(MemoryWindow(clock=clock), chart)
    archiver = Archiver(shelf.add, chart, window, writer="w", clock=clock)
    shelf.is_down = True

    for _ in range(300):
        window.count("started.on")
        with pytest.raises(ArchiveUnavailableError):
            await archiver.flush()
        clock.now += 60
    await archiver.close()
    shelf.is_down = False
    await archiver.close()

    assert archiver.dropped == 60
    assert shelf.turns() == 240


def test_points_are_steps_with_data_in_order() -> None:
    def period(began_s: int, turns: int, peak: float) -> Period:
        delta = Delta(COARSE_BOUNDS)
        delta.count("ended.on.completed", turns)
        delta.observe("ttft.on", [0.25] * turns)
        delta.peak("active_turns", peak)
        return Period(began_s, delta)

    made = list(points([period(7200, 3, 9), period(0, 1, 4), period(3600, 2, 5)], 7200))

    assert [point.began_s for point in made] == [0, 7200]
    assert [point.arms["on"].outcomes["completed"] for point in made] == [3, 3]
    assert [point.active_turns for point in made] == [5, 9]
    assert made[0].active_readers is None
    assert made[0].arms["on"].ttft.mean_s == pytest.approx(0.25)
    assert made[0].arms["on"].ttft.p95_s == pytest.approx(0.25, rel=0.13)
    assert made[0].arms["off"].error_rate is None


def test_every_range_has_at_most_360_points_and_lies_within_what_is_kept() -> None:
    for span in RANGES.values():
        assert span.periods / span.together <= 360
        assert span.periods * span.level.step_s <= span.level.keep_s
    assert MINUTE.keep_s == 30 * 86_400
    assert HOUR.keep_s >= 30 * 86_400
