"""What comes on a connection, byte by byte: the two ends are in the same test."""

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from streaming.llm.wire.exchange import (
    MAX_HEAD_BYTES,
    MAX_UNREAD_BYTES,
    Exchange,
    UnansweredError,
)
from streaming.llm.wire.idle import Quiet

ASKED = b"POST / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
BY_LENGTH = OK + b"content-length: 11\r\n\r\nHello world"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
IN_CHUNKS = CHUNKED + b"5\r\nHello\r\n6;why=so\r\n world\r\n0\r\nX-Sum: 7\r\n\r\n"
UNTIL_CLOSED = OK + b"connection: close\r\n\r\nHello world"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


@asynccontextmanager
async def an_exchange() -> AsyncGenerator[tuple[Exchange, socket.socket], None]:
    """Yield an exchange, and the other end of its connection, which the test writes to."""
    near, far = socket.socketpair()
    far.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(Quiet, sock=near)
    exchange = Exchange(transport)
    try:
        with far, anyio.fail_after(10):
            yield exchange, far
    finally:
        exchange.close()
        transport.abort()
        await turns()


async def turns() -> None:
    """Let the loop read what was written, and call back what it has to."""
    for _ in range(4):
        await asyncio.sleep(0)


async def told(exchange: Exchange, far: socket.socket, *parts: bytes, ends: bool = True) -> bytes:
    """Return the body of an answer that comes in such parts, each in a read of its own."""

    async def tell() -> None:
        for part in parts:
            far.send(part)
            await turns()
        if ends:
            far.shutdown(socket.SHUT_WR)

    body, error = b"", None
    async with anyio.create_task_group() as group:
        group.start_soon(tell)
        try:
            await exchange.ask(ASKED)
            body = await rest(exchange)
        except httpx2.TransportError as exc:
            error = exc
            group.cancel_scope.cancel()
    if error is not None:
        raise error
    return body


async def rest(exchange: Exchange) -> bytes:
    """Read to the end."""
    body = b""
    while piece := await exchange.read():
        body += piece
    return body


async def failure(*parts: bytes, ends: bool = True) -> Exception:
    """Return how an answer of such parts fails."""
    async with an_exchange() as (exchange, far):
        with pytest.raises(httpx2.TransportError) as raised:
            await told(exchange, far, *parts, ends=ends)

        assert exchange.close() is None
        return raised.value
    raise AssertionError


@pytest.mark.parametrize("answer", [BY_LENGTH, IN_CHUNKS, UNTIL_CLOSED, INTERIM + BY_LENGTH])
async def test_an_answer_is_the_same_wherever_it_is_cut(answer: bytes) -> None:
    for cut in range(1, len(answer)):
        async with an_exchange() as (exchange, far):
            body = await told(exchange, far, answer[:cut], answer[cut:])

            assert (exchange.status, body) == (200, b"Hello world")


@pytest.mark.parametrize("answer", [BY_LENGTH, IN_CHUNKS, UNTIL_CLOSED, INTERIM + BY_LENGTH])
async def test_an_answer_may_come_byte_by_byte(answer: bytes) -> None:
    async with an_exchange() as (exchange, far):
        body = await told(exchange, far, *(answer[at : at + 1] for at in range(len(answer))))

        assert (exchange.status, body) == (200, b"Hello world")


async def test_the_head_is_told_as_it_came_without_that_of_interim_answers() -> None:
    async with an_exchange() as (exchange, far):
        await told(
            exchange, far, INTERIM + IN_CHUNKS.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\n\r\n", 1)
        )

        assert exchange.headers == [(b"transfer-encoding", b"chunked"), (b"X-A", b"1")]


@pytest.mark.parametrize(
    "answer",
    [
        BY_LENGTH[:-1],
        IN_CHUNKS[:-2],
        CHUNKED + b"5\r\nHello\r\n",
        CHUNKED + b"ff\r\nHello",
        OK + b"content-length: 5\r\n\r\n",
        OK + b"transfer-encoding: gzip\r\n\r\nHello",
    ],
)
async def test_a_body_that_ends_early_is_an_error_after_what_has_come(answer: bytes) -> None:
    async with an_exchange() as (exchange, far):
        far.send(answer)
        far.shutdown(socket.SHUT_WR)
        await exchange.ask(ASKED)
        await turns()
        come = b"Hello" in answer and await exchange.read()
        for _ in range(2):
            with pytest.raises(httpx2.ReadError):
                await exchange.read()

    assert not come or come in {b"Hello", b"Hello worl", b"Hello world"}


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n", b""),
        (OK + b"content-length: 0\r\n\r\n", b""),
        (CHUNKED + b"0\r\n\r\n", b""),
        (b"HTTP/1.1 200\ncontent-length: 2\n\nhi", b"hi"),
        (CHUNKED + b"2  \r\nhi\r\n0\r\n\r\n", b"hi"),
        (OK + b"connection: Upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
    ],
)
async def test_an_answer_that_ends_by_itself_leaves_its_connection(
    answer: bytes, body: bytes
) -> None:
    async with an_exchange() as (exchange, far):
        assert await told(exchange, far, answer, ends=False) == body

        kept = exchange.close()
        assert kept is not None
        assert not kept.is_closing()
        assert exchange.close() is None  # it is another's by now
        assert not kept.is_closing()
        kept.abort()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        OK + b"content-length: 2\r\n\r\nhi, and more",
        OK + b"content-length: 2\r\n\r\nhi" + OK,
        OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" + BY_LENGTH,
    ],
)
async def test_a_connection_that_cannot_be_used_again_is_cut(answer: bytes) -> None:
    async with an_exchange() as (exchange, far):
        assert await told(exchange, far, answer, ends=False) == b"hi"

        assert exchange.close() is None
        await turns()
        assert far.recv(65_536) == ASKED
        assert far.recv(1) == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nhi",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"x\r\nhi\r\n",
        OK + b"a: b\r\n c\r\n\r\n",
        OK + b"content-length : 2\r\n\r\nhi",
        OK + b"a\x00b: c\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_without_waiting_for_its_end(answer: bytes) -> None:
    assert type(await failure(answer, ends=False)) is httpx2.RemoteProtocolError


@pytest.mark.parametrize(
    "endless",
    [
        [OK + b"x-long: " + b"x" * 20_000, *[b"x" * 20_000] * 3],
        [OK + b"x-long: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n"],
        [OK, *[b"x-many: 1\r\n" * 1_000] * 6],
        [b"HTTP/1.1 200 " + b"O" * 20_000, *[b"K" * 20_000] * 3],
        [*[INTERIM * 500] * 3],
        [CHUNKED + b"5\r\nHello\r\n5;why=", *[b"x" * 20_000] * 4],
        [CHUNKED + b"0\r\nx-sum: ", *[b"x" * 20_000] * 4],
        [CHUNKED + b"0\r\n", *[b"x-sum: 1\r\n" * 2_000] * 4],
    ],
)
async def test_what_goes_on_without_a_body_is_refused(endless: list[bytes]) -> None:
    assert type(await failure(*endless, ends=False)) is httpx2.RemoteProtocolError


async def test_small_pieces_that_come_in_parts_add_up_to_no_bound() -> None:
    pieces = [CHUNKED, *[b"1\r", b"\nx", b"\r\n"] * 200, b"0\r\n\r\n"]
    long = b"1;" + b"x" * 2_000 + b"\r\n"  # of each chunk far less than may come without a body
    async with an_exchange() as (exchange, far):
        parts = [long if part == b"1\r" else part.lstrip(b"\n") for part in pieces]

        assert await told(exchange, far, *parts) == b"x" * 200


async def test_an_end_before_a_byte_of_the_answer_is_told_apart() -> None:
    assert type(await failure()) is UnansweredError
    assert type(await failure(b"H")) is httpx2.ReadError
    assert type(await failure(INTERIM)) is httpx2.ReadError


async def test_a_connection_that_was_lost_before_is_not_waited_for() -> None:
    async with an_exchange() as (exchange, far):
        far.send(b"220 mail.example ESMTP\r\n")  # who speaks first speaks something else
        await turns()

        with pytest.raises(UnansweredError):
            await exchange.ask(ASKED)


async def test_an_answer_that_is_not_read_is_not_taken_from_the_socket() -> None:
    length = 8 * MAX_UNREAD_BYTES
    async with an_exchange() as (exchange, far):
        far.send(OK + b"content-length: %d\r\n\r\n" % length)
        await exchange.ask(ASKED)
        transport = exchange._transport  # nothing else tells that it was paused
        sent = await _send_what_fits(far, b"x" * length, transport)
        unread = exchange._unread_bytes

        assert not transport.is_reading()
        assert MAX_UNREAD_BYTES < unread <= 2 * MAX_UNREAD_BYTES
        assert sent < length

        async with anyio.create_task_group() as group:
            group.start_soon(asyncio.get_running_loop().sock_sendall, far, b"x" * (length - sent))
            assert len(await rest(exchange)) == length
        assert transport.is_reading()
        assert exchange.close() is transport


async def _send_what_fits(far: socket.socket, data: bytes, transport: asyncio.Transport) -> int:
    """Send until nobody reads any more; return how much the kernel took."""
    sent = 0
    while sent < len(data):
        try:
            sent += far.send(data[sent : sent + 65_536])
        except BlockingIOError:
            if not transport.is_reading():
                return sent
        await turns()
    return sent


async def test_an_answer_that_was_left_unread_leaves_a_connection_that_is_read() -> None:
    async with an_exchange() as (exchange, far):
        far.send(OK + b"content-length: %d\r\n\r\n" % (MAX_UNREAD_BYTES + 1))
        await exchange.ask(ASKED)
        sending = asyncio.get_running_loop().sock_sendall
        await sending(far, b"x" * MAX_UNREAD_BYTES)
        while exchange._unread_bytes < MAX_UNREAD_BYTES:  # nothing else tells how much has come
            await turns()
        await sending(far, b"x")  # the end, and one more than may be unread
        await turns()
        transport = exchange._transport
        assert not transport.is_reading()

        assert exchange.close() is transport
        assert transport.is_reading()


async def test_a_wait_that_was_cancelled_can_be_begun_again() -> None:
    async with an_exchange() as (exchange, far):
        far.send(CHUNKED)
        await exchange.ask(ASKED)
        body = b""
        for piece in (b"Hel", b"lo"):
            with anyio.move_on_after(0):
                body += await exchange.read()
            far.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await turns()
        far.send(b"0\r\n\r\n")

        assert body + await rest(exchange) == b"Hello"
        kept = exchange.close()
        assert kept is not None
        kept.abort()


async def test_what_follows_the_end_is_seen_before_the_connection_is_given_back() -> None:
    async with an_exchange() as (exchange, far), anyio.create_task_group() as group:
        group.start_soon(exchange.ask, ASKED)
        await turns()
        far.send(OK)
        await turns()
        exchange.data_received(b"content-length: 2\r\n\r\nhi, and more")  # in one read

        assert exchange.close() is None


async def test_an_exchange_that_is_over_is_freed_without_being_collected() -> None:
    def alive() -> int:
        return sum(type(each) is Exchange for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()
        for answer in (BY_LENGTH, IN_CHUNKS, UNTIL_CLOSED):
            async with an_exchange() as (exchange, far):
                await told(exchange, far, answer, ends=answer is UNTIL_CLOSED)
            del exchange
        assert alive() == before
    finally:
        gc.enable()


async def test_closing_before_the_end_wakes_who_reads_with_an_error() -> None:
    async with an_exchange() as (exchange, far):
        far.send(UNTIL_CLOSED.removesuffix(b"Hello world"))
        await exchange.ask(ASKED)
        waiting = exchange.read()

        assert exchange.close() is None
        with pytest.raises(httpx2.ReadError):
            await waiting


async def test_a_failure_that_nobody_waits_for_is_no_fault_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with an_exchange() as (exchange, far):
        far.send(CHUNKED)
        await exchange.ask(ASKED)
        waiting = exchange.read()
        far.shutdown(socket.SHUT_WR)
        await turns()
        assert waiting.done()
        del waiting

    assert not caplog.records
