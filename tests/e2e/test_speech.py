"""A spoken answer: its sentences and its audio, in order, once, and the audio again later."""

from contextlib import aclosing

import anyio
import httpx
import pytest

from loadtests.tts_simulator.waves import digest_of
from tests.e2e.spoken import (
    PLAIN_CHARACTERS_PER_S,
    UNFINISHED,
    Event,
    Spoken,
    audio_in,
    names_of,
    outcomes_of,
    sentences_of,
    spoken_fixtures,
    units_of,
)
from tests.e2e.told import next_event
from tests.support.chat import TERMINAL_EVENTS, data_of
from tests.support.server import text_of

shared_speech, speech = spoken_fixtures(max_response_chars=20_000)

PROSE = "It rained all night. By morning the river had risen. Nobody was hurt."
ANSWER = (
    "Tea needs little. Boil the water first.\n\n"
    "Then do this:\n\n- Warm the pot.\n- Add the leaves.\n\n```\nsleep 180\n```\n\nPour it."
)


async def test_sentences_and_audio_come_in_order_and_last_as_long_as_what_is_said(
    speech: Spoken,
) -> None:
    events = await speech.answer(ANSWER)

    sentences, units = sentences_of(events), units_of(events)
    text = text_of(events)
    said = {digest_of(call["text"]).encode(): call for call in (await speech.stats())["calls"]}
    spoken = [call for unit in units for digest, call in said.items() if digest in audio_in(unit)]
    assert text == ANSWER
    assert [text[each["start"] : each["end"]] for each in sentences] == [
        each["text"] for each in sentences
    ]
    assert "code" in {each["kind"] for each in sentences}
    assert [call["text"] for call in spoken] == [
        "Tea needs little.",
        "Boil the water first.",
        "Then do this:",
        "Warm the pot.",
        "Add the leaves.",
        "Code block.",
        "Pour it.",
    ]
    assert [unit["sentence"] for unit in units] == [each["index"] for each in sentences]
    for unit, call in zip(units, spoken, strict=True):
        assert unit["duration_s"] == pytest.approx(call["duration_s"], abs=0.001)
        assert unit["bytes"] == len(audio_in(unit))
    total_s = sum(max(0.3, len(call["text"]) / PLAIN_CHARACTERS_PER_S) for call in spoken)
    assert sum(unit["duration_s"] for unit in units) == pytest.approx(total_s, abs=0.01)


async def test_a_sentence_is_told_before_its_audio_and_all_before_the_end(speech: Spoken) -> None:
    names = names_of(events := await speech.answer(PROSE))

    first_chunk, done = names.index("speech.chunk"), names.index("text.done")
    assert names.index("sentence.completed") < first_chunk
    assert set(names[done + 1 :]) <= {"speech.chunk", "turn.completed"}
    assert names[-1] == "turn.completed"
    assert names.count("sentence.completed") == names.count("speech.chunk") == 3
    assert [event.id.rpartition("-")[2] for event in events] == [
        str(seq) for seq in range(1, len(events) + 1)
    ]


async def test_the_same_audio_is_behind_its_address(speech: Spoken) -> None:
    events = await speech.answer("A heron stood in the reeds. It waited. Then it flew.")
    turn_id = data_of(events[0])["turn_id"]

    for unit, sentence in zip(units_of(events), sentences_of(events), strict=True):
        answer = await speech.server.client.get(unit["url"])
        assert answer.status_code == 200
        assert answer.content == audio_in(unit)
        assert answer.content.startswith(b"OggS")
        assert unit["audio_id"] == f"{turn_id}.{unit['index']}"
        assert unit["url"] == f"/api/v1/speech/{unit['audio_id']}"
        assert answer.headers["content-type"] == unit["media_type"] == "audio/ogg"
        assert answer.headers["x-speech-sentence"] == str(unit["sentence"])
        assert answer.headers["x-speech-range"] == f"{sentence['start']}-{sentence['end']}"
        assert float(answer.headers["x-speech-duration"]) == unit["duration_s"]
    assert (await speech.stats())["synthesize"] == 3  # nothing was made twice


@pytest.mark.parametrize(
    ("wish", "query", "is_inline"),
    [
        (True, "", True),
        (True, "?audio=url", False),
        ({"audio": "url"}, "", False),
        ({"audio": "url"}, "?audio=inline", True),
    ],
)
async def test_audio_comes_inline_only_to_whom_it_is_wanted_by(
    speech: Spoken, wish: object, query: str, is_inline: bool
) -> None:
    turn_id = await speech.ask(PROSE, speech=wish)
    events = await speech.events_by(f"/api/v1/turns/{turn_id}/events{query}")

    assert outcomes_of(events) == ["spoken"] * 3
    assert [("data" in unit) for unit in units_of(events)] == [is_inline] * 3


async def test_the_events_of_a_start_bring_audio_as_it_was_asked_for(speech: Spoken) -> None:
    for wish, is_inline in ((True, True), ({"audio": "url"}, False)):
        body = {"message": PROSE, "speech": wish}
        answer = await speech.server.client.post(
            "/api/v1/turns", json=body, headers={"Accept": "text/event-stream"}
        )
        assert answer.text.count("event: speech.chunk") == 3
        assert ('"data":"' in answer.text) == is_inline


async def test_who_reads_later_gets_the_same_audio(speech: Spoken) -> None:
    first = await speech.answer(PROSE)
    again = await speech.server.all_events(data_of(first[0])["turn_id"])

    assert [(event.id, event.event, event.data) for event in again] == [
        (event.id, event.event, event.data) for event in first
    ]


async def test_after_every_cut_the_rest_comes_exactly_once(speech: Spoken) -> None:
    turn_id = await speech.ask(ANSWER)
    events: list[Event] = []
    with anyio.fail_after(20):
        while not events or events[-1].event not in TERMINAL_EVENTS:
            last = events[-1].id if events else None
            events += await _next_few(speech, turn_id, last, count=1 + len(events) % 3)

    assert len({event.id for event in events}) == len(events)
    assert outcomes_of(events) == ["spoken"] * 7
    assert all("data" in unit for unit in units_of(events))
    assert text_of(events) == ANSWER


async def _next_few(speech: Spoken, turn_id: str, last: str | None, *, count: int) -> list[Event]:
    """Return some events after a cursor; then the connection is cut, with more on its way."""
    few: list[Event] = []
    async with aclosing(speech.server.events(turn_id, last)) as reader:
        while len(few) < count and not (few and few[-1].event in TERMINAL_EVENTS):
            few.append(await next_event(reader))
    return few


async def test_a_cursor_in_the_middle_of_the_audio_gets_only_what_follows(speech: Spoken) -> None:
    events = await speech.answer(PROSE)
    places = [place for place, event in enumerate(events) if event.event == "speech.chunk"]

    for place in places:
        turn_id = data_of(events[0])["turn_id"]
        rest = await speech.server.all_events(turn_id, events[place].id)
        assert [event.id for event in rest] == [event.id for event in events[place + 1 :]]


async def test_a_reset_after_the_end_tells_how_far_sentences_and_speech_had_come(
    speech: Spoken,
) -> None:
    events = await speech.answer(PROSE)
    turn_id = data_of(events[0])["turn_id"]

    reset, end = await speech.server.all_events(turn_id, f"{turn_id}.7-3")

    sentences = [event for event in events if event.event == "sentence.completed"]
    assert (reset.event, end.event) == ("turn.reset", "turn.completed")
    assert data_of(reset)["sentence"] == len(sentences)
    assert data_of(reset)["speech"] == len(units_of(events))


async def test_an_answer_begins_to_sound_while_it_is_being_written(speech: Spoken) -> None:
    opening = "When it rains in the mountains, the river rises"
    turn_id = await speech.ask(f"{opening} in the valley {UNFINISHED}")

    async with aclosing(speech.server.events(turn_id)) as events:
        names = [(event := await next_event(events)).event]
        while event.event != "speech.chunk":
            names.append((event := await next_event(events)).event)
    await speech.cancel(turn_id)

    assert "sentence.completed" not in names
    assert (await speech.stats())["calls"][0]["text"] == "When it rains in the mountains,"


async def test_what_cannot_be_said_has_its_sentence_and_no_audio(speech: Spoken) -> None:
    events = await speech.answer("First.\n\n---\n\n🙂🙂\n\nLast.")

    assert len(sentences_of(events)) > len(units_of(events)) == 2
    assert [call["text"] for call in (await speech.stats())["calls"]] == ["First.", "Last."]


async def test_a_turn_that_nobody_wants_spoken_has_no_audio(speech: Spoken) -> None:
    for wish in (False, None):
        body = {} if wish is None else {"speech": wish}
        started = await speech.server.start(PROSE, **body)
        names = names_of(await speech.server.all_events(started["turn_id"]))
        assert set(names) == {"turn.started", "text.delta", "text.done", "turn.completed"}
    assert (await speech.stats())["synthesize"] == 0


async def test_an_answer_that_was_never_spoken_can_be_heard_later(speech: Spoken) -> None:
    text = "Snow fell on the pass. The bus stopped. We walked."
    started = await speech.server.start(text)
    await speech.server.all_events(started["turn_id"])

    answers = [
        await speech.server.client.get(f"/api/v1/speech/{started['turn_id']}.{index}")
        for index in range(4)
    ]
    said = [call["text"] for call in (await speech.stats())["calls"]]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    assert answers[-1].json()["code"] == "audio_not_found"
    assert " ".join(said) == text


@pytest.mark.parametrize(
    "audio_id",
    ["{turn}.7", "{turn}.-1", "{turn}.00", "{turn}", "turn_nobody.0", "{turn}.0.0", ".0"],
)
async def test_what_is_no_audio_of_a_turn_is_not_found(speech: Spoken, audio_id: str) -> None:
    turn_id = data_of((await speech.answer(PROSE))[0])["turn_id"]

    answer = await speech.server.client.get(f"/api/v1/speech/{audio_id.format(turn=turn_id)}")

    assert answer.status_code == 404


async def test_another_guest_hears_nothing(speech: Spoken) -> None:
    running = await speech.ask(f"Mine. {UNFINISHED}")
    ended = data_of((await speech.answer(PROSE))[0])["turn_id"]

    async with speech.server.guest() as other:
        await other.get("/api/v1/conversations")
        answers: list[httpx.Response] = []
        for turn_id in (running, ended):
            playback = {"played_s": 1, "buffered_s": 1}
            answers += [
                await other.get(f"/api/v1/speech/{turn_id}.0"),
                await other.post(f"/api/v1/turns/{turn_id}/playback", json=playback),
                await other.get(f"/api/v1/turns/{turn_id}/events"),
            ]
    await speech.cancel(running)

    assert [answer.status_code for answer in answers] == [404] * 6
    nobody = await speech.server.client.get("/api/v1/speech/turn_nobody.0")
    assert answers[0].json()["code"] == nobody.json()["code"]
