"""What operators see of a rollout: where each metric stands, and what is still needed. Pure."""

from dataclasses import dataclass
from typing import Literal

import msgspec

Literally = Literal["promote", "roll_back", "neither"]
Decided = Literal["promote", "roll_back", "hold", "wait"]


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
class Report:
    """A rollout at one tick, after what was decided in it.

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
