"""Brings what is charted into the archive, now or later; nobody waits for it."""

import time
from collections.abc import Awaitable, Callable, Sequence

from metrics.archive.base import ArchiveUnavailableError, Charted
from metrics.archive.chart import Chart
from metrics.backlog import Backlog
from metrics.base import Window

FLUSH_EVERY_S = 10.0
"""What a crash may take from the charts."""

_PERIOD_S = 60.0
_MAX_BATCHES = 240
"""Four hours without the archive, at a kilobyte a minute."""

_AT_ONCE = 20


class Archiver:
    """Adds the figures of this process to the archive.

    Args:
        add: Keeps them: that of an `Archive`.
        chart: Gathers them.
        window: Who runs now; of all workers, if it knows of others.
        writer: Name of this process, not used by any other, nor after a restart.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        add: Callable[[Sequence[Charted]], Awaitable[None]],
        chart: Chart,
        window: Window,
        *,
        writer: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._add = add
        self._chart = chart
        self._window = window
        self._writer = writer
        self._backlog = Backlog(period_s=_PERIOD_S, max_batches=_MAX_BATCHES, clock=clock)

    async def look(self) -> None:
        """Note who runs now; asked once a second or so, as the most at once are kept."""
        self._chart.see(self._window.live())

    async def flush(self) -> None:
        """Bring what was gathered, and what could not be brought before.

        Raises:
            ArchiveUnavailableError: it is kept, and brought with the next flush.
        """
        self._backlog.put(self._chart.take())
        while batches := self._backlog.to_send(_AT_ONCE):
            charted = [
                Charted(self._writer, batch.number, self._backlog.age_s(batch), batch.delta)
                for batch in batches
            ]
            await self._add(charted)
            self._backlog.confirm(batches)

    async def close(self) -> None:
        """Bring the last figures; where that cannot be they are lost."""
        try:
            await self.flush()
        except ArchiveUnavailableError:
            return

    @property
    def behind_s(self) -> float:
        """Seconds for which figures have been waiting; 0: none do."""
        return self._backlog.behind_s

    @property
    def dropped(self) -> int:
        """Batches that were dropped, as the archive was away for too long."""
        return self._backlog.dropped
