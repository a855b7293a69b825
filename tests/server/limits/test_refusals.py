"""Refusals: longer and longer waits, one line in the log a minute."""

import structlog
from prometheus_client import CollectorRegistry

from metrics.refusals import RefusalSeries
from server.limits.refusals import MAX_WAIT_S, QUIET_S, Refusals


class Clock:
    """The time, as a test says."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def refusals(clock: Clock) -> Refusals:
    return Refusals(RefusalSeries(CollectorRegistry()), clock)


def test_who_keeps_coming_is_told_to_come_less_and_less_often() -> None:
    noted = refusals(Clock())

    waits = [noted.note("attach", "guest_1") for _ in range(8)]

    for wait_s, nominal in zip(waits, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert 0.75 * nominal <= wait_s <= 1.25 * nominal
    assert noted.note("attach", "guest_2") <= 1.25


def test_who_has_been_quiet_for_a_minute_begins_anew() -> None:
    clock = Clock()
    noted = refusals(clock)
    for _ in range(8):
        noted.note("attach", "guest_1")
    clock.s += QUIET_S

    assert noted.note("attach", "guest_1") <= 1.25


def test_waits_are_spread_so_that_not_all_come_back_at_once() -> None:
    noted = refusals(Clock())

    waits = {noted.note("readers", f"guest_{n}") for n in range(100)}

    assert len(waits) > 90
    assert max(waits) <= MAX_WAIT_S


def test_the_log_tells_of_somebody_once_a_minute_and_how_many_it_left_out() -> None:
    clock = Clock()
    noted = refusals(clock)

    with structlog.testing.capture_logs() as logs:
        for _ in range(121):
            noted.note("api", "guest_1")
            clock.s += 1.0

    assert [line["refused_before"] for line in logs] == [0, 59, 59]
    assert {(line["limit"], line["who"]) for line in logs} == {("api", "guest_1")}
