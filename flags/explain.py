"""Why a unit gets what it gets of a flag, step by step, in the order of evaluation.

For people: slower than a decision, and it agrees with it (a test holds the two equal).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flags.bucketing import BUCKETS, bucket, step_of
from flags.client import FlagClient
from flags.errors import FlagNotFoundError
from flags.evaluate import UNIT_ATTRIBUTE, Conditions, answerable
from flags.model import NO_ATTRIBUTES, Attributes, Decision, Flag, Ruleset, Schedule

_PERCENT_STEPS = BUCKETS // 100


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the evaluation: what was asked, and whether it decided."""

    step: str
    decided: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and how it came about.

    `enters_at` is the first percentage of the rollout that includes this unit.
    """

    decision: Decision
    unit: str
    salt: str
    bucket: int
    percentage: float
    enters_at: float
    steps: tuple[Step, ...]


def explain(
    client: FlagClient,
    key: str,
    unit: str,
    *,
    attributes: Attributes = NO_ATTRIBUTES,
    now: Callable[[], float],
) -> Explanation:
    """Return why a unit gets what it gets.

    Raises:
        FlagNotFoundError: there is no such flag.
    """
    ruleset = client.ruleset
    if key not in ruleset.flags:
        raise FlagNotFoundError(key)
    flag = ruleset.flags[key]
    place = bucket(flag.key, flag.rollout.salt, unit)
    asked = _Asked(client, ruleset, unit, attributes, now())
    steps = tuple(_steps(flag, place, asked))
    decided = [step.decided for step in steps].index(True)
    return Explanation(
        decision=client.decide(key, unit, default=None, attributes=attributes),
        unit=unit,
        salt=flag.rollout.salt,
        bucket=place,
        percentage=flag.rollout.percentage,
        enters_at=(place + 1) / _PERCENT_STEPS,
        steps=steps[: decided + 1],
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    client: FlagClient
    ruleset: Ruleset
    unit: str
    attributes: Attributes
    now: float


def _steps(flag: Flag, place: int, asked: _Asked) -> Iterator[Step]:
    killed_here = flag.key in asked.client.status.killed_here
    where = "on this machine" if killed_here else "for everybody" if flag.kill else "no"
    yield Step("kill", killed_here or flag.kill, where)
    yield Step("enabled", not flag.enabled, "yes" if flag.enabled else "no")
    yield from _conditions_around(flag, asked)
    yield Step("deny", asked.unit in flag.deny, f"{len(flag.deny)} listed")
    yield Step("allow", asked.unit in flag.allow, f"{len(flag.allow)} listed")
    yield from _rules(flag, place, asked)
    percentage = flag.rollout.percentage
    detail = f"{percentage:g} % reaches bucket {step_of(percentage)} of {BUCKETS}"
    yield Step(
        "percentage", _decides(place, percentage, asked.unit), f"{detail}; {_whose(place, asked)}"
    )
    yield Step("default", True, flag.default_variant)


def _conditions_around(flag: Flag, asked: _Asked) -> Iterator[Step]:
    if flag.schedule != Schedule():
        first, last = flag.schedule.starts_at, flag.schedule.ends_at
        is_on = (first is None or first.timestamp() <= asked.now) and (
            last is None or asked.now < last.timestamp()
        )
        yield Step("schedule", not is_on, f"from {first or 'ever'} until {last or 'ever'}")
    if flag.key not in answerable(asked.ruleset.flags):
        yield Step("prerequisite", True, "they go in a circle, too deep, or ask too many flags")
    for needed in flag.prerequisites:
        got = asked.client.decide(
            needed.flag, asked.unit, default=None, attributes=asked.attributes
        ).variant
        detail = f"{needed.flag} gives {got}; {' or '.join(needed.variants)} is needed"
        yield Step("prerequisite", got not in needed.variants, detail)


def _rules(flag: Flag, place: int, asked: _Asked) -> Iterator[Step]:
    attributes = {**asked.attributes, UNIT_ATTRIBUTE: asked.unit}
    conditions = Conditions(asked.ruleset)
    for index, rule in enumerate(flag.rules):
        name = rule.name or f"number {index + 1}"
        if not conditions.of(rule)(attributes):
            yield Step("rule", False, f"{name} is not met")
            continue
        share = f"{rule.percentage:g} % of those that meet {name}; {_whose(place, asked)}"
        yield Step("rule", _decides(place, rule.percentage, asked.unit), share)


def _decides(place: int, percentage: float, unit: str) -> bool:
    """Say whether a share ends the evaluation; for a unit that nobody knows it cannot be dealt."""
    step = step_of(percentage)
    return step > 0 and (not unit or place < step)


def _whose(place: int, asked: _Asked) -> str:
    return f"this unit's is {place}" if asked.unit else "a unit that nobody knows has none"
