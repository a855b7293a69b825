"""Where turns' events go: this process's memory, or a log that all workers share."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from time import monotonic

from server.services.faults import StartError
from server.settings import Settings
from storage.errors import StorageError
from streaming.event_log.base import EventLog, Leases
from streaming.event_log.memory import MemoryEventLog


def open_event_log(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    worker_id: str,
    on_command: Callable[[str, bytes], None],
    on_read: Callable[[str, float], None],
) -> tuple[EventLog, Leases | None]:
    """Return the log, and the leases on its turns where several workers share it.

    Nothing is connected yet: a Redis that is down delays no start.

    Raises:
        StartError: the address cannot be used.
    """
    memory = MemoryEventLog(
        replay_window_s=settings.replay_window_s,
        max_bytes=settings.replay_max_bytes,
        clock=monotonic,
    )
    if settings.redis_url is None:
        return memory, None
    from storage.redis import RedisConnection  # noqa: PLC0415  # only what is used
    from streaming.event_log.redis import RedisEventLog, RedisLeases  # noqa: PLC0415

    try:
        connection = RedisConnection(
            settings.redis_url.get_secret_value(), timeout_s=settings.redis_timeout_s
        )
    except StorageError as error:
        raise StartError(f"REDIS_URL: {error}") from None
    stack.push_async_callback(connection.close)
    keep_s = settings.replay_window_s
    log = RedisEventLog(
        connection,
        memory,
        worker_id=worker_id,
        keep_s=keep_s,
        on_command=on_command,
        on_read=on_read,
    )
    return log, RedisLeases(connection, log, worker_id=worker_id, keep_s=keep_s)
