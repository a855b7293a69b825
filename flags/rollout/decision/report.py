"""What operators see of a rollout: where each metric stands, and what is still needed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from flags.rollout.counters import Counters, Observation
from flags.rollout.decision.evidence import Evidence, alarm_at
from flags.rollout.decision.statistics import (
    SRM_ALARM,
    ShareWeights,
    log_mean_exp,
    need_more,
    non_success,
    share_logs,
    srm_evidence,
    srm_has_power,
    ttft_logs,
    weights_of,
)
from flags.rollout.model import GuardedRollout

Literally = Literal["promote", "roll_back", "neither"]
Decided = Literal["promote", "roll_back", "hold", "wait"]

CONFIRM_AT = 4.6
"""The relative test's logarithm from which an alarm needs no further confirmation: 1 in 100."""

_US = 1e6


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One metric of the arm that is rolled out, in this stage.

    `estimate` is a share, or seconds, None before the first request. A stage passes when
    `promote_evidence` has reached `promote_needed`; `alarm` rolls back at `alarm_at`. All four are
    natural logarithms. `need_more` is how many more requests the gate takes if they are as those
    before, None if it then never passes.
    """

    n: int
    estimate: float | None
    promote_below: float
    roll_back_above: float
    promote_evidence: float
    promote_needed: float
    alarm: float
    alarm_at: float
    need_more: int | None


@dataclass(frozen=True, slots=True)
class ControlReport:
    """The arm that is not rolled out, in this stage: at `alarm_at` it is an incident of both."""

    n: int
    error_rate: float | None
    ttft_s: float | None
    alarm: float
    alarm_at: float


@dataclass(frozen=True, slots=True)
class RelativeReport:
    """How much speaks for more failures than in the control arm, as a logarithm.

    From `confirm_at` an alarm acts at once; from `alarm_at` a rollout holds, and an incident of
    both arms excuses nothing.
    """

    evidence: float
    confirm_at: float
    alarm_at: float


@dataclass(frozen=True, slots=True)
class SrmReport:
    """Whether users came in the share that was dealt; the evidence against it is a logarithm.

    Without `has_power` there were too few users to see the loss of a tenth: no alarm means nothing.
    """

    users_on: int
    users_off: int
    expected_share: float
    evidence: float
    alarm_at: float
    has_power: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What the evidence says at one tick, and what it is about: the stage's counters so far."""

    on: Counters
    off: Counters
    metrics: dict[str, MetricReport]
    control: ControlReport
    relative: RelativeReport
    srm: SrmReport


@dataclass(frozen=True, slots=True)
class Report:
    """A rollout at one tick, as it stood before what was decided in it.

    `at` is the store's clock in seconds. `hold` is why the rollout waits, `holds` every reason that
    there is now, gravest first. `metrics` has `error`, `non_success` and `ttft`. `literal` is what
    the operator's thresholds alone would say of the stage so far, `verdict` what was decided.
    `need_more` is the largest of the metrics', None if one of them never passes; `eta_s` is when
    the stage may pass at this rate of requests, None if unknown. `is_alert`: a completed rollout is
    as bad as what would have been rolled back.
    """

    at: float
    state: str
    stage: int
    percentage: float
    hold: str | None
    holds: tuple[str, ...]
    metrics: dict[str, MetricReport]
    control: ControlReport
    relative: RelativeReport
    srm: SrmReport
    failing_users: int
    cancelled: int
    literal: Literally
    verdict: Decided
    bake_left_s: float
    need_more: int | None
    eta_s: float | None
    is_alert: bool


def measure(rollout: GuardedRollout, evidence: Evidence, seen: Observation) -> Measured:
    """Return what the evidence says of the stage so far."""
    on, off = seen.on.minus(evidence.base_on), seen.off.minus(evidence.base_off)
    plan, walks = rollout.plan, evidence.walks
    return Measured(
        on=on,
        off=off,
        metrics=_metrics(rollout, evidence, on),
        control=ControlReport(
            n=off.n,
            error_rate=off.errors / off.n if off.n else None,
            ttft_s=_mean_ttft_s(off),
            alarm=walks.control_alarm,
            alarm_at=plan.alarm / 2,
        ),
        relative=RelativeReport(walks.relative_alarm, CONFIRM_AT, plan.alarm),
        srm=_srm(on.users, off.users, seen.percentage / 100),
    )


def encode_report(report: Report) -> bytes:
    """Return a report as JSON."""
    return msgspec.json.encode(report)


def decode_report(kept: bytes | str | None) -> Report | None:
    """Return what was kept, or None if that cannot be read."""
    if not kept:
        return None
    try:
        return msgspec.json.decode(kept, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


@dataclass(frozen=True, slots=True)
class _SoFar:
    """What a gate has seen: `logs` of its alternatives; `least` is what it takes at best."""

    n: int
    estimate: float | None
    logs: Sequence[float]
    least: int


def _metrics(rollout: GuardedRollout, evidence: Evidence, on: Counters) -> dict[str, MetricReport]:
    weights, walks = weights_of(rollout.plan), evidence.walks
    good, bad = rollout.plan.promote, rollout.plan.roll_back
    times = _SoFar(
        sum(on.ttft), _mean_ttft_s(on), ttft_logs(weights.ttft.gate, on.ttft), weights.ttft.least
    )
    told = (
        (
            "error",
            _share(weights.error, on.n, on.errors),
            (good.error_rate, bad.error_rate),
            walks.error,
        ),
        (
            "non_success",
            _share(weights.non_success, on.n, on.non_success),
            (non_success(good), non_success(bad)),
            walks.non_success,
        ),
        ("ttft", times, (good.ttft_s, bad.ttft_s), walks.ttft),
    )
    at = alarm_at(rollout)
    return {
        name: MetricReport(
            n=so_far.n,
            estimate=so_far.estimate,
            promote_below=below,
            roll_back_above=above,
            promote_evidence=log_mean_exp(so_far.logs),
            promote_needed=weights.target,
            alarm=walk.alarm,
            alarm_at=at,
            need_more=_need_more(so_far, below, weights.target),
        )
        for name, so_far, (below, above), walk in told
    }


def _share(weights: ShareWeights, n: int, failures: int) -> _SoFar:
    estimate = failures / n if n else None
    return _SoFar(n, estimate, share_logs(weights.gate, n, failures), weights.least)


def _need_more(so_far: _SoFar, below: float, target: float) -> int | None:
    if so_far.estimate is None:
        return so_far.least
    if so_far.estimate >= below:
        return None
    if log_mean_exp(so_far.logs) >= target:
        return 0
    return need_more(so_far.logs, [each / so_far.n for each in so_far.logs], target)


def _mean_ttft_s(counted: Counters) -> float | None:
    n = sum(counted.ttft)
    return counted.ttft_us / _US / n if n else None


def _srm(on: int, off: int, share: float) -> SrmReport:
    return SrmReport(
        users_on=on,
        users_off=off,
        expected_share=share,
        evidence=srm_evidence(on, off, share),
        alarm_at=SRM_ALARM,
        has_power=srm_has_power(on + off, share),
    )
