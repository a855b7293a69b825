"""A guarded rollout as operators see it: where it stands, what speaks for and against it."""

from dataclasses import asdict
from datetime import UTC, datetime

from flags.rollout.decision.report import MetricReport, Report
from flags.rollout.model import GuardedRollout
from flags.rollout.operations import cooldown_left_s
from server.wire import Json, instant

_METRICS = {"error": "error", "non_success": "success", "ttft": "ttft"}
"""Names of the metrics: in a report, and as operators know them."""


def guarded(rollout: GuardedRollout) -> Json:
    """Return where a rollout stands."""
    cooldown_s = cooldown_left_s(rollout, datetime.now(UTC))
    return {
        "state": rollout.state.value,
        "stage": rollout.stage,
        "stages": list(rollout.plan.stages),
        "percentage": rollout.percentage,
        "hold": None if rollout.hold is None else rollout.hold.value,
        "reason": rollout.reason,
        "since": _instant(rollout.since),
        "stageSince": _instant(rollout.stage_since),
        "lastGood": rollout.last_good,
        "rollbacks": rollout.rollbacks,
        "isApproved": rollout.is_approved,
        "cooldownLeftSeconds": round(cooldown_s, 1),
        "plan": asdict(rollout.plan),
    }


def rollout_evidence(report: Report | None) -> Json:
    """Return what the controller saw last; nothing where it has not looked yet.

    `success` is told as shares of success, its evidence is about their complement.
    """
    if report is None:
        return {}
    metrics = {_METRICS[name]: _metric(each) for name, each in report.metrics.items()}
    for name in ("estimate", "promoteAt", "rollBackAt"):
        share = metrics["success"][name]
        metrics["success"][name] = None if share is None else _rounded(1 - share)
    return {
        **metrics,
        "control": {
            "n": report.control.n,
            "errorRate": _rounded(report.control.error_rate),
            "ttftSeconds": _rounded(report.control.ttft_s),
            "alarm": _rounded(report.control.alarm),
            "alarmAt": report.control.alarm_at,
        },
        "relative": {
            "evidence": _rounded(report.relative.evidence),
            "confirmAt": report.relative.confirm_at,
            "alarmAt": report.relative.alarm_at,
        },
        "srm": {
            "usersOn": report.srm.users_on,
            "usersOff": report.srm.users_off,
            "expectedShare": report.srm.expected_share,
            "evidence": _rounded(report.srm.evidence),
            "alarmAt": _rounded(report.srm.alarm_at),
            "hasPower": report.srm.has_power,
        },
        "failingUsers": report.failing_users,
        "cancelled": report.cancelled,
        "literalVerdict": report.literal,
        "verdict": report.verdict,
        "holdReasons": list(report.holds),
        "bakeLeftSeconds": round(report.bake_left_s, 1),
        "needMore": report.need_more,
        "etaSeconds": None if report.eta_s is None else round(report.eta_s),
        "isAlert": report.is_alert,
        "at": instant(datetime.fromtimestamp(report.at, UTC)),
    }


def _metric(metric: MetricReport) -> dict[str, float | int | None]:
    return {
        "n": metric.n,
        "estimate": _rounded(metric.estimate),
        "promoteAt": metric.promote_below,
        "rollBackAt": metric.roll_back_above,
        "promoteEvidence": _rounded(metric.promote_evidence),
        "promoteNeeded": _rounded(metric.promote_needed),
        "alarm": _rounded(metric.alarm),
        "alarmAt": metric.alarm_at,
        "needMore": metric.need_more,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
