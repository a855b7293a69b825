"""Evaluation: the published cases, a second evaluator, and what holds through every change."""

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flags.bucketing import BUCKETS, bucket, bucket_of
from flags.evaluate import MAX_ASKED, MAX_PREREQUISITE_DEPTH, answerable, compile_ruleset
from flags.model import Decision, Flag, Reason, Rollout, Ruleset, Segment, Share
from tests.flags.factories import (
    NOW,
    UNITS,
    a_colour,
    a_flag,
    a_ruleset,
    random_attributes,
    random_documents,
)
from tests.flags.support import Asked, reference, ruleset_of

VECTORS: Mapping[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "flags.json").read_text(encoding="utf-8")
)
CASES = VECTORS["cases"]
MANY = [f"user-{n}" for n in range(5_000)]


def decide(flag: Flag, unit: str = "ann", **attributes: object) -> Decision:
    """Return what a unit gets of a flag that is alone."""
    return compile_ruleset(a_ruleset(flag)).evaluators[flag.key](unit, attributes)


def gets_on(flag: Flag) -> set[str]:
    """Return who of many gets «on»."""
    evaluate = compile_ruleset(a_ruleset(flag)).evaluators[flag.key]
    return {unit for unit in MANY if evaluate(unit, {}).variant == "on"}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_published_case_holds(case: Mapping[str, Any]) -> None:
    ruleset = ruleset_of(VECTORS["rulesets"][case["ruleset"]])
    snapshot = compile_ruleset(
        ruleset,
        killed=case.get("killed", ()),
        is_stale=case.get("stale", False),
        now=lambda: datetime.fromisoformat(VECTORS["now"]).timestamp(),
    )

    decision = snapshot.evaluators[case["flag"]](case["unit"], case.get("attributes", {}))

    expected = case["variant"], case["reason"], case.get("error")
    assert (decision.variant, decision.reason.value, decision.error) == expected
    assert decision.value == ruleset.flags[case["flag"]].variants[case["variant"]]


def test_the_published_cases_have_names_of_their_own_and_true_buckets() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 60
    assert VECTORS["buckets"] == {text: bucket_of(text) for text in VECTORS["buckets"]}
    assert VECTORS["places"] == {text: bucket_of(text) for text in VECTORS["places"]}


def test_a_second_evaluator_decides_alike_whatever_happens(runs: int) -> None:
    seen: set[str] = set()
    for seed in range(runs):
        documents, dice = random_documents(seed), random.Random(seed)  # noqa: S311  # seeded
        killed = {"f1", "f9"} if seed % 5 == 0 else set()
        snapshot = compile_ruleset(ruleset_of(documents), killed=killed, now=lambda: NOW)
        for unit in dice.sample(UNITS, 8):
            attributes = random_attributes(dice)
            asked = Asked(documents, unit, attributes, killed, NOW)
            for key, evaluate in snapshot.evaluators.items():
                decision = evaluate(unit, attributes)

                told = decision.variant, decision.reason.value
                assert told == reference(key, asked), (seed, key, unit, attributes)
                seen.add(decision.reason.value)
    assert seen == {"default", "disabled", "targeting_match", "split", "error"}


def test_the_order_in_which_flags_are_held_decides_nothing(runs: int) -> None:
    for seed in range(min(runs, 100)):
        ruleset = ruleset_of(random_documents(seed))
        backwards = Ruleset(7, dict(reversed(list(ruleset.flags.items()))), ruleset.segments)
        one = compile_ruleset(ruleset, now=lambda: NOW).evaluators
        other = compile_ruleset(backwards, now=lambda: NOW).evaluators

        assert all(one[key](u, {}) == other[key](u, {}) for key in one for u in UNITS), seed


def test_a_decision_tells_which_definition_made_it() -> None:
    (flag,) = ruleset_of({"flags": {"f": {"version": 12, "epoch": 9}}}).flags.values()

    assert decide(flag) == Decision("f", False, "off", Reason.DEFAULT, 12, 9)
    unknown = decide(a_flag(rollout={"percentage": 5}), "")
    assert unknown.value is False
    assert unknown.error == "targeting_key_missing"


def test_who_is_in_stays_in_at_every_higher_percentage() -> None:
    shares = (0, 0.001, 1, 5, 10, 25, 50, 75, 90, 99.999, 100)

    who = [gets_on(a_flag(rollout={"percentage": share})) for share in shares]

    assert all(fewer <= more for fewer, more in itertools.pairwise(who))
    assert (who[0], who[-1]) == (set(), set(MANY))
    assert all(len(who[n]) < len(who[n + 1]) for n in range(2, 8))


def test_a_kill_and_its_end_bring_the_same_units_back() -> None:
    rollout = {"percentage": 10, "salt": "s1"}
    before = gets_on(a_flag(rollout=rollout))

    assert gets_on(a_flag(rollout=rollout, kill=True)) == set()
    assert gets_on(a_flag(rollout={**rollout, "percentage": 5})) < before
    assert gets_on(a_flag(rollout=rollout)) == before


def test_another_salt_deals_anew() -> None:
    one, other = (gets_on(a_flag(rollout={"percentage": 50, "salt": s})) for s in ("s1", "s2"))

    assert 0.4 < len(one & other) / len(one) < 0.6


def test_a_variant_stays_a_units_own_as_the_percentage_grows() -> None:
    serve = [
        {"variant": name, "weight": w} for name, w in (("red", 20), ("green", 30), ("blue", 50))
    ]
    was: dict[str, str | None] = {}

    for percentage in (1, 5, 10, 50, 100):
        flag = a_colour(rollout={"percentage": percentage, "serve": serve}, default_variant="red")
        evaluate = compile_ruleset(a_ruleset(flag)).evaluators["colour"]
        dealt = {unit: evaluate(unit, {}) for unit in MANY}
        now = {unit: one.variant for unit, one in dealt.items() if one.reason is Reason.SPLIT}
        assert was.items() <= now.items()
        was = now

    sizes = [sum(variant == name for variant in was.values()) for name in ("red", "green", "blue")]
    assert all(
        abs(size - share) < 150 for size, share in zip(sizes, (1000, 1500, 2500), strict=True)
    )


def test_a_rule_of_five_per_cent_lies_within_ten_per_cent() -> None:
    rules = [{"when": {"plan": "pro"}, "percentage": 5}]
    evaluate = compile_ruleset(a_ruleset(a_flag(rules=rules))).evaluators["streaming"]

    by_rule = {unit for unit in MANY if evaluate(unit, {"plan": "pro"}).variant == "on"}

    assert by_rule == gets_on(a_flag(rollout={"percentage": 5}))
    assert by_rule < gets_on(a_flag(rollout={"percentage": 10}))


def test_what_a_rule_leaves_over_is_dealt_by_what_follows() -> None:
    rules = [
        {"when": {}, "percentage": 5, "serve": "green"},
        {"when": {}, "percentage": 50, "serve": "blue"},
    ]
    flag = a_colour(rules=rules)
    evaluate = compile_ruleset(a_ruleset(flag)).evaluators["colour"]

    for unit in MANY:
        place = bucket("colour", "colour", unit)
        expected = "green" if place < 5_000 else "blue" if place < 50_000 else "red"
        assert evaluate(unit, {}).variant == expected


def test_every_bucket_is_decided_as_the_percentage_says() -> None:
    # Where a share ends is asked of each bucket's own unit, so that nothing is off by one.
    units = {bucket("streaming", "streaming", f"u{n}"): f"u{n}" for n in range(60_000)}

    for percentage in (0.001, 12.345, 33.333, 50, 99.999):
        evaluate = compile_ruleset(a_ruleset(a_flag(rollout={"percentage": percentage})))
        for place, unit in units.items():
            is_in = evaluate.evaluators["streaming"](unit, {}).variant == "on"
            assert is_in == (place < round(percentage * 1000)), (percentage, place)


def test_a_place_beyond_all_weights_is_the_last_variants() -> None:
    shares = (Share("red", 50), Share("green", 49.999))  # as a hand on the store may leave it
    unit = next(
        f"u{n}" for n in itertools.count() if bucket_of(f"colour.s.variant.u{n}") == BUCKETS - 1
    )

    assert decide(_with_rollout(a_colour(), Rollout(100, "s", shares)), unit).variant == "green"


@pytest.mark.parametrize("percentage", [-1, -0.0001, float("nan"), float("-inf"), 0.0001])
def test_a_stored_share_of_nobody_is_nobodys(percentage: float) -> None:
    flag = _with_rollout(a_flag(), Rollout(percentage, "s", (Share("on", 100),)))

    assert {decide(flag, unit).reason for unit in UNITS} == {Reason.DEFAULT}


@pytest.mark.parametrize("percentage", [100, 100.001, 1e300, float("inf"), 99.9999])
def test_a_stored_share_of_all_is_everybodys(percentage: float) -> None:
    flag = _with_rollout(a_flag(), Rollout(percentage, "s", (Share("on", 100),)))

    assert {decide(flag, unit).variant for unit in UNITS} == {"on"}


def test_a_schedule_is_asked_at_each_decision() -> None:
    clock = iter([99.0, 100.0, 199.0, 200.0])
    flag = a_flag(
        rollout={"percentage": 100},
        schedule={"starts_at": "1970-01-01T00:01:40Z", "ends_at": "1970-01-01T00:03:20Z"},
    )
    evaluate = compile_ruleset(a_ruleset(flag), now=lambda: next(clock)).evaluators["streaming"]

    assert [evaluate("ann", {}).variant for _ in range(4)] == ["off", "on", "on", "off"]


def test_a_stale_ruleset_deals_as_before_and_says_so() -> None:
    for seed in range(20):
        ruleset = ruleset_of(random_documents(seed))
        fresh = compile_ruleset(ruleset, now=lambda: NOW).evaluators
        stale = compile_ruleset(ruleset, is_stale=True, now=lambda: NOW).evaluators
        for key, unit in itertools.product(ruleset.flags, UNITS):
            one, other = fresh[key](unit, {}), stale[key](unit, {})
            assert (one.variant, one.error) == (other.variant, other.error)
            assert other.reason is (Reason.ERROR if one.error else Reason.STALE)


def test_flags_in_a_circle_are_off_whichever_is_asked_first() -> None:
    both = ["on", "off"]
    a = a_flag("a", rollout={"percentage": 100}, prerequisites=[{"flag": "b", "variants": both}])
    b = a_flag("b", rollout={"percentage": 100}, prerequisites=[{"flag": "a", "variants": both}])

    for flags_ in (a_ruleset(a, b), a_ruleset(b, a)):
        evaluators = compile_ruleset(flags_).evaluators
        assert [evaluators[key]("ann", {}).variant for key in ("a", "b")] == ["off", "off"]


def test_a_chain_of_any_length_is_compiled_and_its_far_end_is_off() -> None:
    # As an older release, or a hand on the store, may have left it: no depth may break a process.
    chain = [a_flag("f0", rollout={"percentage": 100})]
    for n in range(1, 1000):
        needs = [{"flag": f"f{n - 1}", "variants": ["on"]}]
        chain.append(a_flag(f"f{n}", rollout={"percentage": 100}, prerequisites=needs))

    evaluators = compile_ruleset(a_ruleset(*reversed(chain))).evaluators

    on = [evaluators[f"f{n}"]("ann", {}).variant == "on" for n in range(1000)]
    assert on == [n <= MAX_PREREQUISITE_DEPTH for n in range(1000)]


def test_one_decision_never_asks_more_than_a_hundred_flags() -> None:
    levels = [a_flag("f0", rollout={"percentage": 100})]
    for n in range(1, 9):
        needs = [{"flag": f"f{n - 1}", "variants": ["on"]}] * 2
        levels.append(a_flag(f"f{n}", rollout={"percentage": 100}, prerequisites=needs))

    assert set(answerable(a_ruleset(*levels).flags)) == {f"f{n}" for n in range(6)}  # 2**6 - 1 = 63
    wide = [{"flag": "f0", "variants": ["on"]}] * (MAX_ASKED - 1)
    assert "wide" in answerable(a_ruleset(levels[0], a_flag("wide", prerequisites=wide)).flags)


def test_segments_are_prepared_once_for_all_flags() -> None:
    # Once for each flag, a thousand flags and two hundred segments held the event loop for 9 s.
    when = _CountedReads(plan="pro")
    rules = [{"when": {"$segment": "pros"}}]
    pros = Segment("pros", when=when)

    snapshot = compile_ruleset(a_ruleset(pros, *(a_flag(f"f{n}", rules=rules) for n in range(50))))

    assert {snapshot.evaluators[f"f{n}"]("u", {"plan": "pro"}).variant for n in range(50)} == {"on"}
    assert when.reads == 2  # is it understood, and what does it say


class _CountedReads(dict[str, object]):
    reads = 0

    def items(self) -> Any:
        self.reads += 1
        return super().items()


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    unit=st.text(st.characters(), max_size=20),
    attributes=st.dictionaries(
        st.sampled_from(["country", "age", "plan", "beta", "targetingKey"]) | st.text(max_size=5),
        _ANYTHING,
    ),
)
def test_no_unit_and_no_attributes_make_an_evaluator_raise(
    unit: str, attributes: dict[str, object]
) -> None:
    for evaluators in _RANDOM:
        for evaluate in evaluators.values():
            assert isinstance(evaluate(unit, attributes), Decision)


def _with_rollout(flag: Flag, rollout: Rollout) -> Flag:
    fields = {name: getattr(flag, name) for name in flag.__slots__}
    return Flag(**{**fields, "rollout": rollout})


def _random_evaluators() -> Iterator[Mapping[str, Any]]:
    for seed in range(25):
        yield compile_ruleset(ruleset_of(random_documents(seed)), now=lambda: NOW).evaluators


_RANDOM = tuple(_random_evaluators())


@pytest.mark.parametrize("when", [{"$segment": "s"}, {"$not": {"$segment": "s"}}])
def test_nobody_is_in_nor_outside_of_a_segment_that_is_not_understood(
    when: dict[str, object],
) -> None:
    segment = Segment("s", when={"a": {"$of_a_later_release": 1}})
    flag = a_flag("k", rules=[{"when": when}])
    snapshot = compile_ruleset(a_ruleset(segment, flag))

    decision = snapshot.evaluators["k"]("user", {"a": 1})

    assert (decision.variant, decision.reason) == ("off", Reason.DEFAULT)
