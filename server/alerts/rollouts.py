"""What a change of the flags means to operators: a rollout that moved, a kill and its end. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from flags.model import Flag, Ruleset
from flags.rollout.model import GuardedRollout, Hold, State
from server.alerts.model import Notice, Section, Severity

FRESH_FOR = timedelta(minutes=15)
"""What changed longer ago is no news: a process that has just found its store learns old things."""


def notices(before: Ruleset, after: Ruleset, now: datetime) -> list[Notice]:
    """Return what operators are to be told of a change of the rules, the gravest kinds included.

    Every process sees the same change: a subject names the version that made it, so that one of
    them tells it.
    """
    told = list(_kills(before, after, now))
    for key, rollout in after.rollouts.items():
        notice = _moved(before.rollouts.get(key), rollout)
        if notice is not None and _is_fresh(rollout.updated_at, now):
            told.append(notice)
    return told


def _kills(before: Ruleset, after: Ruleset, now: datetime) -> Iterator[Notice]:
    for key, flag in after.flags.items():
        was = before.flags.get(key)
        if was is None or was.kill is flag.kill or not _is_fresh(flag.updated_at, now):
            continue
        yield kill_notice(key, f"v{flag.version}", is_killed=flag.kill, detail=_how(flag))


def kill_notice(key: str, place: str, *, is_killed: bool, detail: str = "") -> Notice:
    """Return the message that a flag is killed, or is no more.

    Args:
        key: The flag.
        place: What tells this kill from others: a version, or `here`.
        is_killed: Whether it is.
        detail: What else is to be said.
    """
    word = "killed" if is_killed else "no longer killed"
    return Notice(
        subject=f"kill:{key}:{place}:{'on' if is_killed else 'off'}",
        severity=Severity.WARNING if is_killed else Severity.INFO,
        summary=f"The flag {key} is {word}.",
        detail=detail,
        section=Section.KILLS,
        lasts=False,
    )


def _how(flag: Flag) -> str:
    if not flag.kill:
        return "Nothing else comes back by itself: a rollout stays paused."
    return f"Turns that run: {flag.in_flight.value}."


_REACHED = {
    State.ROLLED_BACK: (Severity.CRITICAL, "was rolled back"),
    State.COMPLETED: (Severity.INFO, "is completed"),
    State.PAUSED: (Severity.INFO, "is paused"),
}
"""States that are told when they are reached."""


def _moved(before: GuardedRollout | None, after: GuardedRollout) -> Notice | None:
    """Return what is told of a rollout's step; None of what only concerns its controller."""
    if before is None or before.version == after.version:
        return None
    if after.state is not before.state and after.state in _REACHED:
        severity, word = _REACHED[after.state]
        return _notice(after, severity, f"The rollout of {after.key} {word}.")
    if after.hold is not before.hold and after.hold is not None:
        return _held(after)
    if after.stage > before.stage:
        share = f"{after.percentage:g} %"
        return _notice(after, Severity.INFO, f"The rollout of {after.key} goes on at {share}.")
    return None


_GRAVE_HOLDS = {
    Hold.INCIDENT: "both arms fail",
    Hold.SRM: "users do not fall into the arms as they should",
    Hold.RELATIVE_REGRESSION: "streamed turns do worse than the others",
    Hold.STALE_METRICS: "its figures do not come in",
    Hold.APPROVAL: "somebody has to approve",
}
"""Holds that a person should know of; the others end by themselves, with more traffic."""


def _held(rollout: GuardedRollout) -> Notice | None:
    if rollout.hold not in _GRAVE_HOLDS:
        return None
    severity = Severity.INFO if rollout.hold is Hold.APPROVAL else Severity.WARNING
    why = _GRAVE_HOLDS[rollout.hold]
    share = f"{rollout.percentage:g} %"
    summary = f"The rollout of {rollout.key} is held at {share}: {why}."
    return _notice(rollout, severity, summary)


def _notice(rollout: GuardedRollout, severity: Severity, summary: str) -> Notice:
    return Notice(
        subject=f"rollout:{rollout.key}:v{rollout.version}",
        severity=severity,
        summary=summary,
        detail=rollout.reason,
        section=Section.ROLLOUTS,
        lasts=False,
    )


def _is_fresh(at: datetime | None, now: datetime) -> bool:
    return at is not None and abs(now - at) <= FRESH_FOR
