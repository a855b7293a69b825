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
from metrics.series.service import SharingFigures
from metrics.turns import TurnMetrics
from server.services.faults import StartError
from server.settings import Settings
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase

LOOK_EVERY_S = 1.0

_METRICS_LINKS = 4
"""Links to Redis: for a flush, and for operators who read charts."""

Round = tuple[str, Callable[[], Awaitable[object]], float]
Share = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a process records into, and what it answers operators from.

    `share` tells other workers what was recorded; None where there are none.
    """

    window: Window
    archive: Archive
    archiver: Archiver
    share: Share | None
    sharing: Callable[[], SharingFigures]

    def rounds(self, metrics: TurnMetrics) -> Sequence[Round]:
        """Return the duties that share and keep what was recorded, each with its pace."""

        async def look() -> None:
            metrics.tell_logs()
            if self.share is not None:
                await self.share()
            await self.archiver.look()

        return (
            ("figures_share", look, LOOK_EVERY_S),
            ("figures_archive", self._keep, FLUSH_EVERY_S),
        )

    async def _keep(self) -> None:
        try:
            await self.archiver.flush()
        except ArchiveUnavailableError as error:  # kept, and tried again
            log.debug("metrics.not_archived", reason=str(error))


def open_figures(settings: Settings, stack: AsyncExitStack, *, worker_id: str) -> Figures:
    """Return where figures go; the stack brings the last ones there, and closes it.

    Nothing is opened or connected yet: figures delay no start, and prevent none.

    Raises:
        StartError: the address of Redis cannot be used.
    """
    if settings.redis_url is None:
        return _embedded(settings, stack, worker_id)
    return _shared(settings, settings.redis_url.get_secret_value(), stack, worker_id)


def _embedded(settings: Settings, stack: AsyncExitStack, worker_id: str) -> Figures:
    from metrics.archive.sqlite import SqliteArchive  # noqa: PLC0415  # only what is used

    path, timeout_s = settings.data_dir / "metrics.db", settings.history_timeout_s
    archive = SqliteArchive(lambda: SqliteDatabase(path, timeout_s=timeout_s))
    stack.push_async_callback(archive.close)
    chart = Chart()
    window = ChartedWindow(MemoryWindow(), chart)
    archiver = Archiver(archive.add, chart, window, writer=worker_id)
    stack.push_async_callback(archiver.close)

    def sharing() -> SharingFigures:
        return SharingFigures(archiver.behind_s, archiver.dropped)

    return Figures(window, archive, archiver, None, sharing)


def _shared(settings: Settings, url: str, stack: AsyncExitStack, worker_id: str) -> Figures:
    from metrics.redis.archive import RedisArchive  # noqa: PLC0415  # only what is used
    from metrics.redis.window import RedisWindow  # noqa: PLC0415
    from storage.redis import RedisConnection  # noqa: PLC0415

    try:
        connection = RedisConnection(
            url, timeout_s=settings.redis_timeout_s, max_connections=_METRICS_LINKS
        )
    except StorageError as error:
        raise StartError(f"REDIS_URL: {error}") from None
    stack.push_async_callback(connection.close)
    shared = RedisWindow(connection, worker_id=worker_id)
    stack.push_async_callback(shared.leave)
    chart = Chart()
    window = ChartedWindow(shared, chart)
    archive = RedisArchive(connection)
    archiver = Archiver(archive.add, chart, window, writer=worker_id)
    stack.push_async_callback(archiver.close)

    def sharing() -> SharingFigures:
        behind_s = max(shared.behind_s, archiver.behind_s)
        return SharingFigures(behind_s, shared.dropped + archiver.dropped)

    return Figures(window, archive, archiver, shared.flush, sharing)
