"""From what is seen every few seconds to what has begun and what has ended. Pure but for its clock.

A condition must hold for a while before it is told, and be gone for a while before its end is: what
comes and goes is told once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from server.alerts.model import Notice, Severity

GONE_FOR_S = 60.0
"""An end is told only after this long: whoever reads it may go back to bed."""

_ORDER = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is amiss now, and how long it has to be so before it is told."""

    notice: Notice
    for_s: float = 0.0


@dataclass(slots=True)
class _Known:
    notice: Notice
    since: float
    seen_at: float
    is_told: bool = False


class Watch:
    """Remembers what was amiss when it looked last.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def look(self, conditions: Iterable[Condition]) -> list[Notice]:
        """Take what is amiss now; return what is to be told of: all that lasts, and what ended.

        What lasts is returned each time: whoever tells it knows how often that is said. While it
        lasts a subject keeps the gravest severity that it had.
        """
        now = self._clock()
        told: list[Notice] = []
        for condition in conditions:
            self._seen(condition, now)
        for subject, known in list(self._known.items()):
            if known.is_told and now - known.seen_at < GONE_FOR_S:
                told.append(known.notice)
            elif known.seen_at != now and (not known.is_told or now - known.seen_at >= GONE_FOR_S):
                del self._known[subject]
                if known.is_told:
                    told.append(replace(known.notice, is_resolved=True))
        return told

    def _seen(self, condition: Condition, now: float) -> None:
        notice = condition.notice
        known = self._known.setdefault(notice.subject, _Known(notice, now, now))
        is_graver = _ORDER[notice.severity] > _ORDER[known.notice.severity]
        if is_graver or notice.severity is known.notice.severity:
            known.notice = notice
        known.seen_at = now
        known.is_told = known.is_told or now - known.since >= condition.for_s
