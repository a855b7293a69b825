"""Why a rollout took a step, in a sentence with figures, for the people who lead it. Pure."""

from collections.abc import Callable, Mapping

from flags.rollout.counters import Observation
from flags.rollout.decision.guards import Alarmed
from flags.rollout.decision.report import Measured, MetricReport
from flags.rollout.model import GuardedRollout, Hold

_NAMES = {"error": "errors", "non_success": "without success", "ttft": "mean first token"}


def promoted(rollout: GuardedRollout, measured: Measured) -> str:
    """Return why a stage was passed."""
    above = rollout.plan.stages[rollout.stage + 1]
    return (
        f"{rollout.percentage:g} % passed with {_figures(measured)}; evidence"
        f" {_evidence(measured)}. Now {above:g} %."
    )


def completed(rollout: GuardedRollout, measured: Measured) -> str:
    """Return why a rollout is complete."""
    return (
        f"{rollout.plan.final_bake_s:g} s at {rollout.percentage:g} % without fault:"
        f" {_figures(measured)}."
    )


def rolled_back(rollout: GuardedRollout, measured: Measured, blamed: Alarmed, why: str) -> str:
    """Return why a rollout was taken back."""
    metric = measured.metrics[blamed.metric]
    return (
        f"{_NAMES[blamed.metric]} {_level(blamed.metric, blamed.level)} in {blamed.count} requests"
        f" since the rise at {rollout.percentage:g} %, above"
        f" {_level(blamed.metric, metric.roll_back_above)}; {why} ({_control(measured)}). Alarm"
        f" {metric.alarm:.1f} of {metric.alarm_at:g}."
    )


def released(hold: Hold | None, ticks: int) -> str:
    """Return why a hold is over."""
    return f"{(hold or 'hold').replace('_', ' ')} is over for {ticks} ticks."


def held(hold: Hold, rollout: GuardedRollout, measured: Measured, seen: Observation) -> str:
    """Return why a rollout waits."""
    return _HELD[hold](rollout, measured, seen)


def _incident(_rollout: GuardedRollout, measured: Measured, _seen: Observation) -> str:
    control = measured.control
    return (
        f"Control suffers as well: {_control(measured)}, in {control.n} requests; alarm"
        f" {control.alarm:.1f} of {control.alarm_at:g}."
    )


def _srm(_rollout: GuardedRollout, measured: Measured, _seen: Observation) -> str:
    srm = measured.srm
    return (
        f"{srm.users_on} users were dealt the flag and {srm.users_off} not, where"
        f" {srm.expected_share * 100:g} % should have been; evidence {srm.evidence:.1f} of"
        f" {srm.alarm_at:.1f}."
    )


def _stale(_rollout: GuardedRollout, _measured: Measured, seen: Observation) -> str:
    if seen.oldest_flush_s is None:
        return "No worker has told what it counted."
    return f"A worker has told nothing for {seen.oldest_flush_s:.0f} s."


def _skew(_rollout: GuardedRollout, _measured: Measured, _seen: Observation) -> str:
    return "Workers serve different versions of the rules."


def _regression(_rollout: GuardedRollout, measured: Measured, _seen: Observation) -> str:
    relative = measured.relative
    return (
        f"Worse than control: {_figures(measured)} against {_control(measured)}; evidence"
        f" {relative.evidence:.1f} of {relative.alarm_at:g}."
    )


def _approval(rollout: GuardedRollout, measured: Measured, _seen: Observation) -> str:
    return f"{rollout.percentage:g} % is passed with {_figures(measured)}: approve it."


def _inconclusive(_rollout: GuardedRollout, measured: Measured, _seen: Observation) -> str:
    return (
        f"Neither good enough to go on nor bad enough to go back: {_figures(measured)}; evidence"
        f" {_evidence(measured)}."
    )


def _insufficient(_rollout: GuardedRollout, measured: Measured, _seen: Observation) -> str:
    needs = [metric.need_more for metric in measured.metrics.values()]
    known = [need for need in needs if need is not None]
    if len(known) < len(needs):
        return f"Too few requests, and not good enough as they are: {_figures(measured)}."
    return f"Too few requests: {_figures(measured)}; {max(known)} more are needed."


_HELD: Mapping[Hold, Callable[[GuardedRollout, Measured, Observation], str]] = {
    Hold.INCIDENT: _incident,
    Hold.SRM: _srm,
    Hold.STALE_METRICS: _stale,
    Hold.SKEW: _skew,
    Hold.RELATIVE_REGRESSION: _regression,
    Hold.APPROVAL: _approval,
    Hold.INCONCLUSIVE: _inconclusive,
    Hold.INSUFFICIENT_DATA: _insufficient,
}


def _control(measured: Measured) -> str:
    control = measured.control
    if control.error_rate is None:
        return "no control requests"
    ttft = "unknown" if control.ttft_s is None else f"{control.ttft_s:.2f} s"
    return f"control errors {control.error_rate:.2%}, first token {ttft}"


def _figures(measured: Measured) -> str:
    metrics = measured.metrics
    told = ", ".join(f"{_NAMES[name]} {_estimate(name, each)}" for name, each in metrics.items())
    return f"{measured.on.n} requests ({told})"


def _evidence(measured: Measured) -> str:
    metrics = measured.metrics.values()
    told = " / ".join(f"{each.promote_evidence:.1f}" for each in metrics)
    return f"{told} of {measured.metrics['error'].promote_needed:.1f}"


def _estimate(name: str, metric: MetricReport) -> str:
    return "unknown" if metric.estimate is None else _level(name, metric.estimate)


def _level(name: str, level: float) -> str:
    return f"{level:.2f} s" if name == "ttft" else f"{level:.2%}"
