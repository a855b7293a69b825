"""The driver's clients, made for an address. The driver's defaults differ by constructor."""

import socket
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from storage.redis.address import Address, Topology

_KEEPALIVE = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    # Milliseconds that what was sent may stay unacknowledged: a closed link to a peer that reads
    # nothing would otherwise keep its socket for as long as the peer lives.
    "TCP_USER_TIMEOUT": 20_000,
}


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Links to whichever server the Sentinels name; whoever finds none free waits."""


class _ServiceClient(Redis):
    """A client that closes its links to the Sentinels too."""

    def __init__(self, pool: _SentinelPool, sentinels: Sentinel) -> None:
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self.sentinels = sentinels

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        await self.sentinels.aclose()


def make_driver(
    address: Address, *, timeout_s: float, max_connections: int
) -> Redis | RedisCluster:
    """Return a client that has not connected yet."""
    match address.topology:
        case Topology.SINGLE:
            return _single(address, timeout_s, max_connections)
        case Topology.SENTINEL:
            return _sentinel(address, timeout_s, max_connections)
        case Topology.CLUSTER:
            return _cluster(address, timeout_s, max_connections)


def link_options(timeout_s: float, *, is_tcp: bool = True) -> dict[str, Any]:
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


def _single(address: Address, timeout_s: float, max_connections: int) -> Redis:
    options = dict(address.options)
    if address.hosts:
        options["host"], options["port"] = address.hosts[0]
    pool = BlockingConnectionPool(
        connection_class=address.connection_class,
        max_connections=max_connections,
        timeout=timeout_s,
        **options,
        **link_options(timeout_s, is_tcp=bool(address.hosts)),
    )
    return Redis.from_pool(pool)


def _sentinel(address: Address, timeout_s: float, max_connections: int) -> Redis:
    is_encrypted = address.connection_class is SSLConnection
    encryption = {name: v for name, v in address.options.items() if name.startswith("ssl_")}
    # One that is silent must leave time to ask the next.
    share_s = timeout_s / (len(address.hosts) + 1)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # the driver says no types
        address.hosts,
        sentinel_kwargs={
            **link_options(share_s),
            "socket_timeout": share_s,
            **address.sentinel_options,
            **({"ssl": True, **encryption} if is_encrypted else {}),
        },
    )
    pool = _SentinelPool(  # type: ignore[no-untyped-call]  # the driver says no types
        address.service,
        sentinel,
        connection_class=(
            SentinelManagedSSLConnection if is_encrypted else SentinelManagedConnection
        ),
        max_connections=max_connections,
        timeout=timeout_s,
        **address.options,
        **link_options(timeout_s),
    )
    return _ServiceClient(pool, sentinel)


def _cluster(address: Address, timeout_s: float, max_connections: int) -> RedisCluster:
    options = link_options(timeout_s)
    # One that is silent must leave time to ask the next for the map.
    options["socket_timeout"] = options["socket_connect_timeout"] = timeout_s / 2
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        ssl=address.connection_class is SSLConnection,
        # Calls at once are bounded by us; a pipeline takes one link of each node.
        max_connections=2 * max_connections,
        # Its way to learn the map anew closes the links of all calls under way.
        reinitialize_steps=0,
        **{name: value for name, value in address.options.items() if name != "db"},
        **options,
    )
