"""A machine that runs out of what a server needs: descriptors, room on its disk, its own time."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic

import anyio
import httpx
import pytest
from httpx_sse import ServerSentEvent

from resilience.loop_watch import BLOCKED_S
from tests.chaos.cluster import free_port
from tests.e2e.conftest import Telling
from tests.e2e.told import WAIT_S, ask, next_event, told_server
from tests.support.chat import data_of, log_of, running_chat, until
from tests.support.machine import cpu_s, fill, limit_descriptors, small_disk
from tests.support.server import ROOT, START_S, Server, client_of

TURNS = "/api/v1/turns"
STEADY = "sim:tokens=9999,rate=50"
CALLERS = 12
WATCH_S = 1.5


@contextmanager
def few_descriptors(server: Server, spare: int) -> Iterator[None]:
    """Let a server open so many files and sockets more than it has."""
    pid = server.process.pid
    taken = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    free = [number for number in range(len(taken) + spare + 1) if number not in taken]
    former = limit_descriptors(pid, allowed=free[spare])
    try:
        yield
    finally:
        limit_descriptors(pid, allowed=former)


@contextmanager
def crowd(server: Server) -> Iterator[list[socket.socket]]:
    """Have callers who ask for something and keep their connections."""
    callers = []
    try:
        for _ in range(CALLERS):
            caller = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            callers.append(caller)
            caller.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield callers
    finally:
        for caller in callers:
            caller.close()


def is_answered(caller: socket.socket) -> bool:
    """Wait for the answer, or for the connection to be closed without one."""
    try:
        return caller.recv(1) != b""
    except ConnectionResetError:
        return False


async def watched(server: Server, events: AsyncIterator[ServerSentEvent]) -> tuple[int, float]:
    """Return how many deltas come in a while, and the share of a processor that this took."""
    began, used = monotonic(), cpu_s(server.process.pid)
    shown = 0
    while monotonic() < began + WATCH_S:
        shown += (await next_event(events)).event == "text.delta"
    return shown, (cpu_s(server.process.pid) - used) / (monotonic() - began)


@pytest.mark.long
@pytest.mark.fault(47)
async def test_without_a_descriptor_left_what_runs_goes_on_and_callers_are_let_in_again(
    tmp_path: Path,
) -> None:
    async with running_chat(tmp_path, openai_model=STEADY, max_response_chars=50_000) as chat:
        server = chat.server
        started = await server.start()
        async with aclosing(server.events(started["turn_id"])) as events:
            while (await next_event(events)).event != "text.delta":  # the model is connected
                pass
            with few_descriptors(server, spare=4), crowd(server) as callers:
                answered = [is_answered(caller) for caller in callers]
                shown, share = await watched(server, events)

        assert 0 < answered.count(True) < CALLERS
        assert shown > 20
        assert share < 0.4
        async with server.guest() as guest:
            assert (await guest.get("/health/live")).status_code == 200
        assert (await server.state(started["turn_id"]))["status"] == "running"
        log = log_of(server)
        assert "Traceback" not in log
        assert "flags.killed_here" not in log


HOLD_S = BLOCKED_S + 0.6
HOLDING_UP = f"""
import signal, threading

def hold_everything_up(*_):
    threading.Event().wait({HOLD_S})

signal.signal(signal.SIGUSR1, hold_everything_up)
"""
"""Run as Python starts: the signal's handler runs in the thread of the event loop, and stays."""


@asynccontextmanager
async def told_one_word(
    folder: Path, **settings: object
) -> AsyncIterator[tuple[Server, Telling, AsyncIterator[ServerSentEvent]]]:
    """Run a server in mid-answer, with a reader who has read its first word."""
    async with told_server(folder, **settings) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("One, ")
            assert data_of(await next_event(events)) == {"text": "One, "}
            yield server, telling, events


async def ended(telling: Telling, events: AsyncIterator[ServerSentEvent]) -> list[ServerSentEvent]:
    """Tell the rest, and return what its reader gets of it."""
    await telling.end("two.")
    with anyio.fail_after(WAIT_S):
        return [event async for event in events]


@pytest.mark.long
@pytest.mark.fault(48)
async def test_what_blocks_the_event_loop_is_logged_once_and_streams_go_on(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HOLDING_UP, encoding="ascii")
    async with told_one_word(tmp_path, pythonpath=tmp_path) as (server, telling, events):
        server.signal(signal.SIGUSR1)
        await until(lambda: "event_loop.blocked" in log_of(server))
        rest = await ended(telling, events)
        served = await server.client.get("/health/live")

        log = log_of(server)
        assert log.count("event_loop.blocked") == 1
        assert "in hold_everything_up" in log
        assert [event.event for event in rest] == ["text.delta", "text.done", "turn.completed"]
        assert data_of(rest[-1])["text"] == "One, two."
        assert served.status_code == 200


@pytest.mark.fault(48)
@pytest.mark.long
async def test_a_process_that_was_stopped_is_not_taken_for_a_blocked_one(tmp_path: Path) -> None:
    async with told_one_word(tmp_path) as (server, telling, events):
        for _ in range(2):
            server.signal(signal.SIGSTOP)
            await anyio.sleep(2 * BLOCKED_S)
            server.signal(signal.SIGCONT)
            assert (await server.client.get("/health/live")).status_code == 200
        rest = await ended(telling, events)

        assert data_of(rest[-1])["text"] == "One, two."
        assert "event_loop.blocked" not in log_of(server)


DISK_BYTES = 8_000_000


@pytest.mark.long
@pytest.mark.fault(44)
async def test_a_full_disk_refuses_turns_and_stores_the_running_one_once_there_is_room(
    tmp_path: Path,
) -> None:
    """The log is on the same disk."""
    with small_disk(tmp_path / "disk", size_bytes=DISK_BYTES) as disk:
        async with told_one_word(disk, max_response_chars=50_000) as (server, telling, events):
            filler = fill(disk)
            await telling.say("going " * 2000)
            answer = await server.client.post(TURNS, json={"message": "One more"})
            rest = await ended(telling, events)
            turn_id = rest[-1].id.partition(".")[0]
            unstored = await server.state(turn_id)
            filler.unlink()
            await until(lambda: "turn.stored_late" in log_of(server), within_s=10)
            stored = await server.state(turn_id)
            after = await server.client.post(TURNS, json={"message": "After"})

            assert (answer.status_code, answer.json()["code"]) == (503, "history_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert rest[-1].event == "turn.completed"
            assert data_of(rest[-1])["stored"] is False
            assert unstored["stored"] is False
            assert (stored["stored"], stored["text"]) == (True, data_of(rest[-1])["text"])
            assert stored["text"] == "One, " + "going " * 2000 + "two."
            assert after.status_code == 201
            assert server.process.returncode is None
            assert "Traceback" not in log_of(server)


LOG_LOST = 120
"""Python's status for an end that is good but for its last lines, which could not be written."""


@pytest.mark.fault(44)
async def test_a_server_whose_log_takes_nothing_serves_and_stops_well(tmp_path: Path) -> None:
    settings = {"OFFLINE_TOKENS_PER_S": "0", "TTS_ENGINE": "off", "DATA_DIR": str(tmp_path)}
    port = free_port()
    full = os.open("/dev/full", os.O_WRONLY)
    process = await anyio.open_process(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env={"PATH": os.defpath, "PORT": str(port), **settings},
        stdout=full,
        stderr=full,
    )
    os.close(full)
    try:
        async with client_of(port) as client:
            server = Server(port, tmp_path, process, client)
            await until_served(server)
            state = await server.run_turn("Is anybody there?")
            server.signal(signal.SIGTERM)

            assert (state["status"], state["stored"]) == ("completed", True)
            assert await server.exit_code() == LOG_LOST
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def until_served(server: Server) -> None:
    """Wait until a server listens that cannot say so."""
    with anyio.fail_after(START_S):
        while True:
            try:
                await server.client.get("/health/live")
            except httpx.ConnectError:
                await anyio.sleep(0.05)
            else:
                return
