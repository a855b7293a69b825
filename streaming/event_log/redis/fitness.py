"""Whether a Redis can keep logs at all: told at the start, as nothing else would name the cause."""

from collections.abc import Mapping
from typing import Any

from storage.errors import StorageError
from storage.redis import RedisConnection, ask

OLDEST = (6, 2)


async def unfit(connection: RedisConnection) -> list[str]:
    """Return a sentence for the operator for each thing that is wrong with it.

    Empty, too, where it does not say. Never raises.
    """
    try:
        async with connection.call() as client:
            return faults_told(await ask(client, "INFO"))
    except (StorageError, LookupError, TypeError, ValueError):
        return []


def faults_told(told: Mapping[str, Any]) -> list[str]:
    """Return the same from an answer to INFO.

    Raises:
        LookupError, TypeError, ValueError: it is none.
    """
    faults: list[str] = []
    if tuple(int(part) for part in str(told["redis_version"]).split(".")[:2]) < OLDEST:
        faults.append(
            f"REDIS_URL leads to Redis {told['redis_version']}: turns cannot be shared there;"
            " 6.2 or newer is needed."
        )
    if told["maxmemory"] and told["maxmemory_policy"] != "noeviction":
        faults.append(
            f"The Redis of REDIS_URL has maxmemory-policy {told['maxmemory_policy']}: when it is"
            " full it drops logs of turns that run; set noeviction."
        )
    return faults
