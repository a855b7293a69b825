"""From a ruleset to decisions: compiled once, then a lookup and at most two hashes each.

A compiled flag is a function of unit and attributes. All its outcomes exist before the first
question, so that answering makes nothing, waits for nothing and raises nothing.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate

from flags.bucketing import BUCKETS, bucket_of, hash60, step_of, threshold_of_step
from flags.conditions import Predicate, compile_condition
from flags.errors import ConditionError
from flags.model import (
    Attributes,
    Decision,
    Flag,
    Prerequisite,
    Reason,
    Rule,
    Ruleset,
    Segment,
    Serve,
)

Evaluator = Callable[[str, Attributes], Decision]
"""What a unit with these attributes gets. An empty unit is one that nobody knows."""

UNIT_ATTRIBUTE = "targetingKey"
"""The unit itself, for conditions: OpenFeature's name."""

UNIT_MISSING = "targeting_key_missing"
WHOLE = 100.0

MAX_PREREQUISITE_DEPTH = 10
MAX_ASKED = 100
"""Flags that one decision asks in all: those that several flags need are asked for each."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ruleset ready to be asked; never changed, only replaced."""

    ruleset: Ruleset
    evaluators: Mapping[str, Evaluator]


def compile_ruleset(
    ruleset: Ruleset,
    *,
    killed: Collection[str] = (),
    is_stale: bool = False,
    now: Callable[[], float] = time.time,
) -> Snapshot:
    """Return the ruleset ready to be asked.

    What a definition of a later release means that this one does not know takes nobody in, and a
    flag that is not answerable is as if disabled; nothing here raises.

    Args:
        ruleset: Validated when it was stored.
        killed: Keys that are killed here, whatever the store says.
        is_stale: Give every decision the reason «stale».
        now: Seconds since the epoch, for schedules.
    """
    compiler = _Compiler(ruleset, frozenset(killed), is_stale=is_stale, now=now)
    return Snapshot(ruleset, {key: compiler.flag(key) for key in ruleset.flags})


def answerable(flags: Mapping[str, Flag]) -> Collection[str]:
    """Return the flags whose prerequisites can all be asked, in whichever order they are given.

    Those in a circle or leading into one, those deeper than MAX_PREREQUISITE_DEPTH, and those that
    would ask more than MAX_ASKED are left out. A prerequisite that does not exist can be asked: it
    is not fulfilled.
    """
    asked: dict[str, int] = {}
    left = dict(flags)
    for _ in range(MAX_PREREQUISITE_DEPTH + 1):
        settled = {
            key: sum(asked.get(each.flag, 0) for each in flag.prerequisites) + 1
            for key, flag in left.items()
            if all(each.flag in asked or each.flag not in flags for each in flag.prerequisites)
        }
        asked |= {key: number for key, number in settled.items() if number <= MAX_ASKED}
        left = {key: flag for key, flag in left.items() if key not in settled}
    return asked.keys()


class Conditions:
    """The conditions of rules, ready to be asked; segments are prepared once for all flags."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._groups = {name: each.include for name, each in ruleset.segments.items()}
        self._segments = {
            name: _segment(each) for name, each in ruleset.segments.items() if _is_clear(each)
        }

    def of(self, rule: Rule) -> Predicate:
        """Return a rule's condition; attributes have the unit among them."""
        return compile_condition(
            rule.when, segments=self._segments, groups=self._groups, strict=False
        )


class _Compiler:
    def __init__(
        self,
        ruleset: Ruleset,
        killed: frozenset[str],
        *,
        is_stale: bool,
        now: Callable[[], float],
    ) -> None:
        self._ruleset = ruleset
        self._killed = killed
        self._is_stale = is_stale
        self._now = now
        self._conditions = Conditions(ruleset)
        self._answerable = answerable(ruleset.flags)
        self._made: dict[str, Evaluator] = {}

    def flag(self, key: str) -> Evaluator:
        """Return a flag's evaluator; those it needs are made first, each once."""
        if key not in self._made:
            self._made[key] = self._compiled(self._ruleset.flags[key])
        return self._made[key]

    def _compiled(self, flag: Flag) -> Evaluator:
        outcomes = _Outcomes(flag, is_stale=self._is_stale)
        off = outcomes.of(flag.off_variant, Reason.DISABLED)
        is_off = flag.kill or flag.key in self._killed or not flag.enabled
        if is_off or flag.key not in self._answerable:
            return lambda _unit, _attributes: off
        evaluate = self._rollout(flag, outcomes)
        for rule in reversed(flag.rules):
            evaluate = _rule(rule, self._conditions.of(rule), outcomes, evaluate)
        if flag.rules:
            evaluate = _with_unit(evaluate)
        evaluate = _lists(outcomes, evaluate)
        for prerequisite in reversed(flag.prerequisites):
            evaluate = self._prerequisite(prerequisite, off, evaluate)
        return self._schedule(flag, off, evaluate)

    def _rollout(self, flag: Flag, outcomes: "_Outcomes") -> Evaluator:
        default = outcomes.of(flag.default_variant, Reason.DEFAULT)
        dealt = outcomes.dealt(flag.rollout.serve, Reason.SPLIT)
        return outcomes.share(flag.rollout.percentage, dealt, lambda _unit, _attributes: default)

    def _prerequisite(
        self, prerequisite: Prerequisite, off: Decision, otherwise: Evaluator
    ) -> Evaluator:
        key, wanted = prerequisite.flag, frozenset(prerequisite.variants)
        # Writers refuse it; one that came in all the same takes nobody in.
        if key not in self._ruleset.flags:
            return lambda _unit, _attributes: off
        needed = self.flag(key)
        return lambda unit, attributes: (
            otherwise(unit, attributes) if needed(unit, attributes).variant in wanted else off
        )

    def _schedule(self, flag: Flag, off: Decision, otherwise: Evaluator) -> Evaluator:
        starts_at, ends_at = flag.schedule.starts_at, flag.schedule.ends_at
        if starts_at is None and ends_at is None:
            return otherwise
        now = self._now
        first = float("-inf") if starts_at is None else starts_at.timestamp()
        last = float("inf") if ends_at is None else ends_at.timestamp()
        return lambda unit, attributes: (
            otherwise(unit, attributes) if first <= now() < last else off
        )


class _Outcomes:
    """The decisions that one flag can come to, each made once."""

    def __init__(self, flag: Flag, *, is_stale: bool) -> None:
        self.flag = flag
        self._is_stale = is_stale
        self.unit_missing = Decision(
            flag.key,
            flag.variants.get(flag.off_variant),
            flag.off_variant,
            Reason.ERROR,
            flag.version,
            flag.epoch,
            UNIT_MISSING,
        )

    def of(self, variant: str, reason: Reason) -> Decision:
        """Return the decision for a variant."""
        if self._is_stale:
            reason = Reason.STALE
        flag = self.flag
        return Decision(
            flag.key, flag.variants.get(variant), variant, reason, flag.version, flag.epoch
        )

    def dealt(self, serve: Serve, reason: Reason) -> Evaluator:
        """Return who gets which variant of those that are in: by weight, for good."""
        if len(serve) == 1:
            only = self.of(serve[0].variant, reason)
            return lambda _unit, _attributes: only
        ends = tuple(accumulate(step_of(share.weight) for share in serve))
        decisions = tuple(self.of(share.variant, reason) for share in serve)
        # A hash of its own: whoever is let in later does not move those who are in.
        prefix = f"{self.flag.key}.{self.flag.rollout.salt}.variant."
        missing = self.unit_missing

        def deal(unit: str, _attributes: Attributes) -> Decision:
            if not unit:
                return missing
            place = bucket_of(f"{prefix}{unit}")
            for end, decision in zip(ends, decisions, strict=True):
                if place < end:
                    return decision
            return decisions[-1]

        return deal

    def share(self, percentage: float, dealt: Evaluator, otherwise: Evaluator) -> Evaluator:
        """Return the split between those that are in and the others."""
        step = step_of(percentage)
        if step == 0:
            return otherwise
        if step == BUCKETS:
            return dealt
        limit = threshold_of_step(step)
        prefix = f"{self.flag.key}.{self.flag.rollout.salt}."
        missing = self.unit_missing

        def split(unit: str, attributes: Attributes) -> Decision:
            if not unit:
                return missing
            is_in = hash60(f"{prefix}{unit}") < limit
            return (dealt if is_in else otherwise)(unit, attributes)

        return split


def _rule(rule: Rule, meets: Predicate, outcomes: _Outcomes, otherwise: Evaluator) -> Evaluator:
    is_plain = len(rule.serve) == 1 and rule.percentage >= WHOLE
    reason = Reason.TARGETING_MATCH if is_plain else Reason.SPLIT
    matched = outcomes.share(rule.percentage, outcomes.dealt(rule.serve, reason), otherwise)
    return lambda unit, attributes: (
        matched(unit, attributes) if meets(attributes) else otherwise(unit, attributes)
    )


def _lists(outcomes: _Outcomes, otherwise: Evaluator) -> Evaluator:
    flag = outcomes.flag
    if not flag.allow and not flag.deny:
        return otherwise
    denied = outcomes.of(flag.off_variant, Reason.TARGETING_MATCH)
    allowed = outcomes.dealt(flag.rollout.serve, Reason.TARGETING_MATCH)
    allow, deny = flag.allow, flag.deny

    def listed(unit: str, attributes: Attributes) -> Decision:
        if unit in deny:
            return denied
        return (allowed if unit in allow else otherwise)(unit, attributes)

    return listed


def _with_unit(evaluate: Evaluator) -> Evaluator:
    return lambda unit, attributes: evaluate(unit, {**attributes, UNIT_ATTRIBUTE: unit})


def _is_clear(segment: Segment) -> bool:
    """Say whether all of a segment is understood; else nobody is in it, nor outside of it."""
    try:
        compile_condition(segment.when or {}, strict=True)
    except ConditionError:
        return False
    return True


def _segment(segment: Segment) -> Predicate:
    include, exclude = segment.include, segment.exclude
    meets = None if segment.when is None else compile_condition(segment.when, strict=False)

    def holds(attributes: Attributes) -> bool:
        unit = attributes.get(UNIT_ATTRIBUTE)
        if unit in exclude:
            return False
        return unit in include or (meets is not None and meets(attributes))

    return holds
