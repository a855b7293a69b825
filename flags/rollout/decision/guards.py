"""What keeps a rollout from going on, and what takes it back. Pure.

A rollback asks for three things at once: the detector's alarm, the operator's own threshold on what
came since the rise began, and more than one or two users. Then it is asked whose fault it is: what
control suffers as well is an incident, and held.
"""

from dataclasses import dataclass

from flags.rollout.counters import Observation
from flags.rollout.decision.detectors import Walk
from flags.rollout.decision.evidence import OVER, Evidence
from flags.rollout.decision.report import CONFIRM_AT, Literally, Measured, MetricReport
from flags.rollout.decision.statistics import weights_of
from flags.rollout.model import GuardedRollout, Hold, Plan

STALE_AFTER_S = 30.0
"""A worker that has told nothing for longer may hide anything."""

SKEW_TICKS = 3
SKEW_S = 10.0
"""Workers disagree for a moment after every change: only so many ticks and seconds are a reason."""

GRACE_TICKS = 4
"""Ticks that control has to speak before failures without any explanation roll back."""

CONTROL_SPOKEN = 20
"""Requests of control after which its silence says that it is not late as well."""

LEAST_USERS = 3
"""Users that must have failed, or for late tokens been dealt the arm: one bad connection rolls
nothing back."""

GRAVEST_FIRST = (
    Hold.INCIDENT,
    Hold.SRM,
    Hold.STALE_METRICS,
    Hold.SKEW,
    Hold.RELATIVE_REGRESSION,
    Hold.APPROVAL,
    Hold.INCONCLUSIVE,
    Hold.INSUFFICIENT_DATA,
)

_US = 1e6
_WHOLE = 100.0


@dataclass(frozen=True, slots=True)
class Alarmed:
    """A metric that is as bad as what rolls back, beyond doubt.

    `count` requests had this share, or mean in seconds, since the rise began. `relative` is the
    evidence that control is better, None for first-token times.
    """

    metric: str
    count: int
    level: float
    relative: float | None


def alarmed(evidence: Evidence, measured: Measured, seen: Observation) -> tuple[Alarmed, ...]:
    """Return the metrics that would roll back, whoever is to blame."""
    walks = evidence.walks
    failing, users = seen.on.failing_users, seen.on.users
    asked = (
        ("error", walks.error, 1.0, failing, walks.relative_error),
        ("non_success", walks.non_success, 1.0, failing, walks.relative_non_success),
        ("ttft", walks.ttft, _US, users, None),
    )
    return tuple(
        Alarmed(name, walk.since[0], _level(walk, scale), relative.alarm if relative else None)
        for name, walk, scale, people, relative in asked
        if people >= LEAST_USERS and _is_bad(measured.metrics[name], walk, scale)
    )


def to_blame(
    rollout: GuardedRollout, evidence: Evidence, alarms: tuple[Alarmed, ...], seen: Observation
) -> tuple[Alarmed, str] | None:
    """Return the metric that rolls back now, and why it is not an incident's doing; None: none.

    An incident of both arms lasts until its hold is left: what came of it may end later than it.
    """
    plan = rollout.plan
    if plan.on_shared_incident == "rollback":
        return (alarms[0], "whatever control does") if alarms else None
    if evidence.incident_since is None and rollout.hold is not Hold.INCIDENT:
        return _to_blame_alone(evidence, alarms, seen)
    is_overdue = (
        evidence.incident_since is not None
        and evidence.at - evidence.incident_since > plan.incident_max_s
    )
    for each in alarms:
        if each.relative is not None and each.relative >= plan.alarm:
            return each, "far worse than control even in an incident of both arms"
        if is_overdue:
            return each, f"an incident of both arms has lasted {plan.incident_max_s:g} s"
    return None


def _to_blame_alone(
    evidence: Evidence, alarms: tuple[Alarmed, ...], seen: Observation
) -> tuple[Alarmed, str] | None:
    for each in alarms:
        if each.relative is None and _is_control_in_time(evidence, seen):
            return each, "control is not late"
        if each.relative is not None and each.relative >= CONFIRM_AT:
            return each, "control is better"
        if evidence.alarm_ticks > GRACE_TICKS:
            return each, f"control has not explained it for {GRACE_TICKS} ticks"
    return None


def _is_control_in_time(evidence: Evidence, seen: Observation) -> bool:
    """Whether control has said that it is not late, or there is none that could say so.

    An outage without a single token is seen by the larger arm a tick or two before the smaller one.
    """
    if seen.percentage >= _WHOLE:
        return True
    has_spoken = evidence.alarm_control_n >= CONTROL_SPOKEN
    return has_spoken and evidence.walks.control_alarm < OVER


def is_stale(seen: Observation) -> bool:
    """Whether a worker has been silent for too long to promote on what the others tell."""
    return seen.oldest_flush_s is None or seen.oldest_flush_s > STALE_AFTER_S


def is_silent(seen: Observation) -> bool:
    """Whether nobody has told anything for too long: then nothing is decided at all.

    One silent worker keeps from nothing but promoting: where an arm takes workers down with it,
    there is always one that has just died.
    """
    newest_s = seen.oldest_flush_s if seen.newest_flush_s is None else seen.newest_flush_s
    return newest_s is None or newest_s > STALE_AFTER_S


def holds(
    rollout: GuardedRollout, evidence: Evidence, measured: Measured, seen: Observation
) -> tuple[Hold, ...]:
    """Return every reason not to go on that there is now, gravest first."""
    reasons = {
        Hold.INCIDENT: evidence.incident_since is not None,
        Hold.SRM: measured.srm.evidence >= measured.srm.alarm_at,
        Hold.STALE_METRICS: is_stale(seen),
        Hold.SKEW: _is_skewed(evidence),
        Hold.RELATIVE_REGRESSION: evidence.is_regressing,
    }
    if bake_left_s(rollout, evidence) <= 0:
        lacking = _lacking(rollout, measured)
        reasons |= {lacking: True} if lacking is not None else {}
    return tuple(each for each in GRAVEST_FIRST if reasons.get(each, False))


def _is_skewed(evidence: Evidence) -> bool:
    if evidence.skew_since is None or evidence.skew_ticks < SKEW_TICKS:
        return False
    return evidence.at - evidence.skew_since >= SKEW_S


def bake_left_s(rollout: GuardedRollout, evidence: Evidence) -> float:
    """Return how many seconds the stage still lasts at least."""
    whole = rollout.plan.final_bake_s if is_last(rollout) else rollout.plan.bake_s
    if evidence.clock_from is None:
        return whole
    return min(whole, max(0.0, evidence.clock_from + whole - evidence.at))


def is_last(rollout: GuardedRollout) -> bool:
    """Whether it is in the last stage: its bake is the final one, and there is no gate."""
    return rollout.stage == len(rollout.plan.stages) - 1


def literally(measured: Measured) -> Literally:
    """Return what the operator's thresholds say of the stage so far, taken literally."""
    metrics = measured.metrics.values()
    if any(each.estimate is not None and each.estimate > each.roll_back_above for each in metrics):
        return "roll_back"
    if all(each.estimate is not None and each.estimate < each.promote_below for each in metrics):
        return "promote"
    return "neither"


def _lacking(rollout: GuardedRollout, measured: Measured) -> Hold | None:
    """Return what a stage whose time is over still lacks; None: nothing."""
    metrics = measured.metrics
    is_calm = all(each.alarm < rollout.plan.alarm / 2 for each in metrics.values())
    is_good = is_calm and literally(measured) == "promote"
    if is_good and (is_last(rollout) or all(map(_is_passed, metrics.values()))):
        needs_approval = rollout.percentage in rollout.plan.approval_at
        return Hold.APPROVAL if needs_approval and not rollout.is_approved else None
    if is_last(rollout):
        is_short = measured.on.n == 0
    else:
        needs = _needs(rollout.plan)
        is_short = any(
            not _is_passed(each) and each.n < needs[name] for name, each in metrics.items()
        )
    return Hold.INSUFFICIENT_DATA if is_short else Hold.INCONCLUSIVE


def _needs(plan: Plan) -> dict[str, int]:
    weights = weights_of(plan)
    return {
        "error": weights.error.needs,
        "non_success": weights.non_success.needs,
        "ttft": weights.ttft.needs,
    }


def _is_passed(metric: MetricReport) -> bool:
    return metric.promote_evidence >= metric.promote_needed


def _is_bad(metric: MetricReport, walk: Walk, scale: float) -> bool:
    is_alarmed = metric.alarm >= metric.alarm_at
    return is_alarmed and _level(walk, scale) > metric.roll_back_above


def _level(walk: Walk, scale: float) -> float:
    count, total = walk.since
    return total / scale / count if count else 0.0
