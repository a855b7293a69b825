"""How a message reads."""

from dataclasses import dataclass
from datetime import datetime

from server.alerts.model import Notice

MAX_DETAIL_CHARS = 1500
"""A reason may be an operator's own words; a message stays one."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: the deployment and its worker; and how often the same is told."""

    deployment: str
    worker_id: str
    repeat_s: float


def subject_line(notice: Notice, sender: Sender) -> str:
    """Return the message in one line."""
    return " ".join(f"[{sender.deployment}] {notice.heading}".split())


def body(notice: Notice, sender: Sender, at: datetime) -> str:
    """Return what follows the subject line: the detail, what to do, when and from whom."""
    lines = [notice.detail[:MAX_DETAIL_CHARS]] if notice.detail else []
    if notice.is_resolved:
        minutes = f"{sender.repeat_s / 60:g} min"
        lines.append(f"Should it come back: the same is told at most once in {minutes}.")
    else:
        lines.append(f"What to do: docs/alerts.md#{notice.section}")
    lines.append(f"{at:%Y-%m-%d %H:%M:%S} UTC, {sender.worker_id}")
    return "\n".join(lines)
