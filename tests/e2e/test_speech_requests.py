"""Speech outside the event stream: parts of a chunk, voices, a given text, and what is counted."""

import re
from typing import Any

import anyio
import pytest

from tests.e2e.spoken import Spoken, spoken_fixtures, units_of
from tests.support.chat import data_of

shared_speech, speech = spoken_fixtures()

TEXT = "A cart stood in the yard."


async def chunk_of(speech: Spoken) -> str:
    """Return the address of a chunk of audio."""
    return str(units_of(await speech.answer(TEXT))[0]["url"])


async def test_a_part_of_a_chunk_can_be_had(speech: Spoken) -> None:
    get, url = speech.server.client.get, await chunk_of(speech)
    whole = await get(url)
    size = len(whole.content)
    assert whole.headers["accept-ranges"] == "bytes"

    for asked, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, size),
        ("bytes=-5", size - 5, size),
        ("Bytes=1-1", 1, 2),
        (f"bytes=5-{size + 100}", 5, size),
        (f"bytes={size - 1}-{size - 1}", size - 1, size),
    ):
        part = await get(url, headers={"Range": asked})
        assert part.status_code == 206, asked
        assert part.content == whole.content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.headers["content-type"] == "audio/ogg"


@pytest.mark.parametrize(
    "asked", ["bytes=9-3", "bytes=", "bytes=-", "bytes=a-b", "lines=0-9", "bytes=0-1,3-4"]
)
async def test_what_is_no_range_gets_the_whole(speech: Spoken, asked: str) -> None:
    url = await chunk_of(speech)

    answer = await speech.server.client.get(url, headers={"Range": asked})

    assert answer.status_code == 200
    assert answer.content == (await speech.server.client.get(url)).content


@pytest.mark.parametrize("asked", ["bytes=1000000-", "bytes=1000000-1000001", "bytes=-0"])
async def test_a_range_beyond_the_end_is_refused(speech: Spoken, asked: str) -> None:
    url = await chunk_of(speech)
    size = len((await speech.server.client.get(url)).content)

    answer = await speech.server.client.get(url, headers={"Range": asked})

    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-range"] == f"bytes */{size}"


async def test_a_chunk_that_is_known_is_not_sent_again(speech: Spoken) -> None:
    get, url = speech.server.client.get, await chunk_of(speech)
    whole = await get(url)
    tag = whole.headers["etag"]
    assert "private" in whole.headers["cache-control"]

    for known in (tag, f"W/{tag}", f'"else", {tag}', "*"):
        answer = await get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
    changed = await get(url, headers={"If-None-Match": '"else"'})
    assert (changed.status_code, changed.content) == (200, whole.content)
    for condition, status in ((tag, 206), ('"else"', 200)):
        headers = {"Range": "bytes=0-3", "If-Range": condition}
        assert (await get(url, headers=headers)).status_code == status


async def test_the_head_of_a_chunk_tells_all_but_the_bytes(speech: Spoken) -> None:
    url = await chunk_of(speech)
    whole, head = await speech.server.client.get(url), await speech.server.client.head(url)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "accept-ranges", "x-speech-duration"):
        assert head.headers[name] == whole.headers[name]
    part = await speech.server.client.head(url, headers={"Range": "bytes=0-9"})  # is for GET only
    assert (part.status_code, part.headers["content-length"]) == (200, str(len(whole.content)))


async def test_a_given_text_is_spoken(speech: Spoken) -> None:
    text = "# Hello **there**\n\nSee [the page](https://example.com).\n\n```\ncode\n```"

    answer = await speech.server.client.post("/api/v1/speech", json={"text": text})

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/ogg"
    call = (await speech.stats())["calls"][-1]
    assert call["text"] == "Hello there. See the page. Code block."
    assert float(answer.headers["x-speech-duration"]) == pytest.approx(
        call["duration_s"], abs=0.001
    )


async def test_a_given_text_is_spoken_by_the_voice_that_is_asked_for(speech: Spoken) -> None:
    body = {"text": "Guten Morgen.", "voice": "de-DE-Neural2-B"}

    answer = await speech.server.client.post("/api/v1/speech", json=body)

    assert answer.status_code == 200, answer.text
    call = (await speech.stats())["calls"][-1]
    assert (call["voice"], call["language"]) == ("de-DE-Neural2-B", "de-DE")


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"text": ""}, "text", "invalid"),
        ({"text": " \n "}, "text", "invalid"),
        ({"text": "x" * 4001}, "text", "invalid"),
        ({"text": "界" * 4000}, "text", "invalid"),
        ({"text": "---"}, "text", "nothing_to_say"),
        ({"text": "🙂"}, "text", "nothing_to_say"),
        ({"text": "Hello.", "voice": "xx-XX-Nobody"}, "voice", "invalid"),
        ({"text": "Hello.", "voice": "v" * 101}, "voice", "invalid"),
        ({"text": "Hello.", "pitch": 3}, "pitch", "invalid"),
        ({}, "text", "invalid"),
    ],
)
async def test_what_cannot_be_spoken_is_refused(
    speech: Spoken, body: dict[str, object], field: str, code: str
) -> None:
    answer = await speech.server.client.post("/api/v1/speech", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await speech.stats())["synthesize"] == 0


async def test_a_turn_with_an_unknown_voice_is_refused_before_anything_is_stored(
    speech: Spoken,
) -> None:
    body = {"message": TEXT, "speech": {"voice": "xx-XX-Nobody"}}

    answer = await speech.server.client.post("/api/v1/turns", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "voice")
    listed = await speech.server.client.get("/api/v1/conversations")
    assert listed.json()["conversations"] == []


async def test_a_fault_in_speech_is_told_by_the_names_that_were_sent(speech: Spoken) -> None:
    body = {"message": "Hello.", "speech": {"audio": "both"}}
    answer = await speech.server.client.post("/api/v1/turns", json=body)

    assert answer.status_code == 422
    assert "speech.audio" in [error["field"] for error in answer.json()["errors"]]
    assert "SpeechOptions" not in answer.text


async def test_a_turn_is_spoken_in_the_voice_and_language_that_are_asked_for(
    speech: Spoken,
) -> None:
    wishes: dict[str, dict[str, str]] = {
        "fr-FR-Neural2-B": {"voice": "fr-FR-Neural2-B", "language": "fr"},
        "": {"language": "da"},
    }
    for voice, wish in wishes.items():
        await speech.reset()
        await speech.answer(f"{TEXT} {voice}.", speech=wish)
        calls = (await speech.stats())["calls"]
        assert {call["language"][:2] for call in calls} == {wish["language"]}
        if voice:
            assert {call["voice"] for call in calls} == {voice}


async def test_the_voices_are_those_of_the_engine(speech: Spoken) -> None:
    answer = await speech.server.client.get("/api/v1/speech/voices")

    listed = answer.json()
    assert listed["engine"] == "google"
    assert {"name": "de-DE-Neural2-A", "language": "de-DE"} in listed["voices"]
    places = [(voice["language"], voice["name"]) for voice in listed["voices"]]
    assert places == sorted(places)
    assert "private" in answer.headers["cache-control"]


async def test_what_is_spoken_is_counted(speech: Spoken) -> None:
    before = await metrics_of(speech)
    streaming_before = await streaming_of(speech)

    events = await speech.answer("One thing. Two things. It is fault:invalid here. One thing.")
    await speech.server.all_events(data_of(events[0])["turn_id"])

    after, streaming = await metrics_of(speech), await streaming_of(speech)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert grown['chat_speech_units_total{engine="google",outcome="spoken"}'] == 3
    assert grown['chat_speech_units_total{engine="none",outcome="speech_refused"}'] == 1
    assert grown['chat_speech_calls_total{engine="google",outcome="speech_refused"}'] == 1
    assert grown['chat_speech_calls_total{engine="google",outcome="spoken"}'] == 2
    assert grown['chat_time_to_first_audio_seconds_count{engine="google"}'] == 1
    assert grown['chat_speech_call_duration_seconds_count{engine="google"}'] == 3
    assert grown['chat_cache_lookups_total{cache="tts",result="hit"}'] == 1
    assert grown['chat_cache_lookups_total{cache="tts",result="miss"}'] == 3
    assert streaming["latency"]["ttfa_ms"]["p50"] > 0
    assert streaming["speech"]["units"]["google"]["spoken"] >= 3
    hits, before_hits = streaming["cache"]["tts"]["hits"], streaming_before["cache"]["tts"]["hits"]
    assert hits == before_hits + 1


async def metrics_of(speech: Spoken) -> dict[str, float]:
    """Return all samples of `/metrics`."""
    text = (await speech.server.client.get("/metrics")).text
    samples = re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in samples}


async def streaming_of(speech: Spoken) -> dict[str, Any]:
    """Return what `/api/metrics/streaming` tells."""
    answer = await speech.server.client.get("/api/metrics/streaming")
    metrics: dict[str, Any] = answer.json()["metrics"]
    return metrics


@pytest.mark.long
async def test_a_crowd_of_given_texts_is_spoken_two_at_a_time(speech: Spoken) -> None:
    async def ask(number: int) -> None:
        answer = await speech.server.client.post(
            "/api/v1/speech", json={"text": f"Text {number} fault:slow:times=9"}
        )
        assert answer.status_code in {200, 503}, answer.text

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(ask, number)

    assert (await speech.stats())["max_in_flight"] <= 2
