"""Calls to a Redis store, and peers that are none."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress

import anyio
import anyio.abc
import pytest

from flags.errors import FlagStoreUnavailableError
from flags.store.base import Claim
from flags.store.redis import RedisFlagStore
from flags.store.redis.connection import MAX_CONNECTIONS
from tests.support.commits import a_commit, a_flag
from tests.support.redis import RedisServer

LIMIT_S = 10.0
PATIENCE_S = 20.0
"""Longer than any test may take."""


@asynccontextmanager
async def opened(url: str, *, timeout_s: float = PATIENCE_S) -> AsyncIterator[RedisFlagStore]:
    store = RedisFlagStore(url, timeout_s=timeout_s)
    try:
        yield store
    finally:
        await store.close()


async def ask_everything(store: RedisFlagStore) -> list[str]:
    """Call each method of a store that must fail; return what it said."""
    calls = (
        store.read,
        lambda: store.commit(a_commit(0, a_flag("a"), claim=Claim("k", "c"))),
        lambda: store.next_version(0, timeout_s=PATIENCE_S),
        lambda: store.history("flag:a", limit=3),
    )
    said: list[str] = []
    for call in calls:
        with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreUnavailableError) as caught:
            await call()
        assert caught.value.retryable
        said.append(str(caught.value))
    return said


async def many_calls(store: RedisFlagStore, *, must_fail: bool = False) -> None:
    """Use all connections, and more than there are."""

    async def read() -> None:
        with pytest.raises(FlagStoreUnavailableError) if must_fail else nullcontext():
            await store.read()

    async with anyio.create_task_group() as tasks:
        for _ in range(10 * MAX_CONNECTIONS):
            tasks.start_soon(read)


@asynccontextmanager
async def stalled(server: RedisServer) -> AsyncIterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


Serve = Callable[[anyio.abc.SocketStream], Awaitable[None]]


@asynccontextmanager
async def answering(answer: bytes, secret: str = "") -> AsyncIterator[str]:
    """Run a peer that says the same to whatever it hears, or closes where that is nothing."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        while answer:
            await stream.receive()
            await stream.send(answer)

    async with listening(serve) as port:
        yield f"redis://:{secret}@127.0.0.1:{port}" if secret else f"redis://127.0.0.1:{port}"


@asynccontextmanager
async def cutting_proxy(server_port: int) -> AsyncIterator[str]:
    """Run a proxy that passes all on, but ends the connection instead of answering a script."""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with await anyio.connect_tcp("127.0.0.1", server_port) as upstream:
            asked = b""
            while b"EVAL" not in asked:
                asked = await stream.receive()
                await upstream.send(asked)
                answer = await upstream.receive()
                if b"EVAL" not in asked:
                    await stream.send(answer)

    async with listening(serve) as port:
        yield f"redis://127.0.0.1:{port}"


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    async def serve_until_left(stream: anyio.abc.SocketStream) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            async with stream:
                await serve(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve_until_left)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610  # not Django's
        tasks.cancel_scope.cancel()
