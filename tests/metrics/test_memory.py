"""The sliding window in memory, on a clock that stands still until it is moved."""

import pytest

from metrics.base import Window
from metrics.delta import MAX_NAMES
from metrics.memory import MemoryWindow
from tests.metrics.clocks import FakeClock


def a_window(clock: FakeClock, *, window_s: float = 300.0, bucket_s: float = 5.0) -> Window:
    return MemoryWindow(window_s=window_s, bucket_s=bucket_s, clock=clock)


def test_counts_and_values_add_up_over_buckets() -> None:
    clock = FakeClock()
    window = a_window(clock)

    for _ in range(3):
        window.count("turns")
        window.count("tokens", 10)
        window.observe("ttft", [0.1, 0.3])
        clock.now += 20

    totals = window.read()
    assert (totals.count("turns"), totals.count("tokens")) == (3, 30)
    assert totals.histogram("ttft").count == 6
    assert totals.histogram("ttft").mean == pytest.approx(0.2)
    assert totals.covers_s == 300.0


def test_records_fall_out_once_the_window_has_slid_past_them() -> None:
    clock = FakeClock()
    window = a_window(clock)
    window.count("turns")
    window.observe("ttft", [0.1])

    clock.now += 294
    inside = window.read()
    clock.now += 6
    outside = window.read()

    assert (inside.count("turns"), inside.histogram("ttft").count) == (1, 1)
    assert (outside.count("turns"), outside.histogram("ttft").count) == (0, 0)


def test_a_long_silence_leaves_nothing_behind() -> None:
    clock = FakeClock()
    window = a_window(clock)
    window.count("turns")

    clock.now += 300 * 1000
    window.count("turns", 5)

    assert window.read().count("turns") == 5


def test_a_reused_bucket_starts_empty() -> None:
    clock = FakeClock()
    window = a_window(clock)
    window.count("turns")

    clock.now += 300
    window.count("other")

    assert window.read().count("turns") == 0
    assert window.read().count("other") == 1


def test_what_was_read_does_not_change_afterwards() -> None:
    window = a_window(FakeClock())
    window.count("turns")
    window.observe("ttft", [0.1])

    totals = window.read()
    window.count("turns")
    window.observe("ttft", [0.1])

    assert totals.count("turns") == 1
    assert totals.histogram("ttft").count == 1


def test_names_beyond_the_bound_are_left_out_and_known_ones_go_on() -> None:
    window = a_window(FakeClock())
    for n in range(MAX_NAMES + 50):
        window.count(f"name-{n}")
        window.observe(f"name-{n}", [1.0])

    window.count("name-0")
    window.observe("name-0", [1.0])

    totals = window.read()
    assert len(totals.counters) == len(totals.histograms) == MAX_NAMES
    assert (totals.count("name-0"), totals.histogram("name-0").count) == (2, 2)


def test_a_group_holds_the_counters_of_a_prefix_by_the_rest_of_their_names() -> None:
    window = a_window(FakeClock())
    for name in ("errors.timeout", "errors.timeout", "errors.refused", "turns"):
        window.count(name)

    assert window.read().group("errors.") == {"refused": 1, "timeout": 2}
