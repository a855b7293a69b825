"""What operators are told, as a value."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How grave it is: somebody has to act now, should look soon, or may like to know."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: something is amiss, has ended, or has happened. No user and no text is in it.

    `subject` names what it is about, the same for the beginning and the end; it holds letters,
    digits and `:._-` only. `lasts` tells a state, which has an end, from an event. `section` is
    the heading of docs/alerts.md that says what to do.
    """

    subject: str
    severity: Severity
    summary: str
    detail: str = ""
    section: str = ""
    lasts: bool = True
    is_resolved: bool = False

    @property
    def heading(self) -> str:
        """The first line: what a list of messages shows."""
        word = "resolved" if self.is_resolved else self.severity.value
        return f"{word}: {self.summary}"
