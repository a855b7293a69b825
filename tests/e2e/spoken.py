"""A server that speaks, a simulated Google behind it, and a model that says what it is asked to."""

import base64
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute
from anyio.from_thread import BlockingPortal, start_blocking_portal
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.e2e.conftest import Telling, ToldModel
from tests.support.chat import data_of, log_of
from tests.support.server import Server, running_server
from tests.support.tts_simulator import running_tts_simulator

WAIT_S = 10.0
PLAIN_CHARACTERS_PER_S = 15.0
UNFINISHED = "…"
"""The model never ends an answer that ends so."""

BROKEN = "‼"
"""The model hangs up behind an answer that ends so."""

Stats = dict[str, Any]
Event = ServerSentEvent

_PIECE = re.compile(r"\S+\s*|\s+")
_NO_ESPEAK = 'import sys\n\nsys.modules["espeakng_loader"] = None\n'


@dataclass(frozen=True)
class Spoken:
    """A server and what its simulated engine saw; its client is one guest."""

    server: Server
    stats: Callable[[], Awaitable[Stats]]
    reset: Callable[[], Awaitable[None]]
    endpoint: str

    async def ask(self, text: str, **body: object) -> str:
        """Start a turn whose answer is `text`, and return its id."""
        started = await self.server.start(text, **{"speech": True, **body})
        return str(started["turn_id"])

    async def answer(self, text: str, **body: object) -> list[Event]:
        """Have `text` spoken and return all events."""
        return await self.server.all_events(await self.ask(text, **body))

    async def play(self, turn_id: str, *, played_s: float, buffered_s: float) -> None:
        """Report how far the audio has been played."""
        body = {"played_s": played_s, "buffered_s": buffered_s}
        answer = await self.server.client.post(f"/api/v1/turns/{turn_id}/playback", json=body)
        assert answer.status_code == 204, answer.text

    async def cancel(self, turn_id: str) -> dict[str, Any]:
        """Stop a turn and return its state."""
        answer = await self.server.client.post(f"/api/v1/turns/{turn_id}/cancel", json={})
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    async def until(self, claim: Callable[[Stats], bool]) -> Stats:
        """Return the first statistics of the engine of which the claim is true."""
        with anyio.fail_after(WAIT_S):
            while not claim(view := await self.stats()):  # noqa: ASYNC110  another process
                await anyio.sleep(0.01)
        return view

    async def events_by(self, path: str) -> list[Event]:
        """Return the events that an address answers with, to the end."""
        with anyio.fail_after(30):
            async with aconnect_sse(self.server.client, "GET", path) as source:
                return [event async for event in source.aiter_sse()]


@asynccontextmanager
async def spoken_server(
    folder: Path, *, tts: dict[str, float] | None = None, espeak: bool = False, **settings: object
) -> AsyncGenerator[Spoken, None]:
    """Run a server, its engine and an echoing model until the block ends.

    Args:
        folder: Where the server's data and log go.
        tts: Options of the engine; it answers at once without any.
        espeak: Whether eSpeak NG may stand in.
        settings: Of the server.
    """
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(running_tts_simulator(**(tts or {})))
        upstream = await stack.enter_async_context(echoing_model())
        hidden = {} if espeak else without_espeak(folder)
        defaults = {
            "tts_engine": "google",
            "google_tts_endpoint": engine.endpoint,
            "openai_base_url": upstream,
            "openai_max_retries": 0,
            **hidden,
        }
        running = running_server(folder, **{**defaults, **settings})
        server = await stack.enter_async_context(running)
        spoken = Spoken(server, engine.stats, engine.reset, engine.endpoint)
        if not {"tts_engine", "google_tts_endpoint"} & settings.keys():
            await spoken.until(
                lambda stats: stats["voices"] == stats["completed"] == 1
            )  # warmed up
            await spoken.reset()
        yield spoken


def spoken_fixtures(**settings: object) -> tuple[object, object]:
    """Make two fixtures for a module to keep as `shared_speech` and `speech`.

    The first runs everything for all its tests, the second joins as a new guest.
    """

    @pytest.fixture(scope="module")
    def shared_speech(
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[tuple[Spoken, BlockingPortal]]:
        running = spoken_server(tmp_path_factory.mktemp("spoken"), **settings)  # type: ignore[arg-type]  # of the server
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(running) as spoken,
        ):
            yield spoken, portal
            assert "Traceback" not in log_of(spoken.server)

    @pytest.fixture
    async def speech(shared_speech: tuple[Spoken, BlockingPortal]) -> AsyncIterator[Spoken]:
        spoken, portal = shared_speech

        # One event loop talks gRPC: two of them in a process get in each other's way.
        async def stats() -> Stats:
            return await anyio.to_thread.run_sync(portal.call, spoken.stats)

        async def reset() -> None:
            await anyio.to_thread.run_sync(portal.call, spoken.reset)

        async with spoken.server.guest() as guest:
            old = spoken.server
            server = Server(old.port, old.data_dir, old.process, guest)
            await reset()
            yield Spoken(server, stats, reset, spoken.endpoint)

    return shared_speech, speech


@asynccontextmanager
async def echoing_model() -> AsyncGenerator[str, None]:
    """Run a model that answers with what it is asked, word by word; yield its base URL."""
    model = ToldModel()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra_attributes[SocketAttribute.local_port]()

    async def echo() -> None:
        while True:
            with anyio.move_on_after(WAIT_S / 2):  # asked() itself waits no longer than twice that
                tasks.start_soon(_echo, await model.asked())

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, model.serve)
        tasks.start_soon(echo)
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            tasks.cancel_scope.cancel()
            model.close()


async def _echo(telling: Telling) -> None:
    try:
        for piece in _PIECE.findall(telling.prompt):
            await telling.say(piece)
        if telling.prompt.endswith(UNFINISHED):
            await _until_closed(telling)
        elif telling.prompt.endswith(BROKEN):
            await telling.break_off()
        else:
            await telling.end()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # the server hung up: the turn was stopped
    finally:
        telling.told.set()


async def _until_closed(telling: Telling) -> None:
    for _ in range(6):  # each waits 5 s
        with suppress(TimeoutError):
            await telling.until_closed()
            return


def without_espeak(folder: Path) -> dict[str, str]:
    """Return the settings of a server that finds no eSpeak NG, as where it is not installed."""
    place = folder / "no-espeak"
    place.mkdir(parents=True, exist_ok=True)
    (place / "sitecustomize.py").write_text(_NO_ESPEAK, encoding="ascii")
    return {"pythonpath": str(place)}


def units_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return what came of each unit of speech, in order; every unit has its place once."""
    units = [data_of(event) for event in events if event.event.startswith("speech.")]
    assert [unit["index"] for unit in units] == list(range(len(units)))
    return units


def outcomes_of(events: Sequence[Event]) -> list[str]:
    """Return `spoken` or the code of its failure, for each unit."""
    return [unit.get("code", "spoken") for unit in units_of(events)]


def sentences_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the sentences, in order."""
    told = [data_of(event) for event in events if event.event == "sentence.completed"]
    assert [sentence["index"] for sentence in told] == list(range(len(told)))
    return told


def audio_in(unit: dict[str, Any]) -> bytes:
    """Return the audio that came with a unit."""
    return base64.b64decode(unit["data"], validate=True)


def names_of(events: Sequence[Event]) -> list[str]:
    """Return the events' names."""
    return [event.event for event in events]
