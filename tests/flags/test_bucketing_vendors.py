"""Bucketing beside two vendors: what they publish, and what their packages answer."""

import itertools
import random
from bisect import bisect_right

import ldclient.impl.evaluator_common
import pytest

from flags.bucketing import (
    BUCKETS,
    bucket,
    bucket_of,
    hash60,
    includes,
    step_of,
    threshold,
    threshold_of_step,
)
from tests.flags import vendors

_FURTHEST_EDGE = 256
"""Hashes of 2**60 between a vendor's edge and ours: floating point keeps 53 bits of 60."""


@pytest.mark.parametrize(
    ("unit", "expected"), [("userKeyA", 42157), ("userKeyB", 67084), ("userKeyC", 10343)]
)
def test_salted_buckets_equal_the_published_launchdarkly_values(unit: str, expected: int) -> None:
    assert bucket("hashKey", "saltyA", unit) == expected


@pytest.mark.parametrize(
    ("unit", "expected"), [("userKeyA", 9801), ("userKeyB", 14483), ("userKeyC", 92426)]
)
def test_seeded_buckets_equal_the_published_launchdarkly_values(unit: str, expected: int) -> None:
    assert bucket_of(f"61.{unit}") == expected
    assert _bucket_at(vendors.launchdarkly_value("hashKey", "saltyA", unit, 61)) == expected


def test_every_row_of_posthogs_table_for_a_share_is_met() -> None:
    table = vendors.posthog_table("test_simple_flag_consistency")

    ours = [
        hash60(f"{table.key}.distinct_id_{n}") < threshold(table.percentage)
        for n in range(len(table.results))
    ]

    assert (table.percentage, len(table.results)) == (45, 1000)
    assert ours == table.results


def test_every_row_of_posthogs_table_for_variants_is_met() -> None:
    table = vendors.posthog_table("test_multivariate_flag_consistency")
    names = list(table.weights)

    ours: list[bool | str] = []
    for unit in (f"distinct_id_{n}" for n in range(len(table.results))):
        dealt = bucket_of(f"{table.key}.{unit}") < step_of(table.percentage)
        ours.append(dealt and names[_variant(table.key, unit, list(table.weights.values()))])

    assert list(table.weights.values()) == [50, 20, 20, 5, 5]
    assert (table.percentage, len(table.results)) == (55, 1000)
    assert ours == table.results


def test_launchdarkly_deals_as_we_do_whatever_happens(runs: int) -> None:
    for seed in range(runs):
        dice = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        key, salt, unit = (vendors.hashable_text(dice) for _ in range(3))

        ours = bucket(key, salt, unit)

        assert _bucket_at(vendors.launchdarkly_value(key, salt, unit)) == ours, seed
        for step in (ours, ours + 1, dice.randint(0, BUCKETS)):
            theirs = vendors.launchdarkly_includes(step, key, salt, unit)
            assert includes(step / 1000, key, salt, unit) == theirs == (ours < step), (seed, step)


def test_launchdarkly_deals_by_a_seed_as_we_do_whatever_happens(runs: int) -> None:
    for seed in range(runs):
        dice = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        unit = vendors.hashable_text(dice)
        number = dice.randint(-(2**31), 2**31)

        theirs = vendors.launchdarkly_value("unused", "unused", unit, number)

        assert bucket_of(f"{number}.{unit}") == _bucket_at(theirs), seed


def test_posthog_deals_as_we_do_whatever_happens(runs: int) -> None:
    for seed in range(runs):
        dice = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        key, unit, suffix = (vendors.hashable_text(dice) for _ in range(3))

        ours = bucket_of(f"{key}.{unit}")

        assert _bucket_at(vendors.posthog_value(key, unit)) == ours, seed
        assert _bucket_at(vendors.posthog_value(key, unit, suffix)) == bucket_of(
            f"{key}.{unit}{suffix}"
        ), seed
        for step in (ours, ours + 1, dice.randint(1, BUCKETS)):
            theirs = vendors.posthog_decides(key, unit, step / 1000)
            assert (hash60(f"{key}.{unit}") < threshold(step / 1000)) == theirs, (seed, step)


def test_posthog_deals_variants_as_we_do_whatever_happens(runs: int) -> None:
    for seed in range(runs):
        dice = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        key, unit = vendors.hashable_text(dice), vendors.hashable_text(dice)
        cuts = [0, *sorted(dice.sample(range(1, BUCKETS), dice.randint(1, 5))), BUCKETS]
        weights = [(high - low) / 1000 for low, high in itertools.pairwise(cuts)]

        theirs = vendors.posthog_decides(key, unit, 100, weights)

        assert str(_variant(key, unit, weights)) == theirs, (seed, weights)


def test_the_vendors_floating_point_moves_an_edge_by_less_than_any_unit_will_meet() -> None:
    # The hashes at the edges belong to no string that is known: the vendors' line is asked.
    whole: float = vars(ldclient.impl.evaluator_common)["__LONG_SCALE__"]

    for step in range(1, BUCKETS, 7):
        edge, share = threshold_of_step(step), step / 100_000
        assert (edge - _FURTHEST_EDGE) / whole < share < (edge + _FURTHEST_EDGE) / whole


def _variant(key: str, unit: str, weights: list[float]) -> int:
    """Return the position of the variant whose part of the cumulated weights holds the bucket."""
    ends = list(itertools.accumulate(step_of(weight) for weight in weights))
    return bisect_right(ends, bucket_of(f"{key}.{unit}variant"))


def _bucket_at(value: float) -> int:
    """Return the bucket of a vendor's value, without rounding it once more."""
    numerator, denominator = value.as_integer_ratio()
    return min(numerator * BUCKETS // denominator, BUCKETS - 1)
