"""Every state that a rollout can come to, and every step out of it, by traffic and by people."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from flags.changes.rollouts import taken
from flags.errors import RolloutRefusedError
from flags.model import Author, Ruleset
from flags.rollout.counters import NOTHING_COUNTED, Counters, Observation
from flags.rollout.decision.evidence import Evidence
from flags.rollout.decision.machine import Transition, decide
from flags.rollout.decision.report import Report
from flags.rollout.model import ACTIVE, FAILING_USERS_KEPT, GuardedRollout, Hold, Plan, State
from flags.rollout.operations import approved, held_still, resumed, started
from tests.flags.factories import a_flag, a_ruleset
from tests.flags.rollout.decision.rides import START, TICK_S, counted

KEY = "streaming"
ANN = Author("ann")
PLAN = Plan(
    stages=(10.0, 50.0, 100.0),
    bake_s=10.0,
    final_bake_s=10.0,
    cooldown_s=20.0,
    incident_max_s=40.0,
    approval_at=(50.0,),
    beta=0.05,
)

FINE = counted(120)
BAD = counted(60, 20)
LATE = counted(60, ttft_s=6.0)


@dataclass(frozen=True)
class Came:
    """What comes in one tick, and how it is seen; users as `dealt`, unless they are lost."""

    on: Counters = FINE
    off: Counters = FINE
    oldest_flush_s: float = 0.0
    is_skewed: bool = False
    are_users_lost: bool = False


TRAFFIC: Mapping[str, Came] = {
    "both are fine": Came(),
    "nothing comes": Came(NOTHING_COUNTED, NOTHING_COUNTED),
    "a little comes": Came(counted(10), counted(10)),
    "the arm fails": Came(on=BAD),
    "the arm is late": Came(on=LATE),
    "the arm is a little worse": Came(on=counted(1000, 16), off=counted(1000)),
    "both fail": Came(BAD, BAD),
    "both are late": Came(LATE, LATE),
    "control fails": Came(off=BAD),
    "users are lost": Came(are_users_lost=True),
    "figures are old": Came(on=BAD, oldest_flush_s=60.0),
    "workers disagree": Came(is_skewed=True),
}


@dataclass(frozen=True)
class Place:
    """A flag with its rollout, what was counted in its epoch, and what is remembered."""

    ruleset: Ruleset
    now: float
    epoch: int = 1
    on: Counters = NOTHING_COUNTED
    off: Counters = NOTHING_COUNTED
    evidence: Evidence | None = None
    report: Report | None = None

    @property
    def rollout(self) -> GuardedRollout:
        """Where it stands."""
        return self.ruleset.rollouts[KEY]

    @property
    def percentage(self) -> float:
        """What the flag deals."""
        return self.ruleset.flags[KEY].rollout.percentage

    @property
    def is_killed(self) -> bool:
        """Whether the flag is killed."""
        return self.ruleset.flags[KEY].kill

    def dealing(self, ruleset: Ruleset) -> "Place":
        """Return the place with other rules: another percentage is another epoch."""
        place = replace(self, ruleset=ruleset)
        if place.percentage == self.percentage and place.is_killed == self.is_killed:
            return place
        return replace(place, epoch=self.epoch + 1, on=NOTHING_COUNTED, off=NOTHING_COUNTED)

    def ticked(self, came: Came) -> tuple["Place", Transition | None]:
        """Return the place after a tick, and the step that was taken in it."""
        users = 40 if came.are_users_lost else 400
        share = self.percentage / 100
        on = replace(came.on, users=round(users * share)) if share else NOTHING_COUNTED
        off = replace(came.off, users=round(400 * (1 - share))) if share < 1 else NOTHING_COUNTED
        place = replace(self, now=self.now + TICK_S, on=_sum(self.on, on), off=_sum(self.off, off))
        verdict = decide(
            place.rollout,
            place.evidence,
            Observation(
                place.now,
                place.epoch,
                place.percentage,
                place.on,
                place.off,
                came.oldest_flush_s,
                came.is_skewed,
                place.is_killed,
            ),
        )
        place = replace(place, evidence=verdict.evidence, report=verdict.report)
        step = verdict.transition
        if step is None:
            return place, None
        return place.dealing(_with(place, step.rollout, step.percentage)), step


def _sum(so_far: Counters, more: Counters) -> Counters:
    both = so_far.plus(more)
    return replace(both, failing_users=min(both.failing_users, FAILING_USERS_KEPT))


def _with(place: Place, rollout: GuardedRollout, percentage: float | None) -> Ruleset:
    flag = place.ruleset.flags[KEY]
    if percentage is not None:
        flag = replace(flag, rollout=replace(flag.rollout, percentage=percentage))
    return replace(place.ruleset, flags={KEY: flag}, rollouts={KEY: rollout})


def _kill(place: Place) -> Ruleset:
    flag = place.ruleset.flags[KEY]
    killed = replace(flag, kill=True, rollout=replace(flag.rollout, percentage=0.0))
    return taken(replace(place.ruleset, flags={KEY: killed}), KEY, ANN, _at(place))


def _end_kill(place: Place) -> Ruleset:
    return replace(place.ruleset, flags={KEY: replace(place.ruleset.flags[KEY], kill=False)})


def _set_to_30(place: Place) -> Ruleset:
    return taken(_with(place, place.rollout, 30.0), KEY, ANN, _at(place))


def _at(place: Place) -> datetime:
    return datetime.fromtimestamp(place.now, UTC)


PEOPLE: Mapping[str, Callable[[Place], Ruleset]] = {
    "kill": _kill,
    "end the kill": _end_kill,
    "set to 30 %": _set_to_30,
    "pause": lambda place: held_still(place.ruleset, KEY, by=ANN, at=_at(place)),
    "resume": lambda place: resumed(place.ruleset, KEY, None, by=ANN, at=_at(place)),
    "approve": lambda place: approved(place.ruleset, KEY, by=ANN),
    "start": lambda place: started(place.ruleset, KEY, PLAN, by=ANN, at=_at(place)),
}


@dataclass(frozen=True)
class Edge:
    """A step from one place to another, and who took it."""

    before: Place
    event: str
    after: Place
    step: Transition | None


def begin(percentage: float = 0.0) -> Place:
    """Return a rollout that was just started, of a flag that dealt so much before."""
    ruleset = a_ruleset(a_flag(KEY, rollout={"percentage": percentage}))
    return Place(
        started(ruleset, KEY, PLAN, by=ANN, at=datetime.fromtimestamp(START, UTC)), now=START
    )


def steps(place: Place) -> Iterator[Edge]:
    """Return every step out of a place."""
    for event, came in TRAFFIC.items():
        after, step = place.ticked(came)
        yield Edge(place, event, after, step)
    for event, act in PEOPLE.items():
        try:
            yield Edge(place, event, place.dealing(act(place)), None)
        except RolloutRefusedError:
            continue


def likeness(place: Place) -> tuple[object, ...]:
    """Return what tells a place from others: two that are alike differ only in amounts."""
    rollout, evidence, report = place.rollout, place.evidence, place.report
    stands = (
        rollout.state,
        rollout.stage,
        rollout.hold,
        rollout.is_approved,
        rollout.last_good,
        place.percentage,
        place.is_killed,
    )
    if evidence is None or report is None or evidence.epoch != place.epoch:
        return stands
    alarms = [metric.alarm for metric in report.metrics.values()]
    return (
        *stands,
        report.literal,
        report.holds,
        report.need_more == 0,
        report.bake_left_s > 0,
        max(alarms) >= PLAN.alarm,
        report.relative.evidence >= report.relative.confirm_at,
        evidence.incident_since is not None,
        min(evidence.alarm_ticks, 5),
        min(evidence.skew_ticks, 3),
        min(evidence.clear_ticks, 3),
        min(evidence.other_ticks, 3),
    )


def explore(rng: random.Random, most: int) -> Iterator[Edge]:
    """Return the steps out of so many places that are not alike, in any order."""
    waiting = [begin(percentage) for percentage in PLAN.stages]
    known = {likeness(place) for place in waiting}
    for _ in range(most):
        if not waiting:
            return
        for edge in steps(waiting.pop(rng.randrange(len(waiting)))):
            yield edge
            like = likeness(edge.after)
            if like not in known:
                known.add(like)
                waiting.append(edge.after)


def check(edge: Edge) -> None:
    """Hold a step to everything that is promised of every step."""
    before, after, step = edge.before, edge.after, edge.step
    if edge.event in PEOPLE:
        assert edge.event not in {"end the kill", "pause", "approve"} or _is_no_more(edge)
        return
    if step is None:
        assert (after.rollout, after.percentage) == (before.rollout, before.percentage)
        return
    assert before.rollout.state in ACTIVE
    assert not before.is_killed
    match step.action:
        case "promote":
            _check_promotion(edge)
        case "roll_back":
            assert (after.percentage, after.rollout.state) == (0.0, State.ROLLED_BACK)
            assert after.rollout.rollbacks == before.rollout.rollbacks + 1
            assert TRAFFIC[edge.event].oldest_flush_s <= 30.0
        case "hold" | "release" | "complete":
            assert after.percentage == before.percentage
            assert after.rollout.stage == before.rollout.stage
    assert (after.rollout.state is State.HOLD) == (after.rollout.hold is not None)
    assert after.rollout.reason
    assert after.rollout.reason != before.rollout.reason or step.action == "hold"


def _check_promotion(edge: Edge) -> None:
    before, after, report = edge.before, edge.after, edge.after.report
    assert before.rollout.state is State.RUNNING
    assert after.rollout.stage == before.rollout.stage + 1
    assert after.percentage == PLAN.stages[after.rollout.stage] > before.percentage
    assert after.rollout.last_good == before.rollout.stage
    assert not after.rollout.is_approved
    assert before.rollout.is_approved or before.rollout.percentage not in PLAN.approval_at
    assert report is not None
    assert (report.literal, report.holds, report.bake_left_s) == ("promote", (), 0.0)
    assert all(
        metric.promote_evidence >= metric.promote_needed and metric.alarm < PLAN.alarm / 2
        for metric in report.metrics.values()
    )


def _is_no_more(edge: Edge) -> bool:
    return edge.after.percentage <= edge.before.percentage


def is_rolled_back_in_the_end(place: Place) -> bool:
    """Whether an arm that does nothing but fail is taken back, control being well."""
    for _ in range(60):
        place, _step = place.ticked(TRAFFIC["the arm fails"])
        if place.rollout.state is State.ROLLED_BACK:
            return True
    return False


def examine(seed: int, most: int) -> Counter[tuple[State, int, Hold | None]]:
    """Check all steps out of so many places; return how often what was come to."""
    seen: Counter[tuple[State, int, Hold | None]] = Counter()
    for edge in explore(random.Random(seed), most):  # noqa: S311  # the same places for the same seed
        check(edge)
        rollout = edge.after.rollout
        stands = rollout.state, rollout.stage, rollout.hold
        if rollout.state in ACTIVE and not edge.after.is_killed and seen[stands] < 20:
            assert is_rolled_back_in_the_end(edge.after), likeness(edge.after)
        seen[stands] += 1
    return seen


def test_no_step_out_of_some_places_breaks_a_promise() -> None:
    seen = examine(seed=1, most=1_000)

    assert {state for state, _stage, _hold in seen} == set(State)


@pytest.mark.long
def test_no_step_out_of_any_place_breaks_a_promise() -> None:
    seen = examine(seed=1, most=1_000_000)

    assert {state for state, _stage, _hold in seen} == set(State)
    assert {hold for _state, _stage, hold in seen} == {None, *Hold}
    assert {stage for _state, stage, _hold in seen} == {0, 1, 2}


@pytest.mark.parametrize("seed", range(10))
def test_between_two_actions_of_people_the_percentage_turns_round_once_at_most(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # the same walk for the same seed
    place, falls, rises_after_fall = begin(), 0, 0
    for _ in range(300):
        event = rng.choice([*TRAFFIC, *["both are fine"] * 12, *PEOPLE])
        before = place.percentage
        if event in PEOPLE:
            try:
                place = place.dealing(PEOPLE[event](place))
            except RolloutRefusedError:
                continue
            falls = 0
        else:
            place, _step = place.ticked(TRAFFIC[event])
            rises_after_fall += place.percentage > before and falls > 0
            falls += place.percentage < before

        assert falls <= 1
        assert rises_after_fall == 0
