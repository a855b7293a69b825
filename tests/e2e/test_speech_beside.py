"""Speech beside all else that may happen to a turn and its conversation."""

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from tests.e2e.spoken import (
    BROKEN,
    Event,
    Spoken,
    names_of,
    outcomes_of,
    sentences_of,
    spoken_fixtures,
    spoken_server,
)
from tests.e2e.test_faults import locked
from tests.e2e.told import next_event, told_server
from tests.support.chat import data_of, log_of, until
from tests.support.server import text_of

shared_speech, speech = spoken_fixtures()

NEVER = {"voice": "en-US-Fault-never"}
SLOW = {"voice": "en-US-Fault-slow"}
PROSE = "A fox crossed the lane. It looked back. Then it was gone."


async def until_busy(speech: Spoken, turn_id: str) -> list[Event]:
    """Read until the text is done, and wait until the engine is asked."""
    async with aclosing(speech.server.events(turn_id)) as events:
        seen = [await next_event(events)]
        while seen[-1].event != "text.done":
            seen.append(await next_event(events))
        await speech.until(lambda stats: stats["in_flight"] == 2)
    return seen


@pytest.mark.long
async def test_a_conversation_that_is_deleted_falls_silent(speech: Spoken) -> None:
    started = await speech.server.start(PROSE, speech=NEVER)
    await until_busy(speech, started["turn_id"])

    path = f"/api/v1/conversations/{started['conversation_id']}"
    deleted = await speech.server.client.delete(path)

    assert deleted.status_code == 204
    await speech.until(lambda stats: stats["in_flight"] == 0)
    state = await speech.server.client.get(f"/api/v1/turns/{started['turn_id']}")
    audio = await speech.server.client.get(f"/api/v1/speech/{started['turn_id']}.0")
    assert (state.status_code, audio.status_code) == (404, 404)


@pytest.mark.long
async def test_a_repeated_start_attaches_to_the_speech_and_does_not_cut_it(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, tts={"slow": 0.5}) as speech:
        body = {"message": PROSE, "speech": SLOW}
        headers = {"Idempotency-Key": "once"}
        post = speech.server.client.post
        first = (await post("/api/v1/turns", json=body, headers=headers)).json()
        await until_busy(speech, first["turn_id"])

        again = (await post("/api/v1/turns", json=body, headers=headers)).json()
        events = await speech.server.all_events(again["turn_id"])

        assert again["turn_id"] == first["turn_id"]
        assert outcomes_of(events) == ["spoken"] * 3


@pytest.mark.long
async def test_a_question_elsewhere_does_not_cut_the_speech(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, tts={"slow": 0.5}) as speech:
        turn_id = await speech.ask(PROSE, speech=SLOW)
        await until_busy(speech, turn_id)

        other = await speech.answer("Another thing.")

        assert outcomes_of(await speech.server.all_events(turn_id)) == ["spoken"] * 3
        assert outcomes_of(other) == ["spoken"]


async def test_a_model_that_breaks_off_ends_the_speech_too(speech: Spoken) -> None:
    turn_id = await speech.ask(f"{PROSE} And then {BROKEN}", speech=NEVER)

    events = await speech.server.all_events(turn_id)

    assert names_of(events)[-1] == "turn.failed"
    assert data_of(events[-1])["code"] == "upstream_truncated"
    assert outcomes_of(events) == []
    # Twice more it was asked to go on, and broke off.
    assert len(sentences_of(events)) >= 3
    await speech.until(lambda stats: stats["in_flight"] == 0)


@pytest.mark.long
async def test_an_answer_that_is_cut_at_its_limit_is_spoken_as_far_as_it_goes(
    tmp_path: Path,
) -> None:
    async with spoken_server(tmp_path, max_response_chars=45) as speech:
        events = await speech.answer(PROSE)

        text = text_of(events)
        assert data_of(events[-1])["finish_reason"] == "length"
        assert 0 < len(text) <= 45
        said = [call["text"] for call in (await speech.stats())["calls"]]
        assert " ".join(said).rstrip(".") == text.strip().rstrip(".")
        assert outcomes_of(events) == ["spoken"] * len(said)


async def test_a_chatbots_record_has_the_text_as_soon_as_it_is_done(speech: Spoken) -> None:
    started = await speech.server.start(PROSE, speech=NEVER)
    seen = await until_busy(speech, started["turn_id"])

    where = f"/api/v1/conversations/{started['conversation_id']}"
    messages = (await speech.server.client.get(f"{where}/messages")).json()["messages"]
    conversation = (await speech.server.client.get(where)).json()
    await speech.cancel(started["turn_id"])

    assert data_of(seen[-1])["stored"] is True
    assert [(each["status"], each["text"]) for each in messages] == [("completed", PROSE)] * 2
    assert conversation["active_turn_id"] is None


async def test_many_readers_of_one_answer_cost_one_making(speech: Spoken) -> None:
    turn_id = await speech.ask("Rooks met in the elm. They argued. They left.")
    heard: list[list[Event]] = []

    async def read() -> None:
        heard.append(await speech.server.all_events(turn_id))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(read)

    assert len({tuple(event.data for event in events) for events in heard}) == 1
    assert outcomes_of(heard[0]) == ["spoken"] * 3
    assert (await speech.stats())["synthesize"] == 3


async def test_the_same_words_for_another_guest_cost_nothing(speech: Spoken) -> None:
    await speech.answer("Fog hid the pier. Horns sounded.")

    async with speech.server.guest() as other:
        started = await other.post(
            "/api/v1/turns", json={"message": "Fog hid the pier. Horns sounded.", "speech": True}
        )
        answer = await other.get(started.json()["events_url"])

    assert answer.text.count('"data":"') == 2
    assert (await speech.stats())["synthesize"] == 2


@pytest.mark.long
async def test_nothing_of_what_is_said_is_in_the_servers_log(tmp_path: Path) -> None:
    words = "Zanzibar"
    faults = ("invalid", "unavailable", "garbage", "too-long")
    async with spoken_server(tmp_path, log_level="debug", tts_timeout_s=2) as speech:
        for fault in faults:
            await speech.answer(f"{words} is far. {words} has fault:{fault} today.")
        await speech.server.client.post("/api/v1/speech", json={"text": f"{words} again."})

        assert words not in log_of(speech.server)
        assert "turn.ended" in log_of(speech.server)


@pytest.mark.long
async def test_a_turn_that_still_speaks_runs_also_while_its_end_is_not_stored(
    tmp_path: Path,
) -> None:
    async with told_server(tmp_path, history_timeout_s=0.5, tts_engine="off") as (server, model):
        started = await server.start("Hello", speech=True)  # and nobody comes to listen
        telling = await model.asked()
        with locked(server):
            await telling.end(PROSE)
            await until(lambda: "turn.unstored" in log_of(server), within_s=10)
            unstored = await server.state(started["turn_id"])
        await until(lambda: "turn.stored_late" in log_of(server), within_s=10)
        stored = await server.state(started["turn_id"])
        end = (await server.all_events(started["turn_id"]))[-1]

    assert unstored["text"] == stored["text"] == PROSE
    assert (unstored["status"], stored["status"]) == ("running", "running")
    assert (end.event, data_of(end)["stored"]) == ("turn.completed", True)
