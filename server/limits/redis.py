"""Counting in Redis: what all workers of a deployment grant together.

All times are the server's: workers' clocks neither matter nor have to agree. Each step is one
script on one key, `chat:limits:{<who>}:<what>`.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path

from server.limits.base import LEASE_S, Allowance, Pool, Rate, Spent, Taken
from storage.redis import RedisConnection, Script, ask, ask_all

_FOLDER = Path(__file__).parent
_RATE = Script(_FOLDER / "rate.lua")
_PLACE = Script(_FOLDER / "place.lua")
_BUDGET = Script(_FOLDER / "budget.lua")
_LEASE_MS = round(LEASE_S * 1000)
_AT_ONCE = 500
"""Commands in one write: what a thousand readers are renewed with holds up nobody."""


class RedisWindows:
    """Moving windows that all workers share."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def hit(self, key: str, rate: Rate) -> Allowance:
        return await self._asked(key, rate, "1")

    async def peek(self, key: str, rate: Rate) -> Allowance:
        return await self._asked(key, rate, "0")

    async def _asked(self, key: str, rate: Rate, counts: str) -> Allowance:
        arguments = [str(rate.limit), str(rate.window_s * 1000), counts]
        granted, remaining, reset_us = await self._connection.run(_RATE, [key], arguments)
        return Allowance(granted == 1, rate, remaining, reset_us / 1e6)


class RedisPlaces:
    """Places that all workers share, leased for `LEASE_S`."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def take(self, pool: Pool, member: str) -> Taken:
        arguments = [member, str(_LEASE_MS), str(pool.limit), pool.group, str(pool.group_limit)]
        answer = await self._connection.run(_PLACE, [pool.key], arguments)
        return Taken(answer.decode())

    async def renew(self, held: Mapping[str, Collection[str]]) -> None:
        keys = iter(held.items())
        while some := list(islice(keys, _AT_ONCE // 2)):
            async with self._connection.call() as client:
                seconds, microseconds = await ask(client, "TIME")
                until = str(int(seconds) * 1000 + int(microseconds) // 1000 + _LEASE_MS)
                commands: list[tuple[str, ...]] = []
                for key, members in some:
                    scores = (part for member in members for part in (until, member))
                    commands += [("ZADD", key, *scores), ("PEXPIRE", key, str(_LEASE_MS))]
                await ask_all(client, commands)

    async def give_back(self, key: str, members: Collection[str]) -> None:
        async with self._connection.call() as client:
            await ask(client, "ZREM", key, *members)

    async def count(self, key: str) -> int:
        async with self._connection.call() as client:
            seconds, microseconds = await ask(client, "TIME")
            now = str(int(seconds) * 1000 + int(microseconds) // 1000)
            return int(await ask(client, "ZCOUNT", key, f"({now}", "+inf"))


class RedisBudgets:
    """Budgets that all workers share."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def reserve(self, key: str, member: str, amount: int, *, limit: int) -> Spent:
        return await self._asked(key, "reserve", member, str(amount), str(limit))

    async def settle(self, key: str, member: str, amount: int) -> None:
        await self._asked(key, "settle", member, str(amount))

    async def spend(self, key: str, amount: int) -> Spent:
        return await self._asked(key, "spend", "", str(amount))

    async def _asked(self, key: str, *arguments: str) -> Spent:
        granted, amount, resets_in_s = await self._connection.run(_BUDGET, [key], arguments)
        return Spent(granted == 1, amount, resets_in_s)
