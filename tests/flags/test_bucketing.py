"""Bucketing: the vendors' published vectors, nesting, and shares."""

import itertools
import math

import pytest

from flags.bucketing import BUCKETS, _scale, bucket, bucket_of, includes

STAGES = (1, 5, 10, 25, 50, 75, 90, 100)


@pytest.mark.parametrize(
    ("unit", "expected"), [("userKeyA", 42157), ("userKeyB", 67084), ("userKeyC", 10343)]
)
def test_salted_buckets_equal_the_published_launchdarkly_values(unit: str, expected: int) -> None:
    assert bucket("hashKey", "saltyA", unit) == expected


@pytest.mark.parametrize(
    ("unit", "expected"), [("userKeyA", 9801), ("userKeyB", 14483), ("userKeyC", 92426)]
)
def test_the_primitive_equals_the_published_seeded_launchdarkly_values(
    unit: str, expected: int
) -> None:
    assert bucket_of(f"61.{unit}") == expected


def test_raising_the_percentage_never_removes_a_unit() -> None:
    units = [f"user-{n}" for n in range(20_000)]

    shares = [{u for u in units if includes(p, "streaming", "s1", u)} for p in STAGES]

    assert all(small < large for small, large in itertools.pairwise(shares))
    assert shares[-1] == set(units)


@pytest.mark.parametrize("percentage", [0.1, 1, 5, 25, 50, 90, 99.9])
@pytest.mark.parametrize("family", ["{}", "user-{}", "g_{:032x}"])
def test_the_share_included_is_the_share_asked_for(percentage: float, family: str) -> None:
    units = [family.format(n) for n in range(50_000)]

    included = sum(includes(percentage, "streaming", "s1", unit) for unit in units)

    share = percentage / 100
    sigma = math.sqrt(len(units) * share * (1 - share))
    assert abs(included - len(units) * share) <= 4 * sigma


def test_flags_deal_independently_of_each_other() -> None:
    units = [f"user-{n}" for n in range(50_000)]

    both = sum(includes(10, "exp-01", "s", u) and includes(10, "exp-02", "s", u) for u in units)

    sigma = math.sqrt(len(units) * 0.01 * 0.99)
    assert abs(both - 500) <= 4 * sigma


def test_another_salt_deals_anew() -> None:
    units = [f"user-{n}" for n in range(2_000)]

    first = {u for u in units if includes(50, "streaming", "s1", u)}
    second = {u for u in units if includes(50, "streaming", "s2", u)}

    assert 0.35 < len(first & second) / len(first) < 0.65


def test_a_step_of_a_thousandth_of_a_percent_admits_exactly_its_bucket() -> None:
    edge = bucket("hashKey", "saltyA", "userKeyC")

    assert not includes(edge / 1000, "hashKey", "saltyA", "userKeyC")
    assert includes((edge + 1) / 1000, "hashKey", "saltyA", "userKeyC")


@pytest.mark.parametrize("percentage", [0, 0.0, -1, -math.inf, math.nan])
def test_zero_or_less_or_no_number_includes_nobody(percentage: float) -> None:
    assert not any(includes(percentage, "f", "s", str(n)) for n in range(1_000))


@pytest.mark.parametrize("percentage", [100, 100.0, 250, math.inf])
def test_a_hundred_or_more_includes_everybody(percentage: float) -> None:
    assert all(includes(percentage, "f", "s", str(n)) for n in range(1_000))


@pytest.mark.parametrize("unit", ["", "\ud800", "a\udfffb", "\x00", "\U0001f600", "é" * 10_000])
def test_any_string_lands_in_a_bucket_and_always_the_same(unit: str) -> None:
    number = bucket("f", "s", unit)

    assert 0 <= number < BUCKETS
    assert bucket("f", "s", unit) == number


def test_broken_ids_that_differ_are_dealt_apart() -> None:
    numbers = {bucket("f", "s", chr(code)) for code in range(0xD800, 0xD900)}

    assert len(numbers) > 200


def test_the_ends_of_the_hash_fall_into_the_first_and_the_last_bucket() -> None:
    # No string with these hashes is known, so the scale is asked directly.
    assert _scale(0) == 0
    assert _scale(2**60 - 2) == BUCKETS - 1
    assert _scale(2**60 - 1) == BUCKETS - 1
