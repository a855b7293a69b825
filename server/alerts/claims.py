"""The seam: who of several processes tells something, and how often it may be told.

In Redis for all workers of a deployment, in memory for one process. Both fail open: a message too
many is better than none.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from server.alerts.model import Notice, Severity

MAX_AN_HOUR = 20
"""Messages in all; more in an hour is an incident that everybody knows of by then."""

FOR_CRITICAL = 10
"""Further ones that only what is critical may take: who was told twenty times that a rollout was
held and went on is yet to be told that it was rolled back."""

HOUR_S = 3600.0
CLAIM_S = 150.0
"""A claim lapses by itself after this long: longer than a message takes (`delivery.TOTAL_S`)."""

SEEN_S = 60.0
"""A process that has not repeated for this long that something lasts no longer counts."""


class Claim(StrEnum):
    """Whether to tell something: it is ours to tell, another is at it, or nothing is to be said."""

    OURS = "ours"
    THEIRS = "theirs"
    DONE = "done"


class Permit(StrEnum):
    """Whether one more message may be sent; `LAST`: only one that says that no more are."""

    GRANTED = "granted"
    LAST = "last"
    REFUSED = "refused"


class Claims(Protocol):
    """What was told, and who is telling what. Calls are bounded in time and never raise.

    One process tells one message at a time: `claim`, `permit`, then `told`, or `put_back` and
    `give_back`.
    """

    async def claim(self, notice: Notice) -> Claim:
        """Ask for a message. What is claimed has to be `told` or given back, or lapses.

        The same beginning is told once in `repeat_s`, however often it comes; a graver one of the
        same subject counts as another. An end is told once, by the last process that saw what
        ended, and only where the beginning was told.
        """
        ...

    async def told(self, notice: Notice) -> None:
        """Record that a message was sent that `claim` had granted."""
        ...

    async def give_back(self, notice: Notice) -> None:
        """Let others try a message that was not sent."""
        ...

    async def permit(self, severity: Severity) -> Permit:
        """Take one of the hour's messages: of `room_for(severity)`."""
        ...

    async def put_back(self) -> None:
        """Give back the permit that was granted last: its message was not sent."""
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...


@dataclass(slots=True)
class _Subject:
    told_until: dict[Severity, float] = field(default_factory=dict)
    is_open: bool = False


class MemoryClaims:
    """Claims of one process. What lapsed is forgotten, so memory is bounded by what is told.

    Args:
        repeat_s: Seconds in which the same is told once.
        clock: Monotonic seconds.
    """

    def __init__(self, *, repeat_s: float, clock: Callable[[], float]) -> None:
        self._repeat_s = repeat_s
        self._clock = clock
        self._subjects: dict[str, _Subject] = {}
        self._sent_at: deque[float] = deque()
        self._said_full_at: float | None = None

    async def claim(self, notice: Notice) -> Claim:
        subject = self._subjects.get(notice.subject)
        if notice.is_resolved:
            return Claim.OURS if subject is not None and subject.is_open else Claim.DONE
        if subject is None or self._clock() >= subject.told_until.get(notice.severity, 0.0):
            return Claim.OURS
        return Claim.DONE

    async def told(self, notice: Notice) -> None:
        now = self._clock()
        self._forget(now)
        subject = self._subjects.setdefault(notice.subject, _Subject())
        if notice.is_resolved:
            subject.is_open = False
            return
        for severity in milder(notice.severity):
            subject.told_until[severity] = now + self._repeat_s
        subject.is_open = notice.lasts

    async def give_back(self, notice: Notice) -> None:  # noqa: ARG002  # of the seam
        return  # there is nobody else

    async def permit(self, severity: Severity) -> Permit:
        now = self._clock()
        while self._sent_at and now - self._sent_at[0] >= HOUR_S:
            self._sent_at.popleft()
        if len(self._sent_at) < room_for(severity):
            self._sent_at.append(now)
            return Permit.GRANTED
        if self._said_full_at is not None and now - self._said_full_at < HOUR_S:
            return Permit.REFUSED
        self._said_full_at = now
        return Permit.LAST

    async def put_back(self) -> None:
        if self._sent_at:
            self._sent_at.pop()

    async def close(self) -> None:
        return

    def _forget(self, now: float) -> None:
        for name, subject in list(self._subjects.items()):
            is_over = all(until <= now for until in subject.told_until.values())
            if is_over and not subject.is_open:
                del self._subjects[name]


def room_for(severity: Severity) -> int:
    """Return how many messages may have been sent within the hour for one more to be."""
    return MAX_AN_HOUR + (FOR_CRITICAL if severity is Severity.CRITICAL else 0)


def milder(severity: Severity) -> tuple[Severity, ...]:
    """Return what counts as told where this was: itself, and what is less grave."""
    order = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
    return order[: order.index(severity) + 1]
