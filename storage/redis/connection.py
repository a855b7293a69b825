"""The connection to Redis: a deadline for every call, faults translated."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
from redis.exceptions import NoScriptError

from resilience.breaker import Attempt, Breaker, BreakerOpenError
from storage.errors import StorageUnavailableError
from storage.redis.address import Address, Host, Topology, parse_address
from storage.redis.client import Client, ask
from storage.redis.cluster import Cluster
from storage.redis.drivers import server_client, service_client
from storage.redis.script import Script
from storage.redis.server import FAULTS, Argument, Server, is_of_the_link
from storage.redis.subscription import Subscription
from storage.timing import OnCall, timed


class RedisConnection:
    """Links to Redis, made at first use; for one event loop.

    After a failover (Sentinel), a moved slot or a lost node (Cluster) or a restart, calls fail for
    a while and then work again by themselves.

    Args:
        url: See `storage.redis.address.parse_address`.
        timeout_s: Seconds that a call may take in all, whatever happens.
        max_connections: Calls at once, of each node of a Cluster; further ones wait within their
            deadline. A subscription has a link beside them.
        breaker: Hears how calls end; while it is open they fail at once. Not in a Cluster, where
            one lost node says nothing of the others.
        on_call: Told how long calls took; not of those that an open breaker refused.

    Raises:
        StorageOpenError: the address cannot be used; the message never quotes it.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        max_connections: int = 32,
        breaker: Breaker | None = None,
        on_call: OnCall | None = None,
    ) -> None:
        self._address = parse_address(url)
        self._timeout_s = timeout_s
        self.is_cluster = self._address.topology is Topology.CLUSTER
        self._breaker = None if self.is_cluster else breaker
        self._on_call = on_call
        self._client = _client(self._address, timeout_s, max_connections)

    @asynccontextmanager
    async def call(self, timeout_s: float | None = None) -> AsyncIterator[Client]:
        """Bound all calls inside together, and translate whatever the driver raises.

        Args:
            timeout_s: Seconds for all of them; the connection's own where None.

        Raises:
            StorageUnavailableError: Redis refused, failed or did not answer in time; a write may
                have held.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        with self._translating(), self._attempt() as attempt, timed(self._on_call, _is_fault):
            with anyio.move_on_after(limit_s) as scope:
                yield self._client
                attempt.succeeded()
            if scope.cancelled_caught:
                if limit_s >= self._timeout_s:  # else it had not the time
                    attempt.failed()
                raise StorageUnavailableError(f"Redis did not answer within {limit_s:g} s")

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script as one step on the server that has the keys.

        In a Cluster the keys must share a slot. It is sent a second time only where the server
        said that it does not know it.

        Raises:
            StorageUnavailableError: as of `call`.
        """
        rest = (len(keys), *keys, *arguments)
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
        subscription = Subscription(translate=self._translated)
        try:
            async with self.call() as client:
                await client.link(partial(subscription.open, channels))
            yield subscription
        finally:
            await subscription.close()

    async def close(self) -> None:
        """Close the links that no call is using, the others at the end of their call.

        Safe to call twice. A call made after it opens new links.
        """
        await self._client.close()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except BreakerOpenError:
            detail = "Redis keeps failing and is left alone for a moment"
            raise StorageUnavailableError(detail) from None
        except FAULTS as error:
            raise self._translated(error) from None

    @contextmanager
    def _attempt(self) -> Iterator[Attempt]:
        if self._breaker is None:
            yield Attempt(lambda _: None)
            return
        with self._breaker.attempt() as attempt:
            try:
                yield attempt
            except FAULTS as error:  # one that refuses a command is there
                attempt.failed() if is_of_the_link(error) else attempt.succeeded()
                raise

    def _translated(self, error: Exception) -> StorageUnavailableError:
        # Never chained: what the driver says may quote the password.
        return StorageUnavailableError(self._address.hidden(f"{type(error).__name__}: {error}"))


def _is_fault(error: Exception) -> bool:
    return isinstance(error, (*FAULTS, StorageUnavailableError))


def _client(address: Address, timeout_s: float, max_connections: int) -> Client:
    patience_s = timeout_s / 2

    def one(host: Host | None) -> Server:
        return Server(lambda: server_client(address, host, timeout_s, max_connections), patience_s)

    match address.topology:
        case Topology.SINGLE:
            return one(address.hosts[0] if address.hosts else None)
        case Topology.SENTINEL:
            return Server(lambda: service_client(address, timeout_s, max_connections), patience_s)
        case Topology.CLUSTER:
            return Cluster(address.hosts, one, timeout_s=timeout_s)
