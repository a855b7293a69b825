"""The connection to Redis: a deadline for every call, faults translated, sick links left behind."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import choice
from typing import Any

import anyio
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from storage.errors import StorageUnavailableError
from storage.redis.address import Topology, parse_address
from storage.redis.client import FAULTS, Argument, Client, ask
from storage.redis.drivers import link_options, make_driver
from storage.redis.script import Script, invocation
from storage.redis.subscription import Subscription

FRESH_S = 1.0
"""Seconds for which a set of links is kept whatever happens: a server that is down must not have
every caller make one."""


@dataclass(slots=True)
class _Links:
    """A driver's client with its pool, and how many calls are in it."""

    client: Client
    made_at: float
    calls: int = 0
    is_retired: bool = False


class RedisConnection:
    """A pool of links, made at first use; for one event loop.

    A call that times out, or finds its link broken or its server no longer the primary, retires
    all links: calls under way end on the old ones, the next call makes new ones, asks the
    Sentinels or learns the Cluster's map. So a failover costs a few calls, and no restart.

    Args:
        url: See `storage.redis.address.parse_address`.
        timeout_s: Seconds that a call may take in all, whatever happens.
        max_connections: Calls at once; further ones wait within their deadline.

    Raises:
        StorageOpenError: the address cannot be used; the message never quotes it.
    """

    def __init__(self, url: str, *, timeout_s: float, max_connections: int = 32) -> None:
        self.timeout_s = timeout_s
        self._max_connections = max_connections
        self._address = parse_address(url)
        self.is_cluster = self._address.topology is Topology.CLUSTER
        self._permits = anyio.Semaphore(max_connections)
        self._links: _Links | None = None

    @asynccontextmanager
    async def call(self, timeout_s: float | None = None) -> AsyncIterator[Client]:
        """Bound all calls inside together, and translate whatever the driver raises.

        Args:
            timeout_s: Seconds for all of them; the connection's own where None.

        Raises:
            StorageUnavailableError: Redis refused, failed or did not answer in time; a write may
                have held.
        """
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        links = self._links or self._made()
        with anyio.move_on_after(limit_s) as scope:
            async with self._used(links):
                yield links.client
        if scope.cancelled_caught:
            if limit_s >= self.timeout_s:
                await self._retire(links)
            raise StorageUnavailableError(f"Redis did not answer within {limit_s:g} s")

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script as one step on the server that has the keys.

        In a Cluster the keys must share a slot. Nothing is sent twice, unless the server said that
        it does not know the script.

        Raises:
            StorageUnavailableError: as of `call`.
        """
        rest = invocation(keys, arguments)
        async with self.call() as client:
            try:
                return await ask(client, "EVALSHA", script.sha, *rest)
            except NoScriptError:
                return await ask(client, "EVAL", script.text, *rest)

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[Subscription]:
        """Listen to channels on a link of its own, from the moment this is entered.

        Raises:
            StorageUnavailableError: not confirmed within the connection's `timeout_s`.
        """
        link: AbstractConnection | None = None
        try:
            async with self.call() as client:
                link = await self._listening_link(client.driver)
                subscription = Subscription(link, translate=self._translated)
                await subscription.open(channels)
            yield subscription
        finally:
            if link is not None:
                with anyio.CancelScope(shield=True):
                    await link.disconnect(nowait=True)

    async def close(self) -> None:
        """Close the links that no call is using, the others at the end of their call.

        Safe to call twice. A call made after it opens new links.
        """
        links, self._links = self._links, None
        if links is not None:
            links.is_retired = True
            await self._close_if_unused(links)

    @asynccontextmanager
    async def _used(self, links: _Links) -> AsyncIterator[None]:
        links.calls += 1
        try:
            yield
        except FAULTS as error:
            if _is_of_the_link(error):
                await self._retire(links)
            # Not chained: what the driver says may quote the password.
            raise self._translated(error) from None
        finally:
            links.calls -= 1
            await self._close_if_unused(links)

    def _made(self) -> _Links:
        driver = make_driver(
            self._address, timeout_s=self.timeout_s, max_connections=self._max_connections
        )
        self._links = _Links(Client(driver, self._permits), anyio.current_time())
        return self._links

    async def _retire(self, links: _Links) -> None:
        if self._links is links and anyio.current_time() >= links.made_at + FRESH_S:
            await self.close()

    async def _close_if_unused(self, links: _Links) -> None:
        if not links.is_retired or links.calls:
            return
        with anyio.CancelScope(shield=True), anyio.move_on_after(self.timeout_s):
            try:
                await links.client.driver.aclose()
            except FAULTS:
                return  # the other side is gone: there is nothing to say goodbye to

    async def _listening_link(self, driver: Redis | RedisCluster) -> AbstractConnection:
        if isinstance(driver, Redis):
            link: AbstractConnection = driver.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # the driver says no types
            return link
        _ = await driver.initialize()
        node = choice(driver.get_primaries())  # noqa: S311 - spreads load, no secret
        return self._address.connection_class(
            host=node.host,
            port=node.port,
            **self._address.options,
            **link_options(self.timeout_s),
        )

    def _translated(self, error: Exception) -> StorageUnavailableError:
        return StorageUnavailableError(self._address.hidden(f"{type(error).__name__}: {error}"))


def _is_of_the_link(error: Exception) -> bool:
    # Redis 6 says READONLY in the middle of a script's error.
    return not isinstance(error, ResponseError) or "READONLY" in str(error)
