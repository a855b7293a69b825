"""Records that add up, here and on the wire, whatever there is on it."""

import pytest

from metrics.delta import MAX_NAMES, Delta
from metrics.histogram import BOUNDS, COARSE_BOUNDS, Histogram


def a_delta(scale: int = 1) -> Delta:
    delta = Delta()
    delta.count("turns", scale)
    delta.count("seconds", 0.5 * scale)
    delta.observe("ttft", [0.1 * scale, 0.3])
    delta.peak("active", 2.0 * scale)
    return delta


def same(one: Delta, other: Delta) -> bool:
    histograms = {name: (h.bins, h.sum) for name, h in one.histograms.items()}
    others = {name: (h.bins, h.sum) for name, h in other.histograms.items()}
    return (one.counters, one.maxima, histograms) == (other.counters, other.maxima, others)


def test_what_is_encoded_comes_back() -> None:
    delta = a_delta()

    assert same(Delta.decode(delta.encode()), delta)
    assert Delta.decode(delta.encode())
    assert not Delta.decode(Delta().encode())


def test_deltas_add_up_and_peaks_do_not() -> None:
    total = a_delta()

    total.add(a_delta(3))

    assert total.counters == {"turns": 4, "seconds": 2.0}
    assert total.histograms["ttft"].count == 4
    assert total.histograms["ttft"].sum == pytest.approx(1.0)
    assert total.maxima == {"active": 6.0}


def test_the_total_of_many_is_what_adding_them_in_turn_gives() -> None:
    many = [a_delta(scale) for scale in range(1, 5)]
    many[2].observe("gaps", [0.02])
    in_turn = Delta()
    for delta in many:
        in_turn.add(delta)

    total = Delta.total(many)

    assert same(total, in_turn)
    total.count("turns")
    total.observe("gaps", [0.02])
    assert (many[0].counters["turns"], many[2].histograms["gaps"].count) == (1, 1)
    assert not Delta.total([])


def test_the_total_of_many_has_so_many_names_at_most() -> None:
    many = [Delta(), Delta()]
    for number in range(2 * MAX_NAMES):
        many[number % 2].count(f"counter {number}")
        many[number % 2].observe(f"histogram {number}", [1])
        many[number % 2].peak(f"peak {number}", 1)

    total = Delta.total(many)

    assert len(total.counters) == len(total.histograms) == len(total.maxima) == MAX_NAMES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"c": 7}',
        b'{"c": {"turns": "many"}}',
        b'{"h": {"ttft": [1]}}',
        b'{"h": {"ttft": [1, {"x": 1}]}}',
        b"\xff",
    ],
)
def test_what_is_no_delta_is_an_empty_one(data: bytes) -> None:
    assert not Delta.decode(data)


def test_bins_and_parts_of_another_release_are_left_out() -> None:
    data = b'{"c": {"turns": 2}, "h": {"ttft": [1.5, {"3": 2, "999": 4, "-1": 4}]}, "later": 1}'

    delta = Delta.decode(data)

    assert delta.counters == {"turns": 2}
    assert delta.histograms["ttft"].count == 2


def test_names_are_bounded_also_where_they_come_from_others() -> None:
    total = Delta()
    for n in range(3):
        other = Delta()
        for place in range(MAX_NAMES):
            other.count(f"{n}-{place}")
            other.peak(f"{n}-{place}", 1)
        total.add(other)

    assert len(total.counters) == len(total.maxima) == MAX_NAMES


def test_a_coarse_histogram_has_the_same_values_in_wider_bins() -> None:
    fine, direct = Histogram(), Histogram(COARSE_BOUNDS)
    values = [0.0, 0.0001, 0.00011, 0.1, 0.112, 0.113, 0.3, 999.0, 1000.0, 5000.0]
    for histogram in (fine, direct):
        histogram.add(values)

    coarse = fine.coarse()

    assert coarse.bins == direct.bins
    assert coarse.sum == direct.sum
    assert set(COARSE_BOUNDS) <= set(BOUNDS)


def test_values_above_a_bound_are_counted() -> None:
    histogram = Histogram()
    histogram.add([0.1, 2.0, 2.3, 50.0, 5000.0])

    assert histogram.above(2.0) == 3
