"""How units are dealt: nested, in the shares asked for, evenly, and apart for every flag.

All ids and keys are fixed, so that these either hold for good or fail for good. How much the
checks let pass is shown by bucketings that are known to be bad: each check has to refuse them.
"""

import itertools
import math
import random
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist, fmean

import pytest

from flags.bucketing import BUCKETS, bucket, bucket_of, includes
from tests.flags import vendors

pytestmark = pytest.mark.long

Deal = Callable[[str, str], int]
"""A bucketing: a flag (or a salt) and a unit make 0..99999."""

_STAGES = (0.1, 1, 5, 10, 25, 50, 75, 90, 99.9, 100)
_UNITS = 50_000
_BINS = 100
_RAREST = 1e-4

_DICE = 20260801
_FAMILIES: dict[str, Callable[[random.Random, int], str]] = {
    "sequential": lambda _, n: str(n),
    "user-N": lambda _, n: f"user-{n}",
    "uuid": lambda dice, _: str(uuid.UUID(int=dice.getrandbits(128), version=4)),
    "any text": lambda dice, n: f"{vendors.hashable_text(dice)}{n}",
}


@cache
def _units(family: str) -> list[str]:
    dice = random.Random(_DICE)  # noqa: S311  # seeded, so that a failure can be repeated
    return [_FAMILIES[family](dice, n) for n in range(_UNITS)]


@cache
def _stays(family: str) -> Counter[tuple[bool, ...]]:
    """Return how many units are in at which of the stages."""
    return Counter(
        tuple(includes(stage, "streaming", "s1", unit) for stage in _STAGES)
        for unit in _units(family)
    )


@pytest.mark.parametrize("family", _FAMILIES)
def test_who_is_in_at_a_stage_is_in_at_every_later_one(family: str) -> None:
    stays = _stays(family)

    assert stays.total() == len(set(_units(family))) == _UNITS
    assert [stay for stay in stays if any(a > b for a, b in itertools.pairwise(stay))] == []
    assert len(stays) == len(_STAGES), "units that enter at every one of the stages"


@pytest.mark.parametrize("family", _FAMILIES)
@pytest.mark.parametrize(("at", "stage"), [*enumerate(_STAGES)])
def test_the_share_included_is_the_share_asked_for(family: str, at: int, stage: float) -> None:
    included = sum(count for stay, count in _stays(family).items() if stay[at])

    share = stage / 100
    sigma = math.sqrt(_UNITS * share * (1 - share))
    assert abs(included - _UNITS * share) <= 4 * sigma


@pytest.mark.parametrize("family", _FAMILIES)
def test_the_buckets_fill_evenly(family: str) -> None:
    assert _is_even([bucket("streaming", "s1", unit) for unit in _units(family)])


def test_buckets_that_fill_unevenly_or_unlike_chance_are_noticed() -> None:
    fair = [bucket_of(unit) for unit in _units("user-N")]
    adler = [zlib.adler32(unit.encode()) % BUCKETS for unit in _units("user-N")]
    one_bin_fuller = [*fair, *range(150)]
    like_clockwork = range(0, BUCKETS, 3)

    assert _is_even(fair)
    assert not _is_even(adler)
    assert not _is_even(one_bin_fuller)
    assert not _is_even(like_clockwork)


@pytest.mark.parametrize(("value", "p"), [(81.449, 0.9), (98.334, 0.5), (123.225, 0.05)])
def test_the_tail_of_chi_square_is_that_of_the_printed_tables(value: float, p: float) -> None:
    assert _chi_square_tail(value, 99) == pytest.approx(p, abs=1e-4)


def test_two_hundred_flags_of_one_salt_deal_independently_of_each_other() -> None:
    flags = [f"exp-{n:03}" for n in range(200)]

    assert _are_independent(lambda key, unit: bucket(key, "s1", unit), flags, _people(5_000))


def test_two_hundred_salts_of_one_flag_deal_independently_of_each_other() -> None:
    salts = [f"s{n}" for n in range(200)]

    assert _are_independent(lambda salt, unit: bucket("exp", salt, unit), salts, _people(5_000))


@pytest.mark.parametrize(
    "deal",
    [
        pytest.param(lambda _, unit: bucket_of(unit), id="the flag is not hashed"),
        pytest.param(
            lambda key, unit: (bucket_of(unit) + bucket_of(key)) % BUCKETS,
            id="the flag only turns the wheel",
        ),
        pytest.param(
            lambda key, unit: zlib.crc32(f"{key}.{unit}".encode()) * BUCKETS >> 32, id="CRC-32"
        ),
        pytest.param(
            lambda key, unit: zlib.adler32(f"{key}.{unit}".encode()) % BUCKETS, id="Adler-32"
        ),
        pytest.param(
            lambda key, unit: int(vendors.growthbook_v1_value(key, unit) * BUCKETS),
            id="GrowthBook's first hash",
        ),
        pytest.param(
            lambda key, unit: bucket_of(f"{key}.{unit if zlib.crc32(unit.encode()) % 3 else ''}"),
            id="a third of the units share their luck",
        ),
    ],
)
def test_flags_that_are_dealt_together_are_noticed(deal: Deal) -> None:
    flags = [f"exp-{n:03}" for n in range(30)]

    assert not _are_independent(deal, flags, _people(2_000))


def _people(count: int) -> list[str]:
    return _units("user-N")[:count]


def _is_even(buckets: Sequence[int]) -> bool:
    """Say whether buckets fill a hundred bins like chance: not too unevenly, nor too evenly."""
    filled = Counter(number * _BINS // BUCKETS for number in buckets)
    mean = len(buckets) / _BINS
    chi_square = sum((filled[n] - mean) ** 2 / mean for n in range(_BINS))
    return _RAREST < _chi_square_tail(chi_square, _BINS - 1) < 1 - _RAREST


def _chi_square_tail(value: float, degrees: int) -> float:
    """Return how often chance exceeds the value; the degrees of freedom are odd."""
    half = value / 2
    terms = (
        math.exp((n + 0.5) * math.log(half) - half - math.lgamma(n + 1.5))
        for n in range(degrees // 2)
    )
    return math.erfc(math.sqrt(half)) + sum(terms)


def _are_independent(deal: Deal, flags: Sequence[str], units: Sequence[str]) -> bool:
    """Say whether no two flags share more or fewer units, at 10 % and at 50 %, than by chance.

    Each pair of flags gives a z. Of 19,900 pairs perfect dice too leave 1.3 beyond 4, so the bound
    is Bonferroni's: the z that any of the pairs exceeds as rarely as a single one exceeds 4, which
    is 5.9 for 200 flags. A lean that is too small to show in one pair shows in the mean of all z
    squared, which for independent flags is 1 with a deviation of `sqrt(2 / pairs)`.
    """
    dealt = [[deal(flag, unit) for unit in units] for flag in flags]
    pairs = math.comb(len(flags), 2)
    bound = -NormalDist().inv_cdf(NormalDist().cdf(-4) / pairs)
    for step in (BUCKETS // 10, BUCKETS // 2):
        scores = _scores(dealt, step, len(units))
        lean = (fmean(z * z for z in scores) - 1) / math.sqrt(2 / pairs)
        if max(map(abs, scores)) > bound or abs(lean) > 4:
            return False
    return True


def _scores(dealt: Sequence[Sequence[int]], step: int, units: int) -> list[float]:
    """Return for each pair of flags how far their overlap is from chance's, in deviations.

    Given how many units each flag has, independent flags overlap hypergeometrically.
    """
    masks = [int("".join("01"[number < step] for number in row), 2) for row in dealt]
    scores = []
    for one, other in itertools.combinations(masks, 2):
        a, b = one.bit_count(), other.bit_count()
        variance = a * b * (units - a) * (units - b) / (units * units * (units - 1))
        excess = (one & other).bit_count() - a * b / units
        # A flag that has all or none of the units says nothing, and is wrong by itself.
        scores.append(excess / math.sqrt(variance) if variance else math.inf)
    return scores
