"""What becomes of a rollout at one tick: promoted, held, released, rolled back, completed or left.

Pure: the same rollout, evidence and observation give the same verdict on every machine, so that any
leader may go on where another one stopped, and what was decided can be replayed.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from flags.rollout.counters import Observation
from flags.rollout.decision import wording
from flags.rollout.decision.evidence import Evidence, observe
from flags.rollout.decision.guards import (
    Alarmed,
    alarmed,
    bake_left_s,
    holds,
    is_last,
    is_silent,
    literally,
    to_blame,
)
from flags.rollout.decision.report import Decided, Measured, Report, measure
from flags.rollout.model import ACTIVE, GuardedRollout, Hold, Plan, State

CLEAR_TICKS = 3
"""Ticks in a row for which a reason to hold must be over, or be another one."""

_STAINS = frozenset({Hold.INCIDENT, Hold.SRM})
"""What was counted under these says nothing of the stage: afterwards its evidence begins anew."""

Action = Literal["promote", "roll_back", "hold", "release", "complete"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of a rollout, and the percentage that is set in the same write; None: as it is.

    Its `version` and `updated_at` are those of before.
    """

    action: Action
    rollout: GuardedRollout
    percentage: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a tick: the evidence to keep, the step to write if any, and what to show."""

    evidence: Evidence
    transition: Transition | None
    report: Report


@dataclass(frozen=True, slots=True)
class _Tick:
    """One tick, with all that is decided on."""

    rollout: GuardedRollout
    evidence: Evidence
    measured: Measured
    seen: Observation
    alarms: tuple[Alarmed, ...]
    reasons: tuple[Hold, ...]


def decide(rollout: GuardedRollout, evidence: Evidence | None, seen: Observation) -> Verdict:
    """Return what becomes of a rollout at a tick.

    The step goes from one state to another, never over a stage, and upwards only from a state in
    which nothing holds. If it is not written, the same is decided again at the next tick.

    Args:
        rollout: As it stands.
        evidence: What the last verdict gave, None if that is lost.
        seen: The counters now.
    """
    tick = _tick(rollout, observe(evidence, rollout, seen), seen)
    is_led = rollout.state in ACTIVE and not seen.is_killed
    transition = _transition(tick) if is_led else None
    return Verdict(tick.evidence, transition, _report(tick, transition))


def state_at(plan: Plan, stage: int) -> State:
    """Return the state in which a stage is led while nothing holds it."""
    return State.FINAL_BAKE if stage == len(plan.stages) - 1 else State.RUNNING


def _tick(rollout: GuardedRollout, observed: Evidence, seen: Observation) -> _Tick:
    measured = measure(rollout, observed, seen)
    alarms = alarmed(observed, measured, seen)
    reasons = holds(rollout, observed, measured, seen)
    is_held = rollout.state is State.HOLD
    is_other = is_held and bool(reasons) and reasons[0] is not rollout.hold
    counted = replace(
        observed,
        alarm_ticks=observed.alarm_ticks + (not is_silent(seen)) if alarms else 0,
        alarm_control_n=observed.alarm_control_n if alarms else 0,
        clear_ticks=observed.clear_ticks + 1 if is_held and not reasons else 0,
        other_ticks=observed.other_ticks + 1 if is_other else 0,
    )
    return _Tick(rollout, counted, measured, seen, alarms, reasons)


def _transition(tick: _Tick) -> Transition | None:
    blamed = to_blame(tick.rollout, tick.evidence, tick.alarms, tick.seen)
    if blamed is not None and not is_silent(tick.seen):
        return _rolled_back(tick, *blamed)
    if tick.rollout.state is State.HOLD:
        return _out_of_hold(tick)
    if tick.reasons:
        return _held(tick)
    if bake_left_s(tick.rollout, tick.evidence) > 0 or not _is_where_it_should_be(tick):
        return None
    return _completed(tick) if is_last(tick.rollout) else _promoted(tick)


def _is_where_it_should_be(tick: _Tick) -> bool:
    """Whether workers agree on the rules, and the flag deals what the stage asks for.

    It may deal more, for a rollout may begin between two stages, but not what the next one asks.
    """
    stages, stage = tick.rollout.plan.stages, tick.rollout.stage
    is_below_next = is_last(tick.rollout) or tick.seen.percentage < stages[stage + 1]
    return stages[stage] <= tick.seen.percentage and is_below_next and not tick.seen.is_skewed


def _out_of_hold(tick: _Tick) -> Transition | None:
    if tick.evidence.clear_ticks >= CLEAR_TICKS:
        released = replace(
            tick.rollout,
            state=state_at(tick.rollout.plan, tick.rollout.stage),
            hold=None,
            reason=wording.released(tick.rollout.hold, CLEAR_TICKS),
            since=_at(tick),
            restarts=_restarts(tick),
        )
        return Transition("release", released, None)
    return _held(tick) if tick.evidence.other_ticks >= CLEAR_TICKS else None


def _restarts(tick: _Tick) -> int:
    held = tick.rollout.hold
    is_over = held in _STAINS and held not in tick.reasons
    return tick.rollout.restarts + 1 if is_over else tick.rollout.restarts


def _held(tick: _Tick) -> Transition:
    hold = tick.reasons[0]
    held = replace(
        tick.rollout,
        state=State.HOLD,
        hold=hold,
        reason=wording.held(hold, tick.rollout, tick.measured, tick.seen),
        since=_at(tick),
        restarts=_restarts(tick),
    )
    return Transition("hold", held, None)


def _rolled_back(tick: _Tick, blamed: Alarmed, why: str) -> Transition:
    rolled_back = replace(
        tick.rollout,
        state=State.ROLLED_BACK,
        hold=None,
        reason=wording.rolled_back(tick.rollout, tick.measured, blamed, why),
        since=_at(tick),
        rollbacks=tick.rollout.rollbacks + 1,
        is_approved=False,
    )
    return Transition("roll_back", rolled_back, 0.0)


def _promoted(tick: _Tick) -> Transition:
    rollout = tick.rollout
    stage = rollout.stage + 1
    promoted = replace(
        rollout,
        state=state_at(rollout.plan, stage),
        stage=stage,
        reason=wording.promoted(rollout, tick.measured),
        since=_at(tick),
        stage_since=_at(tick),
        last_good=_last_good(rollout),
        is_approved=False,
    )
    return Transition("promote", promoted, promoted.percentage)


def _completed(tick: _Tick) -> Transition:
    completed = replace(
        tick.rollout,
        state=State.COMPLETED,
        reason=wording.completed(tick.rollout, tick.measured),
        since=_at(tick),
        last_good=_last_good(tick.rollout),
        is_approved=False,
    )
    return Transition("complete", completed, None)


def _last_good(rollout: GuardedRollout) -> int:
    return max(rollout.stage, -1 if rollout.last_good is None else rollout.last_good)


def _at(tick: _Tick) -> datetime:
    return datetime.fromtimestamp(tick.seen.now, UTC)


def _report(tick: _Tick, transition: Transition | None) -> Report:
    rollout, measured = tick.rollout, tick.measured
    is_active = rollout.state in ACTIVE
    left_s = bake_left_s(rollout, tick.evidence) if is_active else 0.0
    need = _need_more(tick)
    return Report(
        at=tick.seen.now,
        state=rollout.state.value,
        stage=rollout.stage,
        percentage=tick.seen.percentage,
        hold=rollout.hold.value if rollout.hold is not None else None,
        holds=tuple(each.value for each in tick.reasons) if is_active else (),
        metrics=measured.metrics,
        control=measured.control,
        relative=measured.relative,
        srm=measured.srm,
        failing_users=tick.seen.on.failing_users,
        cancelled=measured.on.cancelled,
        literal=literally(measured),
        verdict=_decided(rollout, transition),
        bake_left_s=left_s,
        need_more=need,
        eta_s=_eta_s(left_s, need, tick.evidence.rate_per_s) if is_active else None,
        is_alert=rollout.state is State.COMPLETED and bool(tick.alarms),
    )


def _need_more(tick: _Tick) -> int | None:
    if is_last(tick.rollout):
        return 0 if tick.measured.on.n else 1
    needs = [metric.need_more for metric in tick.measured.metrics.values()]
    known = [need for need in needs if need is not None]
    return max(known) if len(known) == len(needs) else None


def _eta_s(left_s: float, need: int | None, rate_per_s: float | None) -> float | None:
    if need == 0:
        return left_s
    if need is None or not rate_per_s:
        return None
    return max(left_s, need / rate_per_s)


def _decided(rollout: GuardedRollout, transition: Transition | None) -> Decided:
    match transition.action if transition is not None else None:
        case "promote" | "complete":
            return "promote"
        case "roll_back":
            return "roll_back"
        case "hold":
            return "hold"
        case _:
            return "hold" if rollout.state is State.HOLD else "wait"
