"""Where audio is kept for a while: in this process, or in Redis for all of them."""

from contextlib import AsyncExitStack
from functools import partial
from time import monotonic

import structlog

from metrics.turns import TurnMetrics
from server.services.faults import StartError
from server.settings import Settings
from storage.errors import StorageError
from streaming.cache.base import Cache
from streaming.cache.memory import MemoryCache

log = structlog.get_logger(__name__)

MAX_VALUE_BYTES = 4_194_304
"""A unit of speech is a few tens of kilobytes; more is a mistake that Redis need not hold."""


async def open_cache(settings: Settings, stack: AsyncExitStack, metrics: TurnMetrics) -> Cache:
    """Return the cache that the settings ask for; one in Redis is connected when it is used.

    Raises:
        StartError: the address cannot be used.
    """
    url = settings.cache_redis_url or settings.redis_url
    if url is None:
        return MemoryCache(
            max_bytes=settings.tts_cache_max_bytes, ttl_s=settings.tts_cache_ttl_s, clock=monotonic
        )
    from storage.redis import RedisConnection  # noqa: PLC0415  # only what is used
    from streaming.cache.redis import RedisCache  # noqa: PLC0415

    try:
        connection = RedisConnection(url.get_secret_value(), timeout_s=settings.redis_timeout_s)
    except StorageError as error:
        name = "REDIS_URL" if settings.cache_redis_url is None else "CACHE_REDIS_URL"
        raise StartError(f"{name}: {error}") from None
    stack.push_async_callback(connection.close)
    cache = RedisCache(
        connection,
        ttl_s=settings.tts_cache_ttl_s,
        max_value_bytes=MAX_VALUE_BYTES,
        on_failure=partial(metrics.cache_failed, "tts"),
    )
    if settings.cache_redis_url is not None and (warning := await cache.check_policy()):
        log.warning("cache.policy", hint=warning)
    return cache
