"""The histogram with fixed bins: bounds, percentiles against the exact ones, merging."""

import itertools
import math
import random
import statistics

import pytest

from metrics.histogram import BOUNDS, Histogram
from metrics.series.turns import GAP_BOUNDS_S


def test_bounds_rise_in_even_steps_from_a_tenth_of_a_millisecond_to_a_thousand_seconds() -> None:
    steps = [upper / lower for lower, upper in itertools.pairwise(BOUNDS)]

    assert (BOUNDS[0], BOUNDS[-1]) == (0.0001, 1000.0)
    assert 1.1 < min(steps) <= max(steps) < 1.15


def test_the_bounds_of_the_gap_series_are_bounds_of_the_histogram() -> None:
    assert set(GAP_BOUNDS_S) <= set(BOUNDS)
    assert list(GAP_BOUNDS_S) == sorted(GAP_BOUNDS_S)


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_within_a_bin_of_the_exact_ones_and_the_mean_is_exact(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - seeded test data
    values = [source.lognormvariate(-1 + seed / 2, 0.8) for _ in range(5_000)]
    histogram = Histogram()

    histogram.add(values)

    exact = statistics.quantiles(values, n=100, method="inclusive")
    for percent in (50, 95, 99):
        assert histogram.percentile(percent / 100) == pytest.approx(exact[percent - 1], rel=0.15)
    assert histogram.mean == pytest.approx(statistics.fmean(values))
    assert histogram.count == len(values)


def test_merging_equals_recording_everything_in_one() -> None:
    source = random.Random(1)  # noqa: S311 - seeded test data
    first, second = ([source.expovariate(3) for _ in range(500)] for _ in range(2))
    left, right, both = Histogram(), Histogram(), Histogram()
    left.add(first)
    right.add(second)
    both.add(first + second)

    left.merge(right)

    assert left.bins == both.bins
    assert left.sum == pytest.approx(both.sum)


def test_an_empty_histogram_has_no_figures() -> None:
    histogram = Histogram()

    assert histogram.mean is None
    assert histogram.percentile(0.5) is None


def test_a_value_on_a_bound_counts_below_it_as_prometheus_has_it() -> None:
    histogram = Histogram()

    histogram.add([0.01, 0.010001])

    buckets = dict(histogram.cumulative((0.005, 0.01, 0.02)))
    assert buckets == {"0.005": 0, "0.01": 1, "0.02": 2, "+Inf": 2}


def test_values_beyond_the_last_bound_are_counted_and_reported_as_that_bound() -> None:
    histogram = Histogram()

    histogram.add([5_000.0])

    assert histogram.count == 1
    assert histogram.percentile(0.99) == BOUNDS[-1]
    assert dict(histogram.cumulative((1.0,))) == {"1.0": 0, "+Inf": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.001])
def test_what_is_no_duration_is_refused_and_spoils_nothing(value: float) -> None:
    histogram = Histogram()

    refused = histogram.add([0.1, value, 0.3])

    assert refused == 1
    assert histogram.count == 2
    assert histogram.mean == pytest.approx(0.2)
