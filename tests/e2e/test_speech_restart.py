"""A server that ends while it speaks: in good order, and by force."""

import signal
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.spoken import (
    UNFINISHED,
    Event,
    echoing_model,
    names_of,
    outcomes_of,
    spoken_server,
    units_of,
    without_espeak,
)
from tests.e2e.told import next_event
from tests.support.chat import data_of, log_of, until
from tests.support.server import Server, running_server, text_of
from tests.support.tts_simulator import running_tts_simulator

PROSE = "The tide came in. It took the castle. The children laughed. They built another."
NEVER = {"voice": "en-US-Fault-never"}
SLOW = {"voice": "en-US-Fault-slow"}
"""Voices whose calls stay open, and whose audio comes late."""


@asynccontextmanager
async def model_and_engine(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Run what outlives the server; yield the server's settings."""
    async with echoing_model() as upstream, running_tts_simulator() as engine:
        yield {
            "openai_base_url": upstream,
            "tts_engine": "google",
            "google_tts_endpoint": engine.endpoint,
            **without_espeak(folder),
        }


@pytest.mark.long
async def test_a_drain_lets_the_speech_be_said_to_its_end(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, tts={"slow": 0.4}) as speech:
        turn_id = await speech.ask(PROSE, speech=SLOW)
        async with aclosing(speech.server.events(turn_id)) as events:
            seen = [await next_event(events)]
            while seen[-1].event != "text.done":
                seen.append(await next_event(events))
            speech.server.signal(signal.SIGTERM)
            rest = [event async for event in events]

        assert outcomes_of([*seen, *rest]) == ["spoken"] * 4
        assert names_of(rest)[-1] == "turn.completed"
        assert await speech.server.exit_code() == 0
        assert "Traceback" not in log_of(speech.server)


@pytest.mark.long
async def test_a_drain_that_takes_too_long_cuts_the_speech_and_the_turn_is_completed(
    tmp_path: Path,
) -> None:
    async with spoken_server(tmp_path, drain_timeout_s=0.3) as speech:
        turn_id = await speech.ask(PROSE, speech=NEVER)
        async with aclosing(speech.server.events(turn_id)) as events:
            seen = [await next_event(events)]
            while seen[-1].event != "text.done":
                seen.append(await next_event(events))
            await speech.until(lambda stats: stats["in_flight"] == 2)
            speech.server.signal(signal.SIGTERM)
            rest = [event async for event in events]

        assert outcomes_of(rest) == []
        assert names_of(rest)[-1] == "turn.completed"
        assert data_of(rest[-1])["text"] == PROSE
        assert await speech.server.exit_code() == 0
        await speech.until(lambda stats: stats["in_flight"] == 0)
        assert "Traceback" not in log_of(speech.server)


@pytest.mark.long
async def test_a_drain_that_takes_too_long_interrupts_an_answer_that_is_being_written(
    tmp_path: Path,
) -> None:
    async with spoken_server(tmp_path, drain_timeout_s=0.3) as speech:
        turn_id = await speech.ask(f"{PROSE} And then {UNFINISHED}", speech=NEVER)
        async with aclosing(speech.server.events(turn_id)) as events:
            await next_event(events)
            await speech.until(lambda stats: stats["in_flight"] == 2)
            speech.server.signal(signal.SIGTERM)
            rest = [event async for event in events]

        assert names_of(rest)[-1] == "turn.interrupted"
        assert outcomes_of(rest) == []
        assert await speech.server.exit_code() == 0
        assert "Traceback" not in log_of(speech.server)


@pytest.mark.long
async def test_after_a_crash_in_mid_speech_the_answer_is_complete_and_can_be_heard(
    tmp_path: Path,
) -> None:
    async with model_and_engine(tmp_path) as settings:
        async with running_server(tmp_path, **settings) as server:
            started = await server.start(PROSE, speech=True)
            turn_id = started["turn_id"]
            ended = await server.all_events(turn_id)
            text = "One. Two. Three fault:never four. Five."  # the engine hangs over the third
            hanging = await server.start(text, speech=True)
            seen = await _seen_until_second_chunk(server, hanging["turn_id"])
            server.signal(signal.SIGKILL)
            await server.exit_code()
        async with running_server(tmp_path, **settings) as again:
            again.client.cookies = server.client.cookies
            state = await again.state(hanging["turn_id"])
            rest = await again.all_events(hanging["turn_id"], seen[-1].id)
            path = f"/api/v1/turns/{hanging['turn_id']}/events"
            at_end = await again.client.get(path, headers={"Last-Event-ID": rest[-1].id})
            # What the record takes for the end was another entry in the lost log.
            lost = f"{hanging['turn_id']}.1-{state['last_seq']}"
            from_lost = await again.all_events(hanging["turn_id"], lost)

            assert (state["status"], state["text"], state["stored"]) == ("completed", text, True)
            assert names_of(rest) == ["turn.reset", "turn.completed"]
            assert text_of(rest) == data_of(rest[-1])["text"] == text
            assert (at_end.status_code, at_end.content) == (204, b"")
            assert names_of(from_lost) == ["turn.reset", "turn.completed"]
            assert from_lost[-1].id == rest[-1].id != lost
            for unit in units_of(seen):  # what was said before can be had again
                answer = await again.client.get(unit["url"])
                assert (answer.status_code, len(answer.content)) == (200, unit["bytes"])
            for unit in units_of(ended):  # also of the turn whose end was sealed
                answer = await again.client.get(unit["url"])
                assert (answer.status_code, len(answer.content)) == (200, unit["bytes"])
            beyond = await again.client.get(f"/api/v1/speech/{hanging['turn_id']}.9")
            assert beyond.status_code == 404
            following = await again.run_turn("Go on.", conversation_id=hanging["conversation_id"])
            assert following["status"] == "completed"


@pytest.mark.long
async def test_after_a_crash_in_mid_answer_what_was_written_can_be_heard(tmp_path: Path) -> None:
    async with model_and_engine(tmp_path) as settings:
        async with running_server(tmp_path, **settings) as server:
            started = await server.start(f"{PROSE} And then {UNFINISHED}", speech=True)
            turn_id = started["turn_id"]
            await _read_until(server, turn_id, "speech.chunk")
            # The record's checkpoint is at most a second behind.
            await until(lambda: _checkpointed(tmp_path, "They built another."))
            server.signal(signal.SIGKILL)
            await server.exit_code()
        async with running_server(tmp_path, **settings) as again:
            again.client.cookies = server.client.cookies
            events_after = await again.all_events(turn_id)
            answers = [
                await again.client.get(f"/api/v1/speech/{turn_id}.{index}") for index in range(4)
            ]

            assert names_of(events_after) == ["turn.reset", "turn.interrupted"]
            assert [answer.status_code for answer in answers] == [200] * 4
            assert (await again.state(turn_id))["status"] == "interrupted"


@pytest.mark.long
async def test_audio_of_an_earlier_run_is_gone_where_no_engine_is_left(tmp_path: Path) -> None:
    async with spoken_server(tmp_path) as speech:
        events = await speech.answer(PROSE)
        jar = speech.server.client.cookies
        speech.server.signal(signal.SIGTERM)
        await speech.server.exit_code()
    async with running_server(tmp_path, tts_engine="off") as server:
        server.client.cookies = jar
        answers: list[httpx.Response] = [
            await server.client.get(unit["url"]) for unit in units_of(events)
        ]

        assert {answer.status_code for answer in answers} == {410}
        assert {answer.json()["code"] for answer in answers} == {"audio_gone"}


async def _read_until(server: Server, turn_id: str, name: str) -> None:
    async with aclosing(server.events(turn_id)) as events:
        while (await next_event(events)).event != name:
            pass


async def _seen_until_second_chunk(server: Server, turn_id: str) -> Sequence[Event]:
    seen: list[Event] = []
    async with aclosing(server.events(turn_id)) as events:
        while not {"text.done"} <= set(names_of(seen)) or len(units_of(seen)) < 2:
            seen.append(await next_event(events))
    return seen


def _checkpointed(folder: Path, words: str) -> bool:
    database = sqlite3.connect(folder / "chat.db")
    try:
        rows = database.execute("SELECT text FROM turns").fetchall()
    finally:
        database.close()
    return any(words in row[0] for row in rows)
