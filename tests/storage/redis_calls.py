"""What the tests of the connection to Redis ask of it, as short as they want to say it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
import pytest

from storage.errors import StorageUnavailableError
from storage.redis import RedisConnection, ask
from tests.support.redis import RedisServer

LIMIT_S = 10.0
PATIENCE_S = 20.0
"""Far above what a call takes: a busy machine must not fail a test that is not about deadlines."""


@asynccontextmanager
async def opened(
    url: str, *, timeout_s: float = PATIENCE_S, max_connections: int = 32
) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(url, timeout_s=timeout_s, max_connections=max_connections)
    try:
        yield connection
    finally:
        await connection.close()


async def get(connection: RedisConnection, key: str) -> object:
    async with connection.call() as client:
        return await ask(client, "GET", key)


async def put(connection: RedisConnection, key: str, value: str | bytes) -> None:
    async with connection.call() as client:
        await ask(client, "SET", key, value)


async def refusal(call: Callable[[], Awaitable[object]]) -> str:
    """Return what a call says that must fail; nothing of the driver hangs on it."""
    with anyio.fail_after(LIMIT_S), pytest.raises(StorageUnavailableError) as caught:
        await call()
    assert caught.value.__cause__ is None
    return str(caught.value)


async def until_served(call: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(LIMIT_S):
        while True:
            try:
                await call()
            except StorageUnavailableError:
                await anyio.sleep(0.02)
            else:
                return


async def at_once(calls: Sequence[Callable[[], Awaitable[object]]]) -> None:
    async def call(each: Callable[[], Awaitable[object]]) -> None:
        await each()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for each in calls:
                tasks.start_soon(call, each)


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(LIMIT_S):
        while not holds():  # noqa: ASYNC110  # another program's doing
            await anyio.sleep(0.01)


async def subscribed(connection: RedisConnection) -> None:
    async with connection.subscribe("news"):
        pass


@asynccontextmanager
async def listening(
    serve: Callable[[anyio.abc.SocketStream], Awaitable[None]],
) -> AsyncIterator[int]:
    """Serve what is no Redis on a port of 127.0.0.1; the other side may leave at any time."""

    async def serve_one(stream: anyio.abc.SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            async with stream:
                await serve(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve_one)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # no Django
        tasks.cancel_scope.cancel()


async def wait_for(connection: RedisConnection, key: str, value: bytes) -> None:
    """Return when a key has a value."""
    with anyio.fail_after(LIMIT_S):
        while await get(connection, key) != value:  # noqa: ASYNC110  # another program's doing
            await anyio.sleep(0.02)


def links(server: RedisServer) -> list[str]:
    """Return the ids of a server's links but the asker's own and a Sentinel's."""
    with server.client() as client:
        mine = str(client.client_id())
        return [
            each["id"]
            for each in client.client_list()
            if each["id"] != mine and not each["name"].startswith("sentinel")
        ]


def blocked(server: RedisServer) -> int:
    """Return how many callers a server keeps waiting for a list."""
    with server.client() as client:
        return int(client.info("clients")["blocked_clients"])
