"""A Cluster: each command goes to the node that has its key.

Not the driver's client, which reads the description of all commands while the event loop waits,
closes the links of calls under way when it learns the map anew, and leaves links open.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, ClusterDownError, ClusterError, MovedError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError

from storage.redis.address import Host
from storage.redis.server import FAULTS, Command, Server
from storage.redis.slots import SlotMap, redirected, slot_of

MAX_REDIRECTS = 8
"""A slot that moves sends a command on once or twice; more is a Cluster that disagrees."""

LEARN_EVERY_S = 1.0
"""The map is learned anew at most so often, however many calls find that it does not hold."""

_TRY_AGAIN_S = 0.02


class Cluster:
    """The nodes and what they have. A lost node costs the calls for its keys only.

    Every call belongs inside a deadline.

    Args:
        hosts: Some nodes; they name the others.
        make_server: Makes the links to a node.
        timeout_s: Seconds that a call may take; a node that is asked for the map has a quarter.
    """

    def __init__(
        self, hosts: Sequence[Host], make_server: Callable[[Host], Server], *, timeout_s: float
    ) -> None:
        self._seeds = tuple(hosts)
        self._make_server = make_server
        self._share_s = timeout_s / 4
        self._servers: dict[Host, Server] = {}
        self._map = SlotMap()
        self._is_doubted = True
        self._learned_at = 0.0
        self._learning = anyio.Lock()

    async def execute(self, command: Command) -> Any:
        """Return the answer to one command, wherever its key has moved to.

        Raises:
            RedisError: or another of `FAULTS`.
        """
        host = await self._host_of(slot_of(command))
        for _ in range(MAX_REDIRECTS):
            try:
                return await self._asked(host, lambda server: server.execute(command))
            except MovedError as moved:
                host = self._map.move(moved, host)
                self._is_doubted = True
            except AskError as moving:
                return await self._asked_there(redirected(moving, host), command)
            except TryAgainError:
                await anyio.sleep(_TRY_AGAIN_S)
        raise ClusterError("the nodes do not agree on who has the key")

    async def execute_all(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands sent at once to each node; one may be a `RedisError`.

        Raises:
            RedisError: or another of `FAULTS`: nobody has one of the keys.
        """
        answers: list[Any] = [None] * len(commands)
        places: dict[Host, list[int]] = {}
        for place, command in enumerate(commands):
            places.setdefault(await self._host_of(slot_of(command)), []).append(place)

        async def ask_node(host: Host, at: list[int]) -> None:
            for place, answer in zip(at, await self._batch(host, commands, at), strict=True):
                answers[place] = answer

        async with anyio.create_task_group() as tasks:
            for host, at in places.items():
                tasks.start_soon(ask_node, host, at)
        for place, answer in enumerate(answers):
            if isinstance(answer, AskError | TryAgainError):  # moved, too, is an AskError
                answers[place] = await _caught(self.execute(commands[place]))
        return answers

    async def link(self, greet: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        """Make a link to a node; what is published on any node is heard through it.

        Raises:
            RedisError: or another of `FAULTS`.
        """
        await self._asked(await self._host_of(None), lambda server: server.link(greet))

    async def close(self) -> None:
        """Leave all links behind; never fails."""
        servers, self._servers = self._servers, {}
        for server in servers.values():
            await server.close()

    async def _host_of(self, slot: int | None) -> Host:
        if self._is_due():
            await self._learn()
        if slot is None:
            return self._by_health(self._map.primaries)[0]
        host = self._map.owner(slot)
        if host is None:
            self._is_doubted = True
            raise RedisConnectionError("no node of the Cluster has the key's slot")
        return host

    async def _asked(self, host: Host, call: Callable[[Server], Awaitable[Any]]) -> Any:
        server = self._server(host)
        blamed_at = server.blamed_at
        try:
            return await call(server)
        except ClusterDownError:
            self._is_doubted = True
            raise
        finally:
            self._is_doubted |= server.blamed_at != blamed_at

    async def _asked_there(self, host: Host, command: Command) -> Any:
        # While a slot moves, its new node answers only who was sent there.
        both = (("ASKING",), command)
        _, answer = await self._asked(host, lambda server: server.execute_all(both))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _batch(self, host: Host, commands: Sequence[Command], at: list[int]) -> list[Any]:
        mine = [commands[place] for place in at]
        said = await _caught(self._asked(host, lambda server: server.execute_all(mine)))
        return said if isinstance(said, list) else [said] * len(at)

    def _server(self, host: Host) -> Server:
        if host not in self._servers:
            self._servers[host] = self._make_server(host)
        return self._servers[host]

    def _by_health(self, hosts: Sequence[Host]) -> list[Host]:
        """Return hosts by chance, but last those that failed last."""
        shuffled = random.sample(hosts, len(hosts))
        return sorted(shuffled, key=lambda host: self._server(host).blamed_at)

    def _is_due(self) -> bool:
        if not self._map.primaries:
            return True
        # While somebody learns the map anew, the one that is known will do.
        is_time = anyio.current_time() >= self._learned_at + LEARN_EVERY_S
        return self._is_doubted and is_time and not self._learning.locked()

    async def _learn(self) -> None:
        async with self._learning:
            if self._map.primaries and not self._is_doubted:
                return  # somebody did while this call waited
            self._learned_at = anyio.current_time()
            error: Exception | None = None
            for host in self._by_health(list({*self._map.primaries, *self._seeds})):
                error = await _caught(self._learn_from(host))
                if error is None:
                    return
            if not self._map.primaries:
                raise error or RedisConnectionError("no node of the Cluster was named")

    async def _learn_from(self, host: Host) -> None:
        server = self._server(host)
        with anyio.move_on_after(self._share_s) as scope:
            self._map.take(await server.execute(("CLUSTER", "SLOTS")), host)
        if scope.cancelled_caught:
            await server.blame()
            raise RedisConnectionError("a node of the Cluster does not answer")
        self._is_doubted = False
        for gone in set(self._servers) - {*self._map.primaries, *self._seeds}:
            await self._servers.pop(gone).close()


async def _caught(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except FAULTS as error:
        return error
