"""Where figures of the last minutes and of the last weeks are kept: here, or for all workers."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from metrics.archive.archiver import FLUSH_EVERY_S, Archiver
from metrics.archive.base import Archive, ArchiveUnavailableError
from metrics.archive.chart import Chart, ChartedWindow
from metrics.base import Window
from metrics.memory import MemoryWindow
from server.settings import Settings
from storage.sqlite import SqliteDatabase

LOOK_EVERY_S = 1.0

Round = tuple[str, Callable[[], Awaitable[object]], float]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a process records into, and what it answers operators from."""

    window: Window
    archive: Archive
    archiver: Archiver

    def rounds(self) -> Sequence[Round]:
        """Return the duties that share and keep what was recorded, each with its pace."""
        return (
            ("figures_look", self.archiver.look, LOOK_EVERY_S),
            ("figures_archive", self._keep, FLUSH_EVERY_S),
        )

    async def _keep(self) -> None:
        try:
            await self.archiver.flush()
        except ArchiveUnavailableError as error:  # kept, and tried again
            log.debug("figures.not_archived", reason=str(error))


def open_figures(settings: Settings, stack: AsyncExitStack, *, worker_id: str) -> Figures:
    """Return where figures go; the stack brings the last ones there, and closes it.

    Nothing is opened or connected yet: figures delay no start, and prevent none.
    """
    window = MemoryWindow()
    database = SqliteDatabase(
        settings.data_dir / "metrics.db", timeout_s=settings.history_timeout_s
    )
    stack.push_async_callback(database.close)
    from metrics.archive.sqlite import SqliteArchive  # noqa: PLC0415  # only what is used

    archive = SqliteArchive(database)
    chart = Chart()
    charted = ChartedWindow(window, chart)
    archiver = Archiver(archive, chart, charted, writer=worker_id)
    stack.push_async_callback(archiver.close)
    return Figures(charted, archive, archiver)
