"""Explaining: step by step, and never another story than the decision's."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from flags.client import Fallbacks, FlagClient
from flags.errors import FlagNotFoundError
from flags.explain import Explanation, explain
from flags.kills import LocalKills
from flags.model import Flag, Reason, Ruleset, Segment
from tests.flags.factories import (
    LISTABLE,
    UNITS,
    a_flag,
    a_ruleset,
    a_segment,
    random_attributes,
    random_documents,
)
from tests.flags.support import MemoryStore, ruleset_of

NOW = time.time()
"""The evaluation asks the clock: the schedules of these tests are far from today."""

TOLD_BY = {
    "kill": {Reason.DISABLED},
    "enabled": {Reason.DISABLED},
    "schedule": {Reason.DISABLED},
    "prerequisite": {Reason.DISABLED},
    "deny": {Reason.TARGETING_MATCH},
    "allow": {Reason.TARGETING_MATCH},
    "rule": {Reason.TARGETING_MATCH, Reason.SPLIT, Reason.ERROR},
    "percentage": {Reason.SPLIT, Reason.ERROR},
    "default": {Reason.DEFAULT},
}


async def explained(
    flag: Flag,
    unit: str,
    *others: Flag | Segment,
    killed: tuple[str, ...] = (),
    **attributes: object,
) -> Explanation:
    """Return why a unit gets what it gets of a flag."""
    client = await _client(a_ruleset(flag, *others), LocalKills(killed))
    return explain(client, flag.key, unit, attributes=attributes, now=lambda: NOW)


async def test_the_first_step_that_decides_tells_the_reason_whatever_happens(runs: int) -> None:
    seen: set[tuple[str, Reason]] = set()
    for seed in range(runs):
        dice = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        ruleset = ruleset_of(random_documents(seed, times=_LONG_AGO_AND_FAR_AHEAD))
        client = await _client(ruleset, LocalKills({"f1"} if seed % 5 == 0 else ()))
        for unit in dice.sample(UNITS, 6):
            attributes = random_attributes(dice)
            for key, flag in ruleset.flags.items():
                told = explain(client, key, unit, attributes=attributes, now=lambda: NOW)

                decision = client.decide(key, unit, default=None, attributes=attributes)
                *before, last = told.steps
                assert told.decision == decision
                assert last.decided
                assert not any(step.decided for step in before), (seed, key, unit)
                assert decision.reason in TOLD_BY[last.step], (seed, key, unit, told)
                assert _can_be(decision.variant, flag, last.step), (seed, key, unit, told)
                seen.add((last.step, decision.reason))
    assert seen == {(step, reason) for step, reasons in TOLD_BY.items() for reason in reasons}


async def test_the_steps_are_in_the_order_of_evaluation() -> None:
    flag = a_flag(
        rollout={"percentage": 50},
        deny=["dan"],
        allow=["ann"],
        rules=[{"when": {"plan": "pro"}, "name": "pros"}, {"when": {"a": 1}}],
        schedule={"starts_at": "2020-01-01T00:00:00Z"},
        prerequisites=[{"flag": "base", "variants": ["on", "off"]}],
    )

    told = await explained(flag, "user-1", a_flag("base"))

    assert [step.step for step in told.steps][:8] == [
        "kill", "enabled", "schedule", "prerequisite", "deny", "allow", "rule", "rule",
    ]  # fmt: skip
    assert [step.detail for step in told.steps][2:8] == [
        "from 2020-01-01 00:00:00+00:00 until ever",
        "base gives off; on or off is needed",
        "1 listed",
        "1 listed",
        "pros is not met",
        "number 2 is not met",
    ]


async def test_it_tells_the_first_percentage_that_includes_a_unit() -> None:
    for unit in LISTABLE:
        enters_at = (await explained(a_flag(), unit)).enters_at

        at = await explained(a_flag(rollout={"percentage": enters_at}), unit)
        below = await explained(a_flag(rollout={"percentage": round(enters_at - 0.001, 3)}), unit)
        assert (at.decision.variant, below.decision.variant) == ("on", "off")
        assert at.bucket == below.bucket == round(enters_at * 1000) - 1


async def test_it_tells_the_shares_and_the_units_bucket() -> None:
    rules = [{"when": {"plan": "pro"}, "percentage": 0.001, "name": "pros"}]
    flag = a_flag(rollout={"percentage": 12.5, "salt": "s1"}, rules=rules)

    told = await explained(flag, "user-1", plan="pro")

    place = told.bucket
    assert (told.unit, told.salt, told.percentage) == ("user-1", "s1", 12.5)
    assert told.steps[4].detail == f"0.001 % of those that meet pros; this unit's is {place}"
    assert told.steps[5].detail == (
        f"12.5 % reaches bucket 12500 of 100000; this unit's is {place}"
    )


@pytest.mark.parametrize(
    ("definition", "step"),
    [
        ({"rollout": {"percentage": 5}}, "percentage"),
        ({"rules": [{"when": {}, "percentage": 5}]}, "rule"),
    ],
)
async def test_a_share_without_a_unit_is_told_where_it_ends(
    definition: dict[str, Any], step: str
) -> None:
    told = await explained(a_flag(**definition), "")

    assert told.decision.error == "targeting_key_missing"
    assert (told.steps[-1].step, told.steps[-1].decided) == (step, True)
    assert told.steps[-1].detail.endswith("a unit that nobody knows has none")


@pytest.mark.parametrize("percentage", [0, 100])
async def test_all_or_nothing_needs_no_unit(percentage: int) -> None:
    told = await explained(a_flag(rollout={"percentage": percentage}), "")

    assert told.steps[-1].step == ("percentage" if percentage else "default")
    assert told.decision.error is None


async def test_a_kill_is_told_with_its_place() -> None:
    here = await explained(a_flag(), "ann", killed=("streaming",))
    everywhere = await explained(a_flag(kill=True), "ann")
    nowhere = await explained(a_flag(), "ann", killed=("other",))

    assert here.steps[0].detail == "on this machine"
    assert everywhere.steps[0].detail == "for everybody"
    assert nowhere.steps[0].detail == "no"
    assert [len(told.steps) for told in (here, everywhere)] == [1, 1]


async def test_a_circle_is_told() -> None:
    needs = [{"flag": "streaming", "variants": ["on", "off"]}]

    told = await explained(a_flag(prerequisites=needs), "ann")

    assert told.decision.reason is Reason.DISABLED
    assert told.steps[-1].detail == "they go in a circle, too deep, or ask too many flags"


async def test_a_segment_is_asked_as_in_the_decision() -> None:
    rules = [{"when": {"$segment": "staff"}}]

    told = await explained(a_flag(rules=rules), "ann", a_segment("staff", include=["ann"]))

    assert (told.steps[-1].step, told.decision.variant) == ("rule", "on")


async def test_a_flag_that_is_not_there_cannot_be_explained() -> None:
    client = await _client(a_ruleset(a_flag()), LocalKills())

    with pytest.raises(FlagNotFoundError):
        explain(client, "other", "ann", now=lambda: NOW)


async def test_without_a_store_the_steps_tell_what_the_reason_hides(tmp_path: Path) -> None:
    client = FlagClient(
        MemoryStore(), Fallbacks(a_ruleset(a_flag(allow=["ann"])), tmp_path / "snapshot.json")
    )

    told = explain(client, "streaming", "ann", now=lambda: NOW)

    assert told.decision.reason is Reason.STALE
    assert told.steps[-1].step == "allow"


_LONG_AGO_AND_FAR_AHEAD = ("2020-01-01T00:00:00Z", "2096-01-01T00:00:00Z")


async def _client(ruleset: Ruleset, kills: LocalKills) -> FlagClient:
    client = FlagClient(MemoryStore(ruleset), Fallbacks(Ruleset()), kills=kills)
    await client.open()
    return client


def _can_be(variant: str | None, flag: Flag, step: str) -> bool:
    """Say whether a variant is among those that a step can give."""
    if step in {"kill", "enabled", "schedule", "prerequisite", "deny"}:
        return variant == flag.off_variant
    if step == "default":
        return variant == flag.default_variant
    shares = [flag.rollout.serve] if step != "rule" else [rule.serve for rule in flag.rules]
    given = {share.variant for serve in shares for share in serve if share.weight}
    return variant in given | {flag.off_variant}
