"""Requests that never come to an end, and heads without one: closed by the server itself."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.chat import log_of, open_sockets
from tests.support.raw_http import RawReader, exchange, request_bytes
from tests.support.server import JSON, Server, running_server

POST = b"POST /api/v1/turns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that waits for a request no longer than a third of a second."""
    running = running_server(
        tmp_path_factory.mktemp("server"), request_timeout_s=0.3, offline_tokens_per_s=20
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running) as server:
        yield server
        assert "Traceback" not in log_of(server)


async def drip(port: int, start: bytes, drop: bytes) -> bytes:
    """Send a beginning, then a drop now and then, until the server closes; return its answer."""
    received = bytearray()
    with anyio.fail_after(10):
        stream = await anyio.connect_tcp("127.0.0.1", port)
        async with stream, anyio.create_task_group() as tasks:
            tasks.start_soon(_keep_dripping, stream, start, drop)
            await _take(stream, received)
            tasks.cancel_scope.cancel()
    return bytes(received)


async def _take(stream: anyio.abc.SocketStream, received: bytearray) -> None:
    with suppress(anyio.BrokenResourceError):
        async for data in stream:
            received += data


async def _keep_dripping(stream: anyio.abc.SocketStream, start: bytes, drop: bytes) -> None:
    try:
        await stream.send(start)
        while drop:
            await anyio.sleep(0.05)
            await stream.send(drop)
    except anyio.BrokenResourceError:
        return


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"X-A: b\r\n", id="head"),
        pytest.param(b"GET /", b"x", id="request line"),
        pytest.param(POST + b"Content-Length: 9999\r\n\r\n{", b" ", id="body"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", id="chunks"),
        pytest.param(POST + b"Content-Length: 9999\r\n\r\n{", b"", id="nothing more of the body"),
    ],
)
async def test_a_request_that_comes_too_slowly_is_told_so_and_closed(
    server: Server, start: bytes, drop: bytes
) -> None:
    answer = RawReader()

    answer.feed(await drip(server.port, start, drop))

    assert answer.answer.status == 408
    assert json.loads(answer.answer.body)["code"] == "request_timeout"
    assert answer.answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("start", "drop"), [(b"", b""), (b"\r\n", b"\r\n")])
@pytest.mark.long
async def test_a_connection_on_which_no_request_begins_is_closed_without_a_word(
    server: Server, start: bytes, drop: bytes
) -> None:
    assert await drip(server.port, start, drop) == b""


async def test_line_ends_after_an_answer_do_not_keep_its_connection(server: Server) -> None:
    answered = await drip(
        server.port, b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"\r\n"
    )

    assert answered.startswith(b"HTTP/1.1 200 ")


@pytest.mark.long
async def test_nothing_is_written_into_an_answer_that_has_begun(server: Server) -> None:
    first = request_bytes(
        "POST",
        "/api/v1/turns",
        port=server.port,
        headers={**JSON, "Accept": "text/event-stream", "Connection": "keep-alive"},
        body=json.dumps({"message": "Hello"}).encode(),
    )

    answered = await drip(server.port, first + b"GET / HT", b"")

    assert b"event: turn.started" in answered
    assert b"event: turn.completed" not in answered  # the answer takes longer than that
    assert answered.count(b"HTTP/1.1 ") == 1


async def test_a_head_without_end_is_refused_before_it_is_kept(server: Server) -> None:
    answer = await exchange(
        server.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-A: b\r\n" * 500_000
    )

    assert answer.status == 431
    assert json.loads(answer.body)["code"] == "headers_too_large"


@pytest.mark.long
async def test_trailers_are_not_taken_for_header_fields(server: Server) -> None:
    request = POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n"

    answer = await exchange(
        server.port, request + b"Origin: https://evil.example\r\n" * 3 + b"\r\n"
    )

    assert answer.status == 422


@pytest.mark.long
async def test_hundreds_of_slow_callers_hold_no_sockets(tmp_path: Path) -> None:
    async with running_server(tmp_path, request_timeout_s=2) as server:
        before = open_sockets(server)
        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(drip, server.port, b"GET / HTTP/1.1\r\n", b"X-A: b\r\n")
        with anyio.fail_after(5):
            while open_sockets(server) > before:  # noqa: ASYNC110  # it happens in another process
                await anyio.sleep(0.05)
