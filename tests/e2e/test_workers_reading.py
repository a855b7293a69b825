"""Readers and requests on other workers than the one that has the turn: what reaches it, and when.

Everything that guests see here is judged by the invariants of `tests.chaos` as well.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from streaming.readership import READ_FOR_S
from tests.chaos.cluster import Worker
from tests.chaos.guests import TURNS, Model, Turn
from tests.chaos.scene import WAIT_S, Scene, played
from tests.support.chat import data_of
from tests.support.tts_simulator import TtsSimulator, running_tts_simulator

pytestmark = [pytest.mark.services, pytest.mark.long]

SHORT = Model("short", "sim:tokens=80,rate=20,ttft=0.1", 80)
ENDLESS = Model("endless", "sim:tokens=2000,rate=20,ttft=0.1", 2000)
BRIEF = Model("brief", "sim:tokens=40,rate=200,ttft=0", 40)
ABANDON_AFTER_S = 1.0
TOLD_WITHIN_S = 1.0
"""A request on one worker is felt on another within this time."""

NEVER = {"voice": "en-US-Fault-never"}
"""A voice whose calls stay open: speech that does not end by itself."""


async def test_a_turn_is_abandoned_only_where_no_worker_has_a_reader(tmp_path: Path) -> None:
    async with played(tmp_path, SHORT, ENDLESS, abandon_after_s=ABANDON_AFTER_S) as (scene, judged):
        unread = await scene.start(ENDLESS, scene.a)
        read = await scene.start(SHORT, scene.a)
        with anyio.fail_after(WAIT_S):
            await scene.guest.follow(read, worker=scene.b)  # takes four times as long
            await _until_ended(scene, unread)
            await scene.guest.follow(unread, worker=scene.b)

        judgement = judged()
        assert judgement.stored(read).name == "completed"
        assert judgement.stored(unread).name == "cancelled"
        assert await _by(scene, unread) == "abandoned"


async def test_a_turn_is_abandoned_after_the_worker_of_its_last_reader_was_killed(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, ENDLESS, abandon_after_s=ABANDON_AFTER_S) as (scene, judged):
        turn = await scene.start(ENDLESS, scene.a)
        async with _reading(scene, turn, scene.b) as seen:
            await scene.until(lambda: len(seen) > 20 * 3 * ABANDON_AFTER_S)
            scene.b.signal(signal.SIGKILL)
            killed_at = monotonic()
            scene.fault("kill", scene.b)
            await _until_ended(scene, turn)
            took_s = monotonic() - killed_at

        assert took_s <= READ_FOR_S + 3 * ABANDON_AFTER_S
        assert judged().stored(turn).epoch == 1
        assert await _by(scene, turn) == "abandoned"


async def test_a_turn_that_is_read_on_another_worker_only_is_spoken_and_cut_by_the_next_one(
    tmp_path: Path,
) -> None:
    async with _spoken(tmp_path) as (scene, engine):
        turn = await _speak(scene, scene.a)
        async with _reading(scene, turn, scene.b) as seen:
            await scene.until(lambda: _has(seen, "text.done"))
            await engine.wait_for(lambda stats: stats["in_flight"] > 0)
            body = {"message": "Go on.", "chatbot_id": BRIEF.chatbot_id}
            body["conversation_id"] = turn.conversation_id
            began = monotonic()
            answer = await scene.guest.http.post(f"{scene.b.url}{TURNS}", json=body)
            await scene.until(lambda: _has(seen, "turn.completed"))
            took_s = monotonic() - began

        assert answer.status_code == 201
        assert took_s <= TOLD_WITHIN_S
        assert not _has(seen, "speech.failed")
        await engine.wait_for(lambda stats: stats["in_flight"] == 0)
        state = await scene.guest.http.get(f"{scene.b.url}{TURNS}/{turn.turn_id}")
        assert state.json()["status"] == "completed"


async def test_an_answer_that_is_asked_again_elsewhere_cuts_the_speech_of_the_first_one(
    tmp_path: Path,
) -> None:
    async with _spoken(tmp_path) as (scene, engine):
        turn = await _speak(scene, scene.a)
        async with _reading(scene, turn, scene.b) as seen:
            await scene.until(lambda: _has(seen, "text.done"))
            await engine.wait_for(lambda stats: stats["in_flight"] > 0)
            body = {"retry_of": turn.turn_id, "chatbot_id": BRIEF.chatbot_id}
            answer = await scene.guest.http.post(f"{scene.b.url}{TURNS}", json=body)
            with anyio.fail_after(5 * TOLD_WITHIN_S):
                await scene.until(lambda: _has(seen, "turn.completed"))

        assert answer.status_code == 201


async def test_a_conversation_that_is_deleted_elsewhere_falls_silent(tmp_path: Path) -> None:
    async with _spoken(tmp_path) as (scene, engine):
        turn = await _speak(scene, scene.a)
        async with _reading(scene, turn, scene.b) as seen:
            await scene.until(lambda: _has(seen, "text.done"))
            await engine.wait_for(lambda stats: stats["in_flight"] > 0)
            await _delete(scene, turn, scene.b)
            with anyio.fail_after(5 * TOLD_WITHIN_S):
                await scene.until(lambda: _has(seen, "turn.completed"))

        await engine.wait_for(lambda stats: stats["in_flight"] == 0)


async def test_a_conversation_that_is_deleted_elsewhere_is_written_no_more(tmp_path: Path) -> None:
    async with played(tmp_path, ENDLESS) as (scene, _):
        turn = await scene.start(ENDLESS, scene.a)
        async with _reading(scene, turn, scene.a) as seen:
            await scene.until(lambda: len(seen) > 10)
            await _delete(scene, turn, scene.b)
            with anyio.fail_after(5 * TOLD_WITHIN_S):
                await scene.until(lambda: _has(seen, "turn.cancelled"))

        stats = await scene.cluster.simulator.stats()
        assert data_of(seen[-1])["by"] == "user"
        assert stats["requests"] == 1


@asynccontextmanager
async def _spoken(folder: Path) -> AsyncIterator[tuple[Scene, TtsSimulator]]:
    """Run two workers that speak through one engine."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(running_tts_simulator())
        playing = played(folder, BRIEF, tts_engine="google", google_tts_endpoint=engine.endpoint)
        scene, _ = await stack.enter_async_context(playing)
        yield scene, engine


async def _speak(scene: Scene, worker: Worker) -> Turn:
    body = {"message": "Speak.", "chatbot_id": BRIEF.chatbot_id, "speech": NEVER}
    answer = await scene.guest.http.post(f"{worker.url}{TURNS}", json=body)
    assert answer.status_code == 201, answer.text
    return Turn(answer.json()["turn_id"], answer.json()["conversation_id"])


async def _delete(scene: Scene, turn: Turn, worker: Worker) -> None:
    path = f"{worker.url}/api/v1/conversations/{turn.conversation_id}"
    answer = await scene.guest.http.delete(path)
    assert answer.status_code == 204, answer.text


@asynccontextmanager
async def _reading(
    scene: Scene, turn: Turn, worker: Worker
) -> AsyncIterator[list[ServerSentEvent]]:
    """Read a turn on one worker while the block runs, and never come back to another one."""
    seen: list[ServerSentEvent] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read, scene, turn, worker, seen)
        yield seen
        tasks.cancel_scope.cancel()


async def _read(scene: Scene, turn: Turn, worker: Worker, seen: list[ServerSentEvent]) -> None:
    path = f"{worker.url}{TURNS}/{turn.turn_id}/events"
    try:
        async with aconnect_sse(scene.guest.http, "GET", path) as source:
            async for event in source.aiter_sse():
                seen.append(event)  # noqa: PERF401  # others look meanwhile
    except httpx.HTTPError:  # the worker was killed
        pass


def _has(events: list[ServerSentEvent], name: str) -> bool:
    return any(event.event == name for event in events)


async def _until_ended(scene: Scene, turn: Turn) -> None:
    """Wait until a turn has ended, as the first worker tells; that makes nobody a reader."""
    with anyio.fail_after(WAIT_S):
        while (await _state(scene, turn))["status"] == "running":  # noqa: ASYNC110  a process
            await anyio.sleep(0.05)


async def _state(scene: Scene, turn: Turn) -> dict[str, Any]:
    answer = await scene.guest.http.get(f"{scene.a.url}{TURNS}/{turn.turn_id}")
    state: dict[str, Any] = answer.json()
    return state


async def _by(scene: Scene, turn: Turn) -> str:
    """Return who cancelled a turn."""
    path = f"{scene.a.url}{TURNS}/{turn.turn_id}/events"
    async with aconnect_sse(scene.guest.http, "GET", path) as source:
        events = [event async for event in source.aiter_sse()]
    return str(data_of(events[-1])["by"])
