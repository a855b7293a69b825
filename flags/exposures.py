"""Who was given what: noted when it is assigned, before any work, once for each user and epoch.

Noting it later, at the end of the work, is how samples come to be lopsided: what fails early would
be missing from one arm only.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from flags.model import Decision

MAX_UNITS = 50_000
"""Units that are remembered to be known already; about 10 MB. Forgotten ones count again."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """A unit was given a variant, for the first time in this epoch that this process knows of."""

    flag: str
    variant: str
    epoch: int
    version: int
    unit: str
    at: datetime


class Exposures:
    """Tells of each exposure once.

    Args:
        tell: Told of it; must not block or raise.
        max_units: Exposures remembered, the least recent forgotten first.
        now: The time of day.
    """

    def __init__(
        self,
        tell: Callable[[Exposure], None],
        *,
        max_units: int = MAX_UNITS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tell = tell
        self._max_units = max_units
        self._now = now
        self._known: OrderedDict[tuple[str, int, str], str] = OrderedDict()

    def record(self, decision: Decision, unit: str) -> None:
        """Note what a unit was given. What no flag gave, or an error, was not dealt to anybody."""
        if decision.variant is None or decision.error is not None:
            return
        key = (decision.key, decision.epoch, unit)
        is_known = self._known.get(key) == decision.variant
        self._known[key] = decision.variant
        self._known.move_to_end(key)
        if len(self._known) > self._max_units:
            self._known.popitem(last=False)
        if not is_known:
            self._tell(
                Exposure(
                    decision.key,
                    decision.variant,
                    decision.epoch,
                    decision.version,
                    unit,
                    self._now(),
                )
            )
