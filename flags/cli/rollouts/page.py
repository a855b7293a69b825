"""A rollout as people read it: where it stands, each metric between its thresholds. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from flags.cli import shown
from flags.cli.output import pairs, printable, table
from flags.model import Flag
from flags.rollout.decision.report import MetricReport, Report
from flags.rollout.model import ACTIVE, GuardedRollout

BAR = 12
"""Characters of a bar. Of ASCII: whatever the terminal's encoding is."""

_SHARES = frozenset({"error", "non_success"})
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Look:
    """A flag and its rollout at one moment; `report_age_s` is how long ago a leader made it."""

    flag: Flag
    rollout: GuardedRollout | None
    now: datetime
    cooldown_left_s: float = 0.0
    report: Report | None = None
    report_age_s: float | None = None


def page(look: Look) -> str:
    """Return all that is known of a rollout."""
    rollout, report = look.rollout, look.report
    if rollout is None:
        now = shown.per_cent(look.flag.rollout.percentage)
        return f"{look.flag.key} has no guarded rollout; it is at {now}.\n"
    text = f"{line(look)}\n{stages(rollout)}\n"
    text += pairs([row for row in _facts(look, rollout) if row[1]])
    if report is None:
        return f"{text}No leader has looked at it yet.\n"
    text += f"\n{_metrics(report)}"
    return text + pairs([row for row in _more(report) if row[1]])


def line(look: Look) -> str:
    """Return where a rollout stands, on one line."""
    flag, rollout = look.flag, look.rollout
    state = "without a rollout"
    if rollout is not None:
        held = f" ({rollout.hold.value})" if rollout.hold is not None else ""
        of = f"stage {rollout.stage + 1} of {len(rollout.plan.stages)}"
        state = f"{rollout.state.value.replace('_', ' ')}{held}, {of}"
    killed = ", killed" if flag.kill else ""
    return printable(f"{flag.key}: {shown.per_cent(flag.rollout.percentage)}, {state}{killed}")


def stages(rollout: GuardedRollout) -> str:
    """Return all stages, those that were left in front, the present one in brackets."""
    listed = [f"{stage:g}" for stage in rollout.plan.stages]
    listed[rollout.stage] = f"[{listed[rollout.stage]}]"
    return " = ".join(listed[: rollout.stage + 1]) + "".join(
        f" - {stage}" for stage in listed[rollout.stage + 1 :]
    )


def bar(part: float, whole: float) -> str:
    """Return how much of something is reached."""
    share = min(max(part / whole, 0.0), 1.0) if whole > 0 else 1.0
    full = int(share * BAR)
    return f"[{'#' * full}{'.' * (BAR - full)}]"


def lasting(seconds: float) -> str:
    """Return a duration as people say it: `40 s`, `12 min`, `3.5 h`, `2 d`."""
    for unit, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.0f} s"


def _facts(look: Look, rollout: GuardedRollout) -> Iterator[tuple[str, str]]:
    yield "reason", rollout.reason
    if rollout.since is not None:
        since = (look.now - rollout.since).total_seconds()
        yield "since", f"{shown.instant(rollout.since)} ({lasting(max(since, 0.0))} ago)"
    if rollout.last_good is not None:
        yield "passed", shown.per_cent(rollout.plan.stages[rollout.last_good])
    if rollout.rollbacks:
        yield "rollbacks", str(rollout.rollbacks)
    if look.cooldown_left_s:
        yield "cools down", f"{lasting(look.cooldown_left_s)} more"
    if rollout.is_approved:
        yield "approved", "yes"


def _metrics(report: Report) -> str:
    head = ("METRIC", "N", "ESTIMATE", "PROMOTE BELOW", "EVIDENCE", "ROLL BACK ABOVE", "ALARM", "")
    rows = [_metric(name, each) for name, each in report.metrics.items()]
    return table(head, rows)


def _metric(name: str, metric: MetricReport) -> tuple[str, ...]:
    more = "never so" if metric.need_more is None else f"{metric.need_more} more"
    return (
        name.replace("_", " "),
        str(metric.n),
        "-" if metric.estimate is None else _value(name, metric.estimate),
        _value(name, metric.promote_below),
        _reached(metric.promote_evidence, metric.promote_needed),
        _value(name, metric.roll_back_above),
        _reached(metric.alarm, metric.alarm_at),
        "enough" if metric.promote_evidence >= metric.promote_needed else more,
    )


def _reached(part: float, whole: float) -> str:
    return f"{bar(part, whole)} {part:.1f} of {whole:.1f}"


def _value(name: str, value: float) -> str:
    return f"{value * 100:.2f} %" if name in _SHARES else f"{value * 1000:.0f} ms"


def _more(report: Report) -> Iterator[tuple[str, str]]:
    control, srm = report.control, report.srm
    if control.error_rate is not None:
        yield "control", f"{_value('error', control.error_rate)} errors of {control.n} requests"
    yield "users", f"{srm.users_on} with, {srm.users_off} without; {_srm(report)}"
    yield "failing", f"{report.failing_users} users" if report.failing_users else ""
    yield "holds", ", ".join(report.holds)
    yield "thresholds", f"alone would say: {report.literal.replace('_', ' ')}"
    if report.state in ACTIVE:
        yield "verdict", report.verdict.replace("_", " ")
        yield "bake", f"{lasting(report.bake_left_s)} left" if report.bake_left_s else "over"
        yield "may pass", "unknown when" if report.eta_s is None else f"in {lasting(report.eta_s)}"
    yield "alert", "as bad as what would have been rolled back" if report.is_alert else ""


def _srm(report: Report) -> str:
    if report.srm.evidence >= report.srm.alarm_at:
        return "not in the share that was dealt"
    return "in the share that was dealt" if report.srm.has_power else "too few to tell"
