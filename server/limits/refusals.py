"""What was refused lately: in the log once a minute, with longer and longer waits for who asks."""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from metrics.refusals import RefusalSeries

log = structlog.get_logger(__name__)

MAX_REMEMBERED = 10_000
QUIET_S = 60.0
"""After so long without a refusal, and after each so long with, it is news again."""
FIRST_WAIT_S = 1.0
MAX_WAIT_S = 30.0


@dataclass(slots=True)
class _Lately:
    last_at: float
    told_at: float
    in_row: int = 0
    untold: int = 0


class Refusals:
    """Counts and tells refusals; whom they concern by the name they are counted under.

    Args:
        series: Where they are counted.
        clock: Monotonic seconds.
    """

    def __init__(self, series: RefusalSeries, clock: Callable[[], float] = time.monotonic) -> None:
        self._series = series
        self._clock = clock
        self._lately: OrderedDict[tuple[str, str], _Lately] = OrderedDict()

    def note(self, limit: str, name: str) -> float:
        """Take a refusal, and return the seconds after which to come back, spread by chance.

        They double with each refusal in a row, from 1 to 30: who keeps coming comes less often.

        Args:
            limit: By which limit.
            name: Whom it concerns.
        """
        self._series.refused(limit)
        now = self._clock()
        lately = self._lately.pop((limit, name), None)
        if lately is None or now - lately.last_at >= QUIET_S:
            lately = _Lately(now, now - QUIET_S)
        self._lately[limit, name] = lately
        if len(self._lately) > MAX_REMEMBERED:
            self._lately.popitem(last=False)
        lately.last_at = now
        lately.in_row += 1
        if now - lately.told_at >= QUIET_S:
            log.warning("limits.refused", limit=limit, who=name, refused_before=lately.untold)
            lately.told_at, lately.untold = now, 0
        else:
            lately.untold += 1
        wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** min(lately.in_row - 1, 10))
        return wait_s * random.uniform(0.75, 1.25)  # noqa: S311  # spreads load, guards nothing
