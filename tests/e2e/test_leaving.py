"""A server that leaves while it is called: who was let in is answered, nobody is reset.

Callers here speak to the server itself: nothing in front of it asks again for them.
"""

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from server.serving import IDLE_GRACE_S
from tests.e2e.told import ask, told_server
from tests.support.front import unfronted
from tests.support.raw_http import RawAnswer, RawReader, exchange, request_bytes
from tests.support.server import JSON, Server, running_server

pytestmark = pytest.mark.long

TURNS = "/api/v1/turns"
CALLERS = 16
WAIT_S = 10.0
TO_KEEP = {"Connection": "keep-alive"}


async def call_until_refused(server: Server, seen: Counter[str]) -> None:
    """Ask on one connection after another; note how each was answered."""
    body = b'{"message":"Hello"}'
    request = request_bytes("POST", TURNS, port=server.port, headers=JSON, body=body)
    while True:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", server.port)
        except OSError:
            seen["refused"] += 1
            return
        async with stream:
            seen[await status_on(stream, request)] += 1


async def status_on(stream: SocketStream, request: bytes) -> str:
    """Send a request on an open connection; return how it was answered."""
    try:
        return str((await answer_on(stream, request)).status)
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        return type(error).__name__


async def answer_on(stream: SocketStream, request: bytes) -> RawAnswer:
    """Send a request on an open connection; return the answer to it."""
    reader = RawReader()
    await stream.send(request)
    await until(stream, reader, lambda: reader.answer.is_complete)
    return reader.answer


async def until(stream: SocketStream, reader: RawReader, claim: Callable[[], bool]) -> None:
    """Take what comes in until something is so."""
    with anyio.fail_after(WAIT_S):
        while not claim():
            reader.feed(await stream.receive())


async def until_refused(server: Server) -> None:
    """Wait until the server does not listen any more."""
    request = request_bytes("GET", "/health/live", port=server.port, headers={})
    with anyio.fail_after(WAIT_S), suppress(OSError):
        while True:
            await exchange(server.port, request)


async def test_whoever_comes_in_the_last_moments_is_answered_or_refused(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    async with running_server(tmp_path) as server:
        async with anyio.create_task_group() as tasks:
            for _ in range(CALLERS):
                tasks.start_soon(call_until_refused, server, seen)
            await anyio.sleep(0.5)
            server.signal(signal.SIGTERM)
        code = await server.exit_code()

    assert code == 0
    assert seen["refused"] == CALLERS
    assert set(seen) <= {"refused", "201", "503"}, seen


async def test_a_connection_of_a_proxy_is_answered_until_the_proxy_closes_it(
    tmp_path: Path,
) -> None:
    async with running_server(tmp_path, trusted_proxies="127.0.0.1") as server:
        request = request_bytes("GET", "/health/live", port=server.port, headers=TO_KEEP)
        async with await anyio.connect_tcp("127.0.0.1", server.port) as kept:
            before = await answer_on(kept, request)
            server.signal(signal.SIGTERM)
            await until_refused(server)
            last = await answer_on(kept, request)
            with pytest.raises(anyio.EndOfStream):
                await kept.receive()
        code = await server.exit_code()

    assert (before.status, before.headers.get("connection")) == (200, None)
    assert (last.status, last.headers.get("connection")) == (200, "close")
    assert code == 0


@unfronted("is the proxy itself")
async def test_where_an_event_stream_has_ended_a_proxy_may_ask_again(tmp_path: Path) -> None:
    settings = {"trusted_proxies": "127.0.0.1", "drain_timeout_s": 0.1}
    async with told_server(tmp_path, **settings) as (server, model):
        turn_id, _ = await ask(server, model)
        cookie = "; ".join(f"{name}={value}" for name, value in server.client.cookies.items())
        headers = {**TO_KEEP, "Cookie": cookie}
        path = f"{TURNS}/{turn_id}"
        events = request_bytes("GET", f"{path}/events", port=server.port, headers=headers)
        state = request_bytes("GET", path, port=server.port, headers=headers)
        async with await anyio.connect_tcp("127.0.0.1", server.port) as kept:
            reader = RawReader()
            await kept.send(events)
            await until(kept, reader, lambda: reader.answer.status > 0)
            server.signal(signal.SIGTERM)
            await until(kept, reader, lambda: reader.answer.is_complete)
            after = await answer_on(kept, state)
        code = await server.exit_code()

    assert b"event: turn.interrupted" in reader.answer.body
    assert reader.answer.headers.get("connection") is None
    assert (after.status, after.headers.get("connection")) == (200, "close")
    assert code == 0


async def test_a_proxy_that_closes_nothing_is_not_waited_for_long(tmp_path: Path) -> None:
    async with running_server(tmp_path, trusted_proxies="127.0.0.1") as server:
        request = request_bytes("GET", "/health/live", port=server.port, headers=TO_KEEP)
        async with await anyio.connect_tcp("127.0.0.1", server.port) as kept:
            await answer_on(kept, request)
            server.signal(signal.SIGTERM)
            with anyio.fail_after(IDLE_GRACE_S + 2), pytest.raises(anyio.EndOfStream):
                await kept.receive()
        assert await server.exit_code() == 0
