"""Readers whose network is gone from one moment to the next: no FIN, no RST, no answer."""

import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.serving import UNHEARD_GRACE_S
from tests.e2e.told import ask, told_server
from tests.support.chat import cookie_of, data_of, log_of, open_sockets, running_chat, until
from tests.support.front import unfronted
from tests.support.machine import Wire, program, wired
from tests.support.server import Server, text_of

pytestmark = [pytest.mark.services, unfronted("it takes all that a reader does not")]

SETTINGS: Mapping[str, Any] = {
    "host": "0.0.0.0",  # noqa: S104  # the wire's address is not the loopback's
    "send_timeout_s": 1.0,
}
TALKATIVE = "sim:tokens=20000,rate=4000"
"""Fills what the kernel holds for a reader in a second or two."""


@asynccontextmanager
async def reader_on(wire: Wire, server: Server, turn_id: str, output: Path) -> AsyncIterator[None]:
    """Let somebody read a turn over the wire while the block runs; it begins once he does."""
    url = f"http://{wire.here}:{server.port}/api/v1/turns/{turn_id}/events"
    cookie = f"Cookie: {cookie_of(server)}"
    command = [program("curl", "curl"), "--silent", "--no-buffer", "--header", cookie, url]
    with output.open("wb") as file:
        process = await anyio.open_process(
            [*wire.prefix, *command], stdout=file, stderr=subprocess.DEVNULL
        )
    try:
        await until(lambda: b"turn.started" in output.read_bytes())
        yield
    finally:
        process.kill()
        await process.aclose()


async def readers_of(server: Server) -> int:
    """Return how many event streams the server says are open."""
    metrics = (await server.client.get("/metrics")).text
    line = next(each for each in metrics.splitlines() if each.startswith("chat_readers_active "))
    return int(float(line.split()[1]))


async def until_nobody_reads(server: Server) -> None:
    """Wait until the place of the only reader is free."""
    with anyio.fail_after(UNHEARD_GRACE_S + 15):
        while await readers_of(server):  # noqa: ASYNC110  another process
            await anyio.sleep(0.05)


@pytest.mark.fault(8)
@pytest.mark.long
async def test_a_reader_that_vanishes_is_cut_off_and_its_socket_closed(tmp_path: Path) -> None:
    settings = {**SETTINGS, "openai_model": TALKATIVE, "max_response_chars": 1_000_000}
    with wired() as wire:
        async with running_chat(tmp_path, **settings) as chat:
            server = chat.server
            turn_id = (await server.start())["turn_id"]
            before = open_sockets(server)
            async with reader_on(wire, server, turn_id, tmp_path / "read"):
                seen = await readers_of(server)
                wire.drop()
                events = await server.all_events(turn_id)
                await until(lambda: open_sockets(server) <= before, within_s=10)

            assert (seen, await readers_of(server)) == (1, 0)
            assert events[-1].event == "turn.completed"
            assert text_of(events) == data_of(events[-1])["text"]
            assert "Traceback" not in log_of(server)


@pytest.mark.fault(8)
@pytest.mark.long
async def test_a_reader_that_vanishes_while_little_is_said_is_found_out_too(tmp_path: Path) -> None:
    """No buffer fills up: it is what nobody acknowledges that tells."""
    with wired() as wire:
        async with told_server(tmp_path, **SETTINGS, heartbeat_s=0.2) as (server, model):
            turn_id, telling = await ask(server, model)
            before = open_sockets(server)
            async with reader_on(wire, server, turn_id, tmp_path / "read"):
                seen = await readers_of(server)
                wire.drop()
                await until_nobody_reads(server)
                await until(lambda: open_sockets(server) <= before)

            assert seen == 1
            assert (await server.state(turn_id))["status"] == "running"
            await telling.end("Still here.")
            assert text_of(await server.all_events(turn_id)) == "Still here."
            assert "Traceback" not in log_of(server)
