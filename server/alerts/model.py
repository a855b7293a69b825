"""What operators are told, as a value."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How grave it is: somebody has to act now, should look soon, or may like to know."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Section(StrEnum):
    """Headings of docs/alerts.md that say what to do."""

    ERROR_RATE = "error-rate"
    FIRST_WORDS = "first-token"
    EVENT_LOOP = "event-loop"
    BREAKER_MODEL = "breaker-model"
    BREAKER_HISTORY = "breaker-history"
    BREAKER_REDIS = "breaker-redis"
    BREAKER_SPEECH = "breaker-speech"
    FLAGS_STALE = "flags-stale"
    KILLS = "kills"
    ROLLOUTS = "rollouts"
    DELIVERY = "delivery"
    TOO_MANY = "too-many-messages"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: something is amiss, has ended, or has happened. No user and no text is in it.

    `subject` names what it is about, the same for the beginning and the end; it holds letters,
    digits and `:._-` only. `lasts` tells a state, which has an end, from an event.
    """

    subject: str
    severity: Severity
    summary: str
    section: Section
    detail: str = ""
    lasts: bool = True
    is_resolved: bool = False

    @property
    def heading(self) -> str:
        """The first line: what a list of messages shows."""
        word = "resolved" if self.is_resolved else self.severity.value
        return f"{word}: {self.summary}"
