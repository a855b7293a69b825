"""Ends of speech before all is said: by the user, by the next turn, by a limit; and its pace."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from tests.e2e.spoken import (
    UNFINISHED,
    Event,
    Spoken,
    names_of,
    outcomes_of,
    sentences_of,
    spoken_fixtures,
    spoken_server,
    units_of,
)
from tests.e2e.told import next_event
from tests.support.chat import data_of
from tests.support.server import text_of

shared_speech, speech = spoken_fixtures(max_response_chars=20_000)

NEVER = {"voice": "en-US-Fault-never"}
"""A voice whose calls stay open."""

PROSE = "The road was long. The night was longer. Nobody complained."
LECTURE = " ".join(f"This is remark number {number}, of no great weight." for number in range(40))


async def until_event(events: AsyncIterator[Event], name: str) -> list[Event]:
    """Return the events up to the first of this name."""
    seen = [await next_event(events)]
    while seen[-1].event != name:
        seen.append(await next_event(events))
    return seen


@pytest.mark.fault(43)
async def test_text_does_not_wait_for_an_engine_that_never_answers(speech: Spoken) -> None:
    turn_id = await speech.ask(PROSE, speech=NEVER)

    async with aclosing(speech.server.events(turn_id)) as events:
        seen = await until_event(events, "text.done")
        await speech.until(lambda stats: stats["in_flight"] == 2)
        await speech.cancel(turn_id)
        rest = [event async for event in events]

    assert text_of(seen) == PROSE
    assert len(sentences_of(seen)) == 3
    assert outcomes_of(seen) == []
    assert names_of(rest) == ["turn.completed"]
    await speech.until(lambda stats: stats["in_flight"] == 0)


async def test_a_cancel_in_mid_answer_ends_text_speech_and_calls(speech: Spoken) -> None:
    turn_id = await speech.ask(f"{PROSE} And then {UNFINISHED}", speech=NEVER)
    async with aclosing(speech.server.events(turn_id)) as events:
        await until_event(events, "sentence.completed")
        await speech.until(lambda stats: stats["in_flight"] == 2)

        state = await speech.cancel(turn_id)
        rest = [event async for event in events]

    assert (state["status"], state["stored"]) == ("cancelled", True)
    assert rest[-1].event == "turn.cancelled"
    assert "speech.failed" not in names_of(rest)
    stats = await speech.until(lambda stats: stats["in_flight"] == 0)
    assert stats["cancelled"] == stats["synthesize"] == 2
    replayed = await speech.server.all_events(turn_id)
    assert names_of(replayed)[-1] == "turn.cancelled"


async def test_a_cancel_after_the_text_ends_only_the_speech(speech: Spoken) -> None:
    turn_id = await speech.ask(PROSE, speech=NEVER)
    async with aclosing(speech.server.events(turn_id)) as events:
        await until_event(events, "text.done")
        await speech.until(lambda stats: stats["in_flight"] == 2)

        state = await speech.cancel(turn_id)
        rest = [event async for event in events]

    assert (state["status"], state["text"], state["stored"]) == ("completed", PROSE, True)
    assert names_of(rest) == ["turn.completed"]
    assert data_of(rest[0])["text"] == PROSE
    stats = await speech.until(lambda stats: stats["in_flight"] == 0)
    assert stats["cancelled"] == 2
    # What was not said then can be had now, but for what no engine says.
    answer = await speech.server.client.post("/api/v1/turns", json={"retry_of": turn_id})
    assert answer.status_code == 201


async def test_the_next_question_cuts_the_speech_and_starts_at_once(speech: Spoken) -> None:
    started = await speech.server.start(PROSE, speech=NEVER)
    first = started["turn_id"]
    async with aclosing(speech.server.events(first)) as events:
        await until_event(events, "text.done")
        await speech.until(lambda stats: stats["in_flight"] == 2)

        body = {"message": "Go on.", "conversation_id": started["conversation_id"]}
        answer = await speech.server.client.post("/api/v1/turns", json=body)
        rest = [event async for event in events]

    assert answer.status_code == 201, answer.text
    assert names_of(rest) == ["turn.completed"]
    assert (await speech.server.state(first))["status"] == "completed"
    second = await speech.server.all_events(answer.json()["turn_id"])
    assert names_of(second)[-1] == "turn.completed"
    stats = await speech.until(lambda stats: stats["in_flight"] == 0)
    assert stats["cancelled"] == stats["synthesize"] == 2


async def test_a_question_in_mid_answer_is_refused_as_ever(speech: Spoken) -> None:
    started = await speech.server.start(f"{PROSE} And then {UNFINISHED}", speech=True)

    body = {"message": "Go on.", "conversation_id": started["conversation_id"]}
    answer = await speech.server.client.post("/api/v1/turns", json=body)
    await speech.cancel(started["turn_id"])

    assert (answer.status_code, answer.json()["code"]) == (409, "turn_running")


async def test_nothing_is_made_until_somebody_listens(speech: Spoken) -> None:
    text = "A drum began. It was far away. It came closer."
    turn_id = await speech.ask(text)
    with anyio.fail_after(10):
        while (await speech.server.state(turn_id))["text"] != text:  # noqa: ASYNC110  a process
            await anyio.sleep(0.01)
    unheard = await speech.stats()

    events = await speech.server.all_events(turn_id)

    assert unheard["synthesize"] == 0
    assert outcomes_of(events) == ["spoken"] * 3


async def test_a_report_of_playback_stands_for_a_reader(speech: Spoken) -> None:
    turn_id = await speech.ask("One wave came. Another followed.")

    await speech.play(turn_id, played_s=0, buffered_s=0)

    await speech.until(lambda stats: stats["synthesize"] == stats["completed"] == 2)
    assert outcomes_of(await speech.server.all_events(turn_id)) == ["spoken"] * 2


async def test_no_more_is_made_than_will_be_heard_soon(speech: Spoken) -> None:
    turn_id = await speech.ask(LECTURE)
    await speech.play(turn_id, played_s=0, buffered_s=0)
    async with aclosing(speech.server.events(turn_id)) as events:
        out_s, seen = 0.0, []
        while out_s < 25:
            seen.append(await next_event(events))
            out_s += _duration_s(seen[-1])
        paused = await speech.until(lambda stats: stats["in_flight"] == 0)
        longest_s = max(call["duration_s"] for call in paused["calls"])
        made_s = sum(call["duration_s"] for call in paused["calls"])
        assert made_s <= 25 + longest_s

        await speech.play(turn_id, played_s=made_s - 20, buffered_s=20)
        await speech.until(lambda stats: stats["synthesize"] > paused["synthesize"])
        await speech.play(turn_id, played_s=10_000, buffered_s=0)
        rest = [event async for event in events]

    whole = [*seen, *rest]
    assert text_of(whole) == LECTURE
    assert set(outcomes_of(whole)) == {"spoken"}
    total_s = sum(map(_duration_s, whole))
    assert total_s > 100
    # With much audio out, one call speaks several short sentences; all of them are spoken.
    stats = await speech.stats()
    assert stats["synthesize"] == len(units_of(whole)) < 40
    assert sum(1 + call["characters"] for call in stats["calls"]) == len(LECTURE) + 1


async def test_without_reports_all_is_made_and_each_sentence_by_itself(speech: Spoken) -> None:
    lecture = LECTURE.replace("remark", "note")

    events = await speech.answer(lecture)

    assert len(units_of(events)) == 40
    assert (await speech.stats())["synthesize"] == 40
    assert (await speech.stats())["max_in_flight"] <= 2


@pytest.mark.parametrize(
    "body",
    [{"played_s": -1, "buffered_s": 0}, {"played_s": 0}, {"played_s": "much", "buffered_s": 0}],
)
async def test_a_report_that_cannot_be_is_refused(speech: Spoken, body: dict[str, object]) -> None:
    turn_id = await speech.ask("Quiet.")

    answer = await speech.server.client.post(f"/api/v1/turns/{turn_id}/playback", json=body)

    assert answer.status_code == 422


@pytest.mark.long
async def test_what_nobody_hears_is_given_up(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, speech_idle_timeout_s=0.5) as speech:
        turn_id = await speech.ask(PROSE)
        await _ended(speech, turn_id)
        events = await speech.server.all_events(turn_id)

        assert outcomes_of(events) == ["not_requested"] * 3
        assert names_of(events)[-1] == "turn.completed"
        assert (await speech.stats())["synthesize"] == 0
        for unit in units_of(events):  # but it can still be asked for
            answer = await speech.server.client.get(f"/api/v1/speech/{turn_id}.{unit['index']}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/ogg")


@pytest.mark.long
async def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, speech_timeout_s=0.5) as speech:
        text = "The first is said. The second is fault:never to be. The third is said too."
        events = await speech.answer(text)

        assert outcomes_of(events) == ["spoken", "speech_timeout", "spoken"]
        assert names_of(events)[-1] == "turn.completed"
        assert data_of(events[-1])["text"] == text
        await speech.until(lambda stats: stats["in_flight"] == 0)


async def _ended(speech: Spoken, turn_id: str) -> None:
    with anyio.fail_after(10):
        while (await speech.server.state(turn_id))["status"] == "running":  # noqa: ASYNC110
            await anyio.sleep(0.01)


def _duration_s(event: Event) -> float:
    return float(data_of(event)["duration_s"]) if event.event == "speech.chunk" else 0.0
