"""The driver's clients, made for an address. The driver's defaults differ by constructor."""

import socket
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from storage.redis.address import Address, Host
from storage.redis.links import TlsLink, WatchedLink, WatchedTlsLink

_KEEPALIVE = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    # Milliseconds that what was sent may stay unread before the kernel gives the link up.
    "TCP_USER_TIMEOUT": 20_000,
}


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Links to whichever server the Sentinels name; whoever finds none free waits."""


class _ServiceClient(Redis):
    """A client that closes its links to the Sentinels too."""

    def __init__(self, pool: _SentinelPool, sentinels: Sentinel) -> None:
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._sentinels = sentinels

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        await self._sentinels.aclose()


def server_client(
    address: Address, host: Host | None, timeout_s: float, max_connections: int
) -> Redis:
    """Return a client of one server that has not connected yet.

    Args:
        address: How to sign in; names the socket where there is no host.
        host: The server.
        timeout_s: For connecting; reading and writing are bounded by whoever calls.
        max_connections: Calls at once.
    """
    options = dict(address.options)
    if host is not None:
        options["host"], options["port"] = host
    pool = BlockingConnectionPool(
        connection_class=address.link_class,
        max_connections=max_connections,
        timeout=None,  # who waits for a link is bounded by the deadline, too
        **options,
        **_link_options(timeout_s, is_tcp=host is not None),
    )
    return Redis.from_pool(pool)


def service_client(address: Address, timeout_s: float, max_connections: int) -> Redis:
    """Return a client of the primary that the Sentinels name when it connects."""
    is_encrypted = address.link_class is TlsLink
    encryption = {name: v for name, v in address.options.items() if name.startswith("ssl_")}
    # One that is silent must leave time to ask the next.
    share_s = timeout_s / (len(address.hosts) + 1)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]  # the driver says no types
        address.hosts,
        sentinel_kwargs={
            **_link_options(share_s),
            "socket_timeout": share_s,
            **address.sentinel_options,
            **({"ssl": True, **encryption} if is_encrypted else {}),
        },
    )
    pool = _SentinelPool(  # type: ignore[no-untyped-call]  # the driver says no types
        address.service,
        sentinels,
        connection_class=WatchedTlsLink if is_encrypted else WatchedLink,
        max_connections=max_connections,
        timeout=None,  # who waits for a link is bounded by the deadline, too
        **address.options,
        **_link_options(timeout_s),
    )
    return _ServiceClient(pool, sentinels)


def _link_options(timeout_s: float, *, is_tcp: bool = True) -> dict[str, Any]:
    """Return what our promises depend on."""
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        # Reading is bounded by the deadline of the call, which cancels it; a timeout of the
        # driver's own would bound calls that were given longer, and costs a task for each write.
        "socket_timeout": None,
        "socket_connect_timeout": timeout_s,
        "health_check_interval": 0,
        # RESP2: no greeting that older servers answer by quoting the password, no pushed replies.
        "protocol": 2,
        "driver_info": None,
    }
    if is_tcp:
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = {
            getattr(socket, name): value
            for name, value in _KEEPALIVE.items()
            if hasattr(socket, name)
        }
    return options
