"""Where turns' events go: this process's memory, or a log that all workers share."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic

import structlog

from metrics.turns import TurnMetrics
from resilience.breaker import Breaker, BreakerState
from server.services.faults import StartError
from server.settings import Settings
from storage.errors import StorageError
from streaming.event_log.base import EventLog, Leases
from streaming.event_log.memory import MemoryEventLog

log = structlog.get_logger(__name__)

BREAKER_OPEN_S = 0.5
BREAKER_MAX_OPEN_S = 1.0
"""How long a lost Redis is left alone at first, and at most: leases have to be renewed in time."""


def redis_breaker(settings: Settings, metrics: TurnMetrics) -> Breaker | None:
    """Return the breaker of the one Redis that workers share; a Cluster is left alone by nodes."""
    if settings.redis_url is None or "+cluster://" in settings.redis_url.get_secret_value():
        return None

    def changed(_: str, before: BreakerState, after: BreakerState) -> None:
        log.warning("redis.breaker_changed", before=before.value, after=after.value)
        metrics.redis_breaker_changed(is_open=after is not BreakerState.CLOSED)

    return Breaker("redis", open_s=BREAKER_OPEN_S, max_open_s=BREAKER_MAX_OPEN_S, on_change=changed)


def open_event_log(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    worker_id: str,
    breaker: Breaker | None,
    metrics: TurnMetrics,
    on_command: Callable[[str, bytes], bool],
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
            settings.redis_url.get_secret_value(),
            timeout_s=settings.redis_timeout_s,
            breaker=breaker,
            on_call=partial(metrics.dependency_called, "redis"),
        )
    except StorageError as error:
        raise StartError(f"REDIS_URL: {error}") from None
    stack.push_async_callback(connection.close)
    if settings.mongodb_uri is None:
        hint = "This worker alone sees its history: set MONGODB_URI before you start a second one."
        log.warning("history.not_shared", hint=hint)
    keep_s = settings.replay_window_s
    shared = RedisEventLog(
        connection,
        memory,
        worker_id=worker_id,
        keep_s=keep_s,
        on_command=on_command,
        on_read=on_read,
        on_repeated=partial(metrics.repeated, "append"),
    )
    return shared, RedisLeases(connection, shared, worker_id=worker_id, keep_s=keep_s)
