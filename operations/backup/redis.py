"""Redis as archives are made of it and put back into it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from operations.findings import OperationError
from storage.errors import StorageError
from storage.redis import RedisConnection, ask

TIMEOUT_S = 30.0
"""For all of one visit: a dump, a restore."""

_WORKERS = "chat:workers"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RedisConnection]:
    """Yield a connection, which is closed after the block.

    Raises:
        OperationError: Redis does not answer, or refuses; never with the address.
    """
    try:
        connection = RedisConnection(url, timeout_s=5.0, max_connections=2)
        try:
            yield connection
        finally:
            await connection.close()
    except StorageError as error:
        raise OperationError(f"REDIS_URL: {error}.") from None


async def running_workers(url: str) -> list[str]:
    """Return the workers that listen now; of a Cluster nobody can tell, and there are none.

    Raises:
        OperationError: Redis does not answer.
    """
    async with connected(url) as connection:
        if connection.is_cluster:
            return []
        async with connection.call() as client:
            workers = [each.decode() for each in await ask(client, "SMEMBERS", _WORKERS)]
            if not workers:
                return []
            channels = [f"chat:worker:{worker}" for worker in workers]
            counted = await ask(client, "PUBSUB", "NUMSUB", *channels)
    return [who for who, count in zip(workers, counted[1::2], strict=True) if count]
