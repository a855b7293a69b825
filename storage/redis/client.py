"""What an adapter asks with, whatever there is behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from redis.exceptions import RedisError

from storage.redis.cluster import Cluster
from storage.redis.server import Argument, Command, Server


@dataclass(frozen=True, slots=True)
class Client:
    """Ask with `ask` and `ask_all`, within `RedisConnection.call`.

    Args:
        target: Where commands go.
        permits: One for each call at once. The driver's own pool may lose a wake-up when somebody
            who waits for a link is cancelled.
    """

    target: Server | Cluster
    permits: anyio.Semaphore


async def ask(client: Client, *command: Argument) -> Any:
    """Return the answer to one command.

    Raises:
        RedisError: the driver's own; `RedisConnection.call` translates it.
    """
    async with client.permits:
        return await client.target.execute(command)


async def ask_all(client: Client, commands: Sequence[Command]) -> list[Any]:
    """Return the answers to commands that are sent at once: no transaction.

    Raises:
        RedisError: the first that failed; the others may have held.
    """
    if not commands:
        return []
    async with client.permits:
        answers = await client.target.execute_all(commands)
    for answer in answers:
        if isinstance(answer, RedisError | OSError):
            raise answer
    return answers
