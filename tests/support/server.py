"""The real server as a child process, on its own data directory and a free port."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.support import front

ROOT = Path(__file__).parents[2]
START_S = 20.0
STOP_S = 15.0
_STARTED = re.compile(r"server\.started .*url=http://localhost:(\d+)\s")
JSON = {"Content-Type": "application/json"}


@dataclass
class Server:
    """A running server, and a client whose cookie jar makes it one guest."""

    port: int
    data_dir: Path
    process: anyio.abc.Process
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        """Where callers reach it."""
        return front.url_of(self.port)

    @property
    def front_port(self) -> int:
        """The port on which callers reach it."""
        return front.port_of(self.port)

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        """Wait for the process to end."""
        with anyio.fail_after(STOP_S):
            return await self.process.wait()

    def guest(self) -> httpx.AsyncClient:
        """Return another caller: a client without cookies; whoever takes it closes it."""
        return client_of(self.port)

    async def start(self, message: str = "Hello", **body: object) -> dict[str, Any]:
        """Start a turn and return where its events are."""
        answer = await self.client.post("/api/v1/turns", json={"message": message, **body})
        assert answer.status_code == 201, answer.text
        started: dict[str, Any] = answer.json()
        return started

    async def state(self, turn_id: str) -> dict[str, Any]:
        """Return a turn's state."""
        answer = await self.client.get(f"/api/v1/turns/{turn_id}")
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    async def events(
        self, turn_id: str, last_event_id: str | None = None, *, heartbeats: bool = False
    ) -> AsyncGenerator[ServerSentEvent, None]:
        """Read a turn's events as an independent client does, to the end of the answer."""
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        path = f"/api/v1/turns/{turn_id}/events"
        async with aconnect_sse(self.client, "GET", path, headers=headers) as source:
            async for event in source.aiter_sse():
                if heartbeats or event.event != "heartbeat":
                    yield event  # noqa: ASYNC119  # callers read to the end, or in aclosing

    async def all_events(
        self, turn_id: str, last_event_id: str | None = None
    ) -> list[ServerSentEvent]:
        """Return a turn's events after a cursor, to the end of the answer."""
        with anyio.fail_after(30):
            return [event async for event in self.events(turn_id, last_event_id)]

    async def run_turn(self, message: str = "Hello", **body: object) -> dict[str, Any]:
        """Start a turn, wait for its end, and return its state."""
        started = await self.start(message, **body)
        await self.all_events(started["turn_id"])
        return await self.state(started["turn_id"])


def client_of(port: int) -> httpx.AsyncClient:
    """Return a client of a server of ours, through what is in front of it."""
    return httpx.AsyncClient(base_url=front.url_of(port), timeout=15, verify=front.trust())


def text_of(events: list[ServerSentEvent]) -> str:
    """Return what a reader of these events shows before the terminal event: resets and deltas."""
    text = ""
    for event in events:
        if event.event == "turn.reset":
            text = json.loads(event.data)["text"]
        elif event.event == "text.delta":
            text += json.loads(event.data)["text"]
    return text


@asynccontextmanager
async def running_server(
    data_dir: Path, *, is_fronted: bool = True, **settings: object
) -> AsyncGenerator[Server, None]:
    """Run a server with these settings (names in lower case) until the block ends.

    Where `is_fronted`, what the tests want is in front of it. The offline model does not wait
    between tokens, no speech engine is started, and nobody's calls are counted, unless told to.
    """
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - handed on to the child, not a setting
        "HOME": str(data_dir),
        "PORT": "0",
        "DATA_DIR": str(data_dir),
        "OFFLINE_TOKENS_PER_S": "0",
        "TTS_ENGINE": "off",
        "RATE_LIMIT_ENABLED": "false",
        "PYTHONWARNINGS": "error",
        **front.SETTINGS,
        **{name.upper(): str(value) for name, value in settings.items()},
    }
    log_path = data_dir / "server.log"
    data_dir.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        log.write(b"\n")
        offset = log.tell()
        process = await anyio.open_process(
            [sys.executable, "-m", "server"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        port = await _port(process, log_path, offset)
        before = front.front_of(port, data_dir / "front") if is_fronted else nullcontext()
        async with before, client_of(port) as client:
            yield Server(port, data_dir, process, client)
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


async def _port(process: anyio.abc.Process, log_path: Path, offset: int) -> int:
    """Return the port that the server says it has taken."""
    with anyio.fail_after(START_S):
        while True:
            text = log_path.read_bytes()[offset:].decode(errors="replace")
            if (told := _STARTED.search(text)) is not None:
                return int(told.group(1))
            if process.returncode is not None:
                raise AssertionError(f"the server did not start:\n{text}")
            await anyio.sleep(0.02)
