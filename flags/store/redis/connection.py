"""The connection to Redis: what the address may say, a deadline for every call, faults translated.

The driver never repeats a command here: a write whose answer was lost may have held, and the caller
decides what that means.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from flags.errors import FlagStoreDamagedError, FlagStoreError, FlagStoreUnavailableError
from flags.store.redis.guides import (
    GuidedLink,
    GuidedTlsLink,
    as_of_one,
    guide_of,
    is_of_several,
    unusable,
)

MAX_CONNECTIONS = 4
"""Per process: one listens, the others are held for a round trip each."""

_FROM_ADDRESS = frozenset({"host", "port", "path", "db", "username", "password", "client_name"})

# Beside its own errors the driver lets through what a peer that is no Redis provokes in its parser,
# and what it says (RuntimeError) where a connection was closed under a caller.
_FAULTS = (RedisError, OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError)


class RedisConnection:
    """A few connections, made at first use and anew in a forked process; for one event loop.

    Args:
        url: `redis://`, `rediss://` or `unix://`; says where, which database, who, and with which
            certificates (`ssl_…`). What it says of timeouts, retries or the protocol is ignored.
            With `+sentinel` or `+cluster` it names several servers: see `guides.guide_of`.
        timeout_s: Seconds that a call may take in all, whatever happens.

    Raises:
        FlagStoreError: the address cannot be used; the message never quotes it.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._connection_class, self._options = _parsed(url, timeout_s)
        self._clients: dict[int, Redis] = {}

    @asynccontextmanager
    async def call(self, timeout_s: float | None = None) -> AsyncIterator[Redis]:
        """Bound all calls inside together, and translate whatever the driver raises.

        Args:
            timeout_s: Seconds for all of them; the connection's own where None.

        Raises:
            FlagStoreUnavailableError: Redis refused, failed or did not answer in time.
            FlagStoreDamagedError: a key is not of the type that it should be.
        """
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        with anyio.move_on_after(limit_s) as scope:
            try:
                yield self._client()
            except _FAULTS as error:
                # Not chained: what the driver says may quote the password.
                raise self._translated(error) from None
        if scope.cancelled_caught:
            raise FlagStoreUnavailableError(f"Redis did not answer within {limit_s:g} s")

    async def end(self, client: Redis, close: Callable[[], Awaitable[None]]) -> None:
        """Close something of a client's, if the client is this process's own; never fails."""
        if self._clients.get(os.getpid()) is not client:
            return
        # The other side may be gone: then there is nothing to say goodbye to.
        with suppress(*_FAULTS), anyio.move_on_after(self.timeout_s, shield=True):
            await close()

    async def close(self) -> None:
        """Close this process's connections; safe to call twice."""
        if client := self._clients.get(os.getpid()):
            await self.end(client, client.aclose)
            del self._clients[os.getpid()]

    def _client(self) -> Redis:
        # A forked child shares sockets and event loop registrations with its parent. It keeps its
        # copies of the parent's clients and never touches them: dropping one would unregister it.
        client = self._clients.get(os.getpid())
        if client is None:
            client = self._clients[os.getpid()] = Redis.from_pool(self._pool())
        return client

    def _pool(self) -> BlockingConnectionPool:
        return BlockingConnectionPool(
            connection_class=self._connection_class,
            max_connections=MAX_CONNECTIONS,
            timeout=self.timeout_s,
            **self._options,
            **_ours(self.timeout_s),
        )

    def _translated(self, error: Exception) -> FlagStoreError:
        reason = f"{type(error).__name__}: {error}"
        if password := self._options.get("password"):
            reason = reason.replace(str(password), "***")
        if "WRONGTYPE" in reason:
            return FlagStoreDamagedError(f"a key in Redis is not of its type ({reason})")
        return FlagStoreUnavailableError(reason)


async def ask(client: Redis, *command: str | int | bytes) -> Any:
    """Return the answer to one command."""
    answer: Any = await client.execute_command(*command)  # type: ignore[no-untyped-call]
    return answer


def _parsed(url: str, timeout_s: float) -> tuple[type[Connection], dict[str, Any]]:
    is_of_several = _is_of_several(url)
    plain = as_of_one(url) if is_of_several else url
    if fault := _address_fault(plain):
        raise unusable(fault)
    given: Mapping[str, Any] = parse_url(plain)
    made: type[Connection] = given.get("connection_class", Connection)
    options = {
        name: value
        for name, value in given.items()
        if name in _FROM_ADDRESS or name.startswith("ssl_")
    }
    if is_of_several:
        made, options = _guided(url, made, options, timeout_s)
    try:
        made(**options, **_ours(1.0))  # connects to nothing
    except (RedisError, TypeError, ValueError):
        raise unusable("an option is unknown") from None
    return made, options


def _is_of_several(url: str) -> bool:
    try:
        return is_of_several(url)
    except ValueError:  # told with all other faults
        return False


def _guided(
    url: str, made: type[Connection], options: dict[str, Any], timeout_s: float
) -> tuple[type[Connection], dict[str, Any]]:
    del options["host"]
    try:
        guide = guide_of(url, {**options, **_ours(timeout_s)}, timeout_s=timeout_s)
    except ValueError:
        raise unusable("its numbers must be numbers") from None
    link_class = GuidedTlsLink if issubclass(made, SSLConnection) else GuidedLink
    return link_class, {**options, "guide": guide}


def _address_fault(url: str) -> str | None:
    try:
        parse_url(url)  # its numbers are numbers
        address = urlsplit(url)
    except ValueError:
        return (
            "it must begin redis://, rediss:// or unix://, or with +sentinel or +cluster before ://,"
            " and its numbers must be numbers"
        )
    if address.scheme == "unix":
        return None if address.path else "it names no socket"
    if address.path.strip("/") and not address.path.strip("/").isdecimal():
        return "what follows the host must be a database number"
    return None


def _ours(timeout_s: float) -> dict[str, Any]:
    """Return what our promises depend on; the driver's defaults differ by constructor."""
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "health_check_interval": 0,
        # RESP2: no greeting that older servers answer by quoting the password, no pushed replies.
        "protocol": 2,
        "driver_info": None,
    }
