"""Bucketing by itself: the shared vectors, the edges of a share, and any string for an id."""

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from flags.bucketing import (
    BUCKETS,
    _scale,
    bucket,
    bucket_of,
    hash60,
    includes,
    step_of,
    threshold,
    threshold_of_step,
)

_VECTORS: dict[str, Any] = json.loads(
    Path(__file__).parents[1].joinpath("vectors", "bucketing.json").read_text("utf-8")
)
_TOP_HASH = 2**60 - 1
_NOBODY = (0, 0.0, -0.0, -1, -math.inf, math.nan, 5e-324, 0.000_4)
_EVERYBODY = (100, 100.0, 100.001, 250, 10**400, math.inf, 99.999_9)


class UnreadableId(str):
    """An id that cannot become part of a text, and so cannot be hashed."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        raise AssertionError("hashed for nothing")


@pytest.mark.parametrize("row", _VECTORS["buckets"], ids=lambda row: row["about"])
def test_a_unit_falls_where_the_shared_vectors_say(row: dict[str, Any]) -> None:
    key, salt, unit = row["key"], row["salt"], row["unit"]

    assert f"{hash60(f'{key}.{salt}.{unit}'):015x}" == row["hash"]
    assert bucket(key, salt, unit) == row["bucket"]
    assert not includes(row["bucket"] / 1000, key, salt, unit)
    assert includes((row["bucket"] + 1) / 1000, key, salt, unit)


@pytest.mark.parametrize("row", _VECTORS["thresholds"], ids=lambda row: str(row["percentage"]))
def test_a_share_ends_where_the_shared_vectors_say(row: dict[str, Any]) -> None:
    assert step_of(row["percentage"]) == row["step"]
    assert threshold(row["percentage"]) == int(row["threshold"], 16)


def test_every_share_that_can_be_written_is_its_step() -> None:
    written = [float(f"{step // 1000}.{step % 1000:03}") for step in range(BUCKETS + 1)]

    assert [step_of(percentage) for percentage in written] == list(range(BUCKETS + 1))


def test_every_step_ends_exactly_between_two_buckets() -> None:
    edges = [threshold_of_step(step) for step in range(1, BUCKETS)]

    assert [_scale(edge - 1) for edge in edges] == list(range(BUCKETS - 1))
    assert [_scale(edge) for edge in edges] == list(range(1, BUCKETS))


def test_the_ends_of_the_hash_fall_into_the_first_and_the_last_bucket() -> None:
    # No string with these hashes is known, so the scale is asked directly.
    assert [_scale(end) for end in (0, _TOP_HASH - 1, _TOP_HASH)] == [0, BUCKETS - 1, BUCKETS - 1]
    assert threshold(99.999) <= _TOP_HASH < threshold(100)
    assert threshold(0) == 0 < threshold(0.001)


def test_a_share_is_the_units_whose_bucket_is_below_its_step_whatever_happens(runs: int) -> None:
    for seed in range(runs):
        dice = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        key, salt, unit = (_any_text(dice) for _ in range(3))
        number = bucket(key, salt, unit)
        shares = sorted((0, number / 1000, (number + 1) / 1000, dice.uniform(-1, 101), 100))

        dealt = [includes(share, key, salt, unit) for share in shares]

        assert dealt == [number < step_of(share) for share in shares], seed
        assert dealt == [hash60(f"{key}.{salt}.{unit}") < threshold(s) for s in shares], seed
        assert dealt == sorted(dealt), seed


@pytest.mark.parametrize("percentage", _NOBODY)
def test_zero_or_less_or_no_number_includes_nobody_without_hashing(percentage: float) -> None:
    assert not includes(percentage, "f", "s", UnreadableId("user-1"))
    assert threshold(percentage) == step_of(percentage) == 0


@pytest.mark.parametrize("percentage", _EVERYBODY)
def test_a_hundred_or_more_includes_everybody_without_hashing(percentage: float) -> None:
    assert includes(percentage, "f", "s", UnreadableId("user-1"))
    assert (threshold(percentage), step_of(percentage)) == (_TOP_HASH + 1, BUCKETS)


@pytest.mark.parametrize("percentage", [0.001, 50, 99.999])
def test_a_share_in_between_hashes_the_id(percentage: float) -> None:
    with pytest.raises(AssertionError, match="hashed for nothing"):
        includes(percentage, "f", "s", UnreadableId("user-1"))


def test_another_salt_deals_anew() -> None:
    units = [f"user-{n}" for n in range(2_000)]

    first = {u for u in units if includes(50, "streaming", "s1", u)}
    second = {u for u in units if includes(50, "streaming", "s2", u)}

    assert 0.45 < len(first & second) / len(first) < 0.55


def test_a_key_and_an_id_that_run_into_each_other_are_dealt_apart() -> None:
    pairs = [(f"exp-1{'2' * n}", f"{'2' * (9 - n)}3") for n in range(10)]

    assert len({bucket(key, "", unit) for key, unit in pairs}) == len(pairs)


@pytest.mark.parametrize("unit", ["", "\ud800", "a\udfffb", "\x00", "\U0001f600", "é" * 10**6])
def test_any_string_lands_in_a_bucket_and_always_the_same(unit: str) -> None:
    for place in itertools.permutations(("f", "s", unit)):
        number = bucket(*place)

        assert 0 <= number < BUCKETS
        assert bucket(*place) == bucket_of(".".join(place)) == number


def test_broken_ids_that_differ_are_dealt_apart() -> None:
    hashes = {hash60(chr(code)) for code in range(0xD7FF, 0xE001)}

    assert len(hashes) == 0xE001 - 0xD7FF
    assert hash60("\ud83d\ude00") != hash60("\U0001f600"), "two halves are no letter"


def _any_text(dice: random.Random) -> str:
    """Return a string of any characters, lone surrogates among them."""
    top = dice.choice((0x7F, 0x7FF, 0xFFFF, 0x10FFFF))
    return "".join(chr(dice.randint(0, top)) for _ in range(dice.randint(0, 40)))
