"""The shared cache: byte strings in Redis, for all processes and across restarts.

Who must make room is Redis' own business: give it `maxmemory` and the policy `allkeys-lru`, on a
server beside the one that keeps logs and flags. Without them values leave by their age alone.
Everything of a value is in one key: there is nothing to repair after a crash.
"""

from collections.abc import Callable, Sequence
from typing import Any

from resilience.breaker import Attempt, Breaker, BreakerOpenError
from storage.errors import StorageUnavailableError
from storage.redis import RedisConnection, ask

SKIP_S = 1.0
"""Seconds for which a Redis that keeps failing is left alone, before one call tries it again."""

_FAILURES = 3
_MAX_SKIP_S = 15.0


class RedisCache:
    """Values in Redis 6.2 or newer, or what speaks as it does. Fails open, visibly.

    After a few failures in a row calls answer at once, without Redis, and one at a time finds out
    whether it is back: a lost Redis costs few callers their timeout.

    Args:
        connection: Its timeout is what a caller may have to wait. It is not closed with the cache.
        ttl_s: Seconds from a `put` until the value is gone; reading does not prolong it.
        max_value_bytes: A larger value is not kept.
        prefix: What the names of all keys begin with.
        on_failure: Called for each call that Redis did not serve, whether asked or left alone;
            must not raise.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        ttl_s: float,
        max_value_bytes: int,
        prefix: str = "chat:cache:",
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._ttl_ms = max(1, int(ttl_s * 1000))
        self._max_value_bytes = max_value_bytes
        self._prefix = prefix
        self._on_failure = on_failure
        self._is_closed = False
        self.breaker = Breaker("cache", failures=_FAILURES, open_s=SKIP_S, max_open_s=_MAX_SKIP_S)

    async def get(self, key: str) -> bytes | None:
        value = await self._ask("GET", self._name(key))
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes) -> None:
        if len(value) > self._max_value_bytes:
            await self._ask("DEL", self._name(key))  # the old one is out of date
        else:
            await self._ask("SET", self._name(key), value, "PX", self._ttl_ms)

    async def close(self) -> None:
        self._is_closed = True

    async def check_policy(self) -> str | None:
        """Return a sentence for the operator if Redis does not make room; None if it does.

        None, too, where Redis does not say. Never raises.
        """
        try:
            async with self._connection.call() as client:
                memory: Any = await ask(client, "INFO", "memory")
            policy, limit_bytes = memory["maxmemory_policy"], memory["maxmemory"]
        except (StorageUnavailableError, LookupError, TypeError):
            return None
        if not str(policy).startswith("allkeys-"):
            return (
                f"The cache's Redis has maxmemory-policy {policy}: when it is full it refuses "
                f"values, or drops what is not the cache's; set allkeys-lru."
            )
        if limit_bytes == 0:
            return "The cache's Redis has no maxmemory: values leave it by their age alone."
        return None

    async def _ask(self, *command: str | bytes | int) -> Any:
        """Return the answer, None where Redis did not give one."""
        if self._is_closed:
            return None
        try:
            with self.breaker.attempt() as attempt:
                return await self._told(attempt, command)
        except (StorageUnavailableError, BreakerOpenError):
            self._on_failure()
            return None

    async def _told(self, attempt: Attempt, command: Sequence[str | bytes | int]) -> Any:
        try:
            async with self._connection.call() as client:
                answer = await ask(client, *command)
        except StorageUnavailableError:
            attempt.failed()
            raise
        attempt.succeeded()
        return answer

    def _name(self, key: str) -> bytes:
        return (self._prefix + key).encode(errors="surrogatepass")
