"""The seam: a few figures of each minute, kept for weeks, of all workers together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from metrics.delta import Delta

_DAY_S = 86_400.0


class ArchiveUnavailableError(Exception):
    """The archive cannot be read or written now; the message says why. Try again later."""


@dataclass(frozen=True, slots=True)
class Level:
    """A resolution: periods of `step_s` seconds, numbered since 1970, kept for `keep_s` seconds."""

    name: str
    step_s: int
    keep_s: float


MINUTE = Level("minute", 60, 30 * _DAY_S)
FIVE_MINUTES = Level("five_minutes", 300, 3 * _DAY_S)
HOUR = Level("hour", 3600, 31 * _DAY_S)
LEVELS = (MINUTE, FIVE_MINUTES, HOUR)
"""Each record counts in one period of each, so that no chart has to add up thousands."""


@dataclass(frozen=True, slots=True)
class Charted:
    """Figures to be kept, recorded `age_s` seconds ago.

    `writer` and `number` name them: the numbers of one writer grow.
    """

    writer: str
    number: int
    age_s: float
    delta: Delta


@dataclass(frozen=True, slots=True)
class Period:
    """What was kept of the period that began at `began_s`, in seconds since 1970."""

    began_s: int
    delta: Delta


class Archive(Protocol):
    """Periods of figures. What was added is still there after a restart, of whatever."""

    async def add(self, charted: Sequence[Charted]) -> None:
        """Add figures to their periods, in all levels; all of one writer, or nothing of them.

        Exactly once: what a writer has added before, by its number or an earlier one than its last,
        is left out, so a call whose answer was lost is repeated safely. The periods are those of
        the archive's own clock, `age_s` ago.

        Raises:
            ArchiveUnavailableError: it may have happened all the same; repeat it.
        """
        ...

    async def read(
        self, level: Level, periods: int, *, until_s: float | None = None
    ) -> Sequence[Period]:
        """Return what was kept of the last so many periods, oldest first; empty ones are left out.

        Args:
            level: Of the periods.
            periods: How many, the one of `until_s` included.
            until_s: Seconds since 1970; now where None.

        Raises:
            ArchiveUnavailableError: it does not answer.
        """
        ...
