"""What an adapter asks with, whatever there is behind it."""

from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from storage.redis.cluster import Cluster
from storage.redis.server import Argument, Command, Server

Client = Server | Cluster
"""What `RedisConnection.call` gives: ask it with `ask` and `ask_all`."""


async def ask(client: Client, *command: Argument) -> Any:
    """Return the answer to one command.

    Raises:
        RedisError: the driver's own; `RedisConnection.call` translates it.
    """
    return await client.execute(command)


async def ask_all(client: Client, commands: Sequence[Command]) -> list[Any]:
    """Return the answers to commands that are sent at once: no transaction.

    Raises:
        RedisError: the first that failed; the others may have held.
    """
    if not commands:
        return []
    answers = await client.execute_all(commands)
    for answer in answers:
        if isinstance(answer, RedisError | OSError):
            raise answer
    return answers
