"""Readers that do not read, too many readers, and what a long replay costs the others."""

import socket
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.support.chat import Chat, data_of, log_of, open_sockets, running_chat, until
from tests.support.front import cookie
from tests.support.raw_http import request_bytes
from tests.support.server import Server, text_of

LONG = "sim:tokens=40000,rate=8000"
"""Some 150 KB of text in some 5 MB of events: more than sockets hold for a reader who sleeps."""


def _deaf(server: Server, turn_id: str, cookie: str) -> socket.socket:
    """Ask for a turn's events and never read one."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", server.port))
    path = f"/api/v1/turns/{turn_id}/events"
    deaf.sendall(request_bytes("GET", path, port=server.port, headers={"Cookie": cookie}))
    return deaf


def _cookie(chat: Chat) -> str:
    return f"chat_guest={chat.server.client.cookies[cookie('chat_guest')]}"


@pytest.mark.fault(9)
@pytest.mark.long
async def test_a_reader_who_does_not_read_is_cut_off_and_the_other_gets_everything(
    tmp_path: Path,
) -> None:
    settings = {"send_timeout_s": 0.5, "max_response_chars": 1_000_000}
    async with running_chat(tmp_path, models={"long": LONG}, **settings) as chat:
        started = await chat.server.start(chatbot_id="long")
        before = open_sockets(chat.server)
        with _deaf(chat.server, started["turn_id"], _cookie(chat)):
            await until(lambda: open_sockets(chat.server) > before)

            with anyio.fail_after(60):
                events = await chat.server.all_events(started["turn_id"])
            await until(lambda: open_sockets(chat.server) <= before, within_s=10)

        assert events[-1].event == "turn.completed"
        assert text_of(events) == data_of(events[-1])["text"]
        assert len(events) == 40_003
        text = (await chat.messages(started["conversation_id"]))[-1]["text"]
        assert text == text_of(events)
        assert "Traceback" not in log_of(chat.server)
        assert "ASGI callable" not in log_of(chat.server)
        closed = (await chat.server.client.get("/api/metrics/streaming")).json()
        assert closed["metrics"]["readers"]["closed"]["slow"] == 1


@pytest.mark.fault(9)
@pytest.mark.long
async def test_many_who_do_not_read_cost_nobody_else_anything(tmp_path: Path) -> None:
    settings = {"send_timeout_s": 1, "max_response_chars": 1_000_000}
    async with running_chat(tmp_path, models={"long": LONG}, **settings) as chat:
        started = await chat.server.start(chatbot_id="long")
        await chat.server.all_events(started["turn_id"])
        before = open_sockets(chat.server)
        deaf = [_deaf(chat.server, started["turn_id"], _cookie(chat)) for _ in range(30)]
        try:
            await until(lambda: open_sockets(chat.server) >= before + 30)

            state = await chat.server.run_turn("Am I served?")

            assert state["status"] == "completed"
            await until(lambda: open_sockets(chat.server) <= before, within_s=15)
        finally:
            for one in deaf:
                one.close()


@pytest.mark.long
async def test_a_reader_who_reads_slowly_but_reads_is_not_cut_off(tmp_path: Path) -> None:
    model = "sim:tokens=4000,rate=8000"
    settings = {"send_timeout_s": 2, "max_response_chars": 1_000_000}
    async with running_chat(tmp_path, models={"long": model}, **settings) as chat:
        started = await chat.server.start(chatbot_id="long")
        whole = await chat.server.all_events(started["turn_id"])
        with _deaf(chat.server, started["turn_id"], _cookie(chat)) as slow:
            received = await _sip(slow)

    assert received.count(b"event: text.delta") == len(whole) - 3
    assert received.endswith(b"0\r\n\r\n")
    assert f"{started['turn_id']}.1-{len(whole)}".encode() in received


async def test_a_reader_who_is_behind_now_and_then_gets_every_event_once_and_in_order(
    tmp_path: Path,
) -> None:
    model = "sim:tokens=6000,rate=3000"
    settings = {"send_timeout_s": 10, "max_response_chars": 1_000_000}
    async with running_chat(tmp_path, models={"long": model}, **settings) as chat:
        started = await chat.server.start(chatbot_id="long")
        turn_id = started["turn_id"]
        with _deaf(chat.server, turn_id, _cookie(chat)) as slow:
            received = await _sip(slow, pause_s=0.002)
        whole = await chat.server.all_events(turn_id)

    body = b"".join(_chunks(received))
    places = [line[4:] for line in body.decode().splitlines() if line.startswith("id: ")]
    assert places == [f"{turn_id}.1-{number}" for number in range(1, len(whole) + 1)]


async def test_who_asks_again_on_a_connection_that_streams_is_answered_behind_the_stream(
    tmp_path: Path,
) -> None:
    async with running_chat(tmp_path, models={"slow": "sim:tokens=40,rate=100"}) as chat:
        started = await chat.server.start(chatbot_id="slow")
        port, cookie = chat.server.port, {"Cookie": _cookie(chat), "Connection": "keep-alive"}
        path = f"/api/v1/turns/{started['turn_id']}"
        with socket.create_connection(("127.0.0.1", port)) as both:
            both.sendall(request_bytes("GET", f"{path}/events", port=port, headers=cookie))
            both.sendall(request_bytes("GET", path, port=port, headers={"Cookie": _cookie(chat)}))
            received = await _sip(both)

    stream, _, state = received.partition(b"\r\n0\r\n\r\n")
    assert stream.count(b"event: text.delta") == 40
    assert stream.count(b"HTTP/1.1 200") == state.count(b"HTTP/1.1 200") == 1
    assert b'"status":"completed"' in state


def _chunks(answer: bytes) -> Iterator[bytes]:
    """Yield the chunks of a body, each as it was framed."""
    rest = answer.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        yield rest[: int(size, 16)]
        assert rest[int(size, 16) :].startswith(b"\r\n")
        rest = rest[int(size, 16) + 2 :]


async def _sip(slow: socket.socket, *, pause_s: float = 0) -> bytes:
    """Read to the end, a little at a time."""
    slow.setblocking(False)
    received = bytearray()
    with anyio.fail_after(60):
        while True:
            await anyio.wait_readable(slow)
            if not (piece := slow.recv(2048)):
                return bytes(received)
            received += piece
            await anyio.sleep(pause_s)


async def test_one_reader_more_than_may_be_is_asked_to_come_back(tmp_path: Path) -> None:
    models = {"slow": "sim:tokens=4000,rate=40"}
    async with running_chat(tmp_path, models=models, max_readers=2) as chat:
        started = await chat.server.start(chatbot_id="slow")
        path = f"/api/v1/turns/{started['turn_id']}/events"
        client = chat.server.client
        async with client.stream("GET", path) as one, client.stream("GET", path):
            refused = await client.get(path)

            assert refused.status_code == 200
            assert refused.headers["content-type"].startswith("text/event-stream")
            lines = refused.text.splitlines()
            assert lines[0].startswith("retry: ")
            assert 500 <= int(lines[0][7:]) <= 3000
            assert lines[1:3] == ["event: bye", 'data: {"reason":"full"}']
            await chat.cancel(started["turn_id"])
            assert "turn.cancelled" in (await one.aread()).decode()
        await until_let_in(chat, started["turn_id"])


async def until_let_in(chat: Chat, turn_id: str) -> None:
    """Come back until there is room, as a page does."""
    with anyio.fail_after(5):
        while (await chat.server.all_events(turn_id))[-1].event == "bye":  # noqa: ASYNC110
            await anyio.sleep(0.05)


@pytest.mark.long
async def test_readers_who_come_and_go_leave_no_socket_behind(tmp_path: Path) -> None:
    models = {"slow": "sim:tokens=4000,rate=40"}
    async with running_chat(tmp_path, models=models) as chat:
        started = await chat.server.start(chatbot_id="slow")
        before = open_sockets(chat.server)

        for _ in range(5):
            await _crowd(chat, started["turn_id"])

        await until(lambda: open_sockets(chat.server) <= before)
        assert (await chat.server.state(started["turn_id"]))["status"] == "running"
        gauge = (await chat.server.client.get("/api/metrics/streaming")).json()["metrics"]
        assert gauge["streams"]["readers"] == 0
        assert "Traceback" not in log_of(chat.server)


async def _crowd(chat: Chat, turn_id: str) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(_look, chat, turn_id)


async def _look(chat: Chat, turn_id: str) -> None:
    """Read the beginning in a tab of its own, and close the tab."""
    async with chat.server.guest() as tab:
        tab.cookies = chat.server.client.cookies
        async with tab.stream("GET", f"/api/v1/turns/{turn_id}/events") as answer:
            await anext(answer.aiter_bytes())


async def test_who_asks_again_on_a_connection_that_streams_and_leaves_is_missed_at_once(
    tmp_path: Path,
) -> None:
    async with running_chat(tmp_path, models={"slow": "sim:tokens=400,rate=20"}) as chat:
        started = await chat.server.start(chatbot_id="slow")
        port, path = chat.server.port, f"/api/v1/turns/{started['turn_id']}"
        cookie = {"Cookie": _cookie(chat), "Connection": "keep-alive"}
        with socket.create_connection(("127.0.0.1", port)) as both:
            both.sendall(request_bytes("GET", f"{path}/events", port=port, headers=cookie))
            await until_readers(chat, 1)
            both.sendall(request_bytes("GET", path, port=port, headers=cookie))
            await anyio.sleep(0.1)

        await until_readers(chat, 0)
        assert (await chat.server.state(started["turn_id"]))["status"] == "running"


async def test_who_sends_a_long_body_after_its_head_and_leaves_is_missed_at_once(
    tmp_path: Path,
) -> None:
    """Reading pauses on a body that comes while nobody takes it; who leaves would not be seen."""
    body = b'{"chatbot_id":"silent","message":"%b"}' % (rb"\ud83d\ude00" * 7_900)
    settings = {"heartbeat_s": 60}
    async with running_chat(tmp_path, models={"silent": "sim:ttft=60"}, **settings) as chat:
        port = chat.server.port
        headers = {"Accept": "text/event-stream", "Content-Type": "application/json"}
        whole = request_bytes("POST", "/api/v1/turns", port=port, body=body, headers=headers)
        with socket.create_connection(("127.0.0.1", port)) as sender:
            sender.sendall(whole[: -len(body)])
            await anyio.sleep(0.1)
            sender.sendall(body)
            await until_readers(chat, 1)

        await until_readers(chat, 0)


async def until_readers(chat: Chat, count: int) -> None:
    """Wait until so many event streams are open."""
    with anyio.fail_after(5):
        while True:
            metrics = (await chat.server.client.get("/metrics")).text
            if f"\nchat_readers_active {float(count)}\n" in metrics:
                return
            await anyio.sleep(0.02)
