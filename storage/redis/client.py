"""What an adapter asks with: a driver's client of any topology, and a bound of calls at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import InvalidResponse, RedisClusterException, RedisError

Argument = str | bytes | int

FAULTS = (RedisError, RedisClusterException, OSError)
"""What the driver raises where something is wrong with Redis, or on the way to it."""

# Beside its own errors the driver lets through what a peer that is no Redis provokes in its parser.
_ODD = (ValueError, TypeError, AttributeError, LookupError, RecursionError)


@dataclass(frozen=True, slots=True)
class Client:
    """Ask with `ask` and `ask_all`, within `RedisConnection.call`.

    Args:
        driver: The driver's client.
        permits: One for each call at once. The driver's own pool loses a wake-up when a caller
            that waits is cancelled, and its Cluster has no pool that waits at all.
    """

    driver: Redis | RedisCluster
    permits: anyio.Semaphore


async def ask(client: Client, *command: Argument) -> Any:
    """Return the answer to one command.

    Raises:
        RedisError: the driver's own; `RedisConnection.call` translates it.
    """
    async with client.permits:
        try:
            answer: Any = await client.driver.execute_command(*command)
        except _ODD as error:
            raise InvalidResponse(f"{type(error).__name__}: {error}") from None
    return answer


async def ask_all(client: Client, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    """Return the answers to several commands that are sent at once: no transaction.

    Raises:
        RedisError: the first that failed; the others may have held.
    """
    if not commands:
        return []
    pipeline = client.driver.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    async with client.permits:
        try:
            # The driver's own error of a pipeline would quote the command, so the user's text.
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        except _ODD as error:
            raise InvalidResponse(f"{type(error).__name__}: {error}") from None
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    return answers
