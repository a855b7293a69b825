"""Engines that fail, are missing or are off: the text never notices, the page is told."""

import struct
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.spoken import (
    Spoken,
    audio_in,
    echoing_model,
    names_of,
    outcomes_of,
    sentences_of,
    spoken_server,
    units_of,
    without_espeak,
)
from tests.e2e.test_start import fault_of
from tests.e2e.told import next_event
from tests.support.chat import data_of, log_of
from tests.support.espeak import require_espeak
from tests.support.server import running_server, text_of

pytestmark = pytest.mark.long

NOBODY = "http://127.0.0.1:1"
"""An endpoint where nothing listens."""

PROSE = "The wind had turned. Sails were set. They left at noon."
SIX = " ".join(f"Ship number {number} left the harbour." for number in range(6))


async def speech_health(speech: Spoken) -> dict[str, Any]:
    """Return what `/health` says of speech."""
    answer = (await speech.server.client.get("/health")).json()
    health: dict[str, Any] = answer["checks"]["speech"]
    return health


async def test_faults_are_of_one_unit_and_what_heals_is_not_noticed(tmp_path: Path) -> None:
    faults = {
        "unavailable:times=2": "spoken",
        "internal:times=1": "spoken",
        "invalid": "speech_refused",
        "exhausted": "speech_unavailable",
        "empty": "speech_unavailable",
        "garbage": "speech_unavailable",
        "never": "speech_timeout",
        "too-long": "speech_too_long",
        "not-found": "speech_refused",
    }
    async with spoken_server(tmp_path, tts_timeout_s=2.5) as speech:
        for fault, outcome in faults.items():
            # What works comes between any two that fail: the breaker stays closed.
            text = (
                f"Before {fault} all is well. Here is fault:{fault} now. All is well after {fault}."
            )
            events = await speech.answer(text)
            assert outcomes_of(events) == ["spoken", outcome, "spoken"], fault
            assert text_of(events) == text == data_of(events[-1])["text"]
            assert names_of(events)[-1] == "turn.completed"
        assert (await speech_health(speech))["engines"][0]["breaker"] == "closed"
        assert "Traceback" not in log_of(speech.server)


async def test_a_burst_of_unavailable_is_passed_over(tmp_path: Path) -> None:
    tts: dict[str, float] = {"burst_every": 4, "burst_length": 1}
    async with spoken_server(tmp_path, tts=tts) as speech:
        events = await speech.answer(SIX)

        assert outcomes_of(events) == ["spoken"] * 6
        stats = await speech.stats()
        assert stats["refused"] == (stats["synthesize"]) // 4 > 0


@pytest.mark.fault(43)
async def test_an_engine_that_is_down_leaves_the_text_alone_and_is_left_alone(
    tmp_path: Path,
) -> None:
    async with spoken_server(tmp_path, google_tts_endpoint=NOBODY) as speech:
        events = await speech.answer(SIX)

        assert outcomes_of(events) == ["speech_unavailable"] * 6
        assert text_of(events) == SIX
        assert len(sentences_of(events)) == 6
        assert names_of(events)[-1] == "turn.completed"
        health = await speech_health(speech)
        assert (health["status"], health["engine"]) == ("degraded", "google")
        assert health["engines"][0]["breaker"] == "open"
        assert (await speech.server.client.get("/health/ready")).status_code == 200
        metrics = (await speech.server.client.get("/metrics")).text
        assert 'chat_speech_breaker_open{engine="google"} 1.0' in metrics
        spoken = await speech.server.client.post("/api/v1/speech", json={"text": "Hello."})
        assert (spoken.status_code, spoken.json()["code"]) == (503, "speech_unavailable")
        assert "retry-after" in spoken.headers
        again = await speech.server.client.get(units_url(events, 0))
        assert again.status_code == 503
        assert "Traceback" not in log_of(speech.server)


def units_url(events: list[Any], index: int) -> str:
    """Return where the audio of a unit would be."""
    return f"/api/v1/speech/{data_of(events[0])['turn_id']}.{index}"


@pytest.mark.services
async def test_the_embedded_engine_stands_in_for_one_that_is_down(tmp_path: Path) -> None:
    require_espeak()
    async with spoken_server(tmp_path, espeak=True, google_tts_endpoint=NOBODY) as speech:
        events = await speech.answer(SIX)

        units = units_of(events)
        assert outcomes_of(events) == ["spoken"] * 6
        assert {unit["media_type"] for unit in units} == {"audio/wav"}
        health = await speech_health(speech)
        assert (health["status"], health["engine"]) == ("degraded", "espeak")
        assert [(each["engine"], each["breaker"]) for each in health["engines"]] == [
            ("google", "open"),
            ("espeak", "closed"),
        ]
        for unit in units:
            answer = await speech.server.client.get(unit["url"])
            assert answer.content == audio_in(unit)
        chosen = {"voice": "de-DE-Neural2-A"}  # before it went down: no reason to refuse a text
        assert outcomes_of(await speech.answer("One more.", speech=chosen)) == ["spoken"]


@pytest.mark.services
async def test_with_no_setting_at_all_answers_are_spoken(tmp_path: Path) -> None:
    require_espeak()
    async with running_server(tmp_path, tts_engine="auto") as server:  # the default
        started = await server.start("How do I resume a stream?", speech=True)
        events = await server.all_events(started["turn_id"])
        health = (await server.client.get("/health")).json()["checks"]["speech"]
        voices = (await server.client.get("/api/v1/speech/voices")).json()

        units = units_of(events)
        assert set(outcomes_of(events)) == {"spoken"}
        for unit in units:
            audio = audio_in(unit)
            assert unit["media_type"] == "audio/wav"
            assert _wav_duration_s(audio) == pytest.approx(unit["duration_s"], abs=0.001)
        # Speech is 10 to 20 characters a second; what is shown is about what is said.
        said_s = sum(unit["duration_s"] for unit in units)
        assert len(text_of(events)) / 30 < said_s < len(text_of(events)) / 8
        assert (health["status"], health["engine"], voices["engine"]) == (
            "healthy",
            "espeak",
            "espeak",
        )
        assert {voice["language"][:2] for voice in voices["voices"]} > {"en", "de", "fr"}


def _wav_duration_s(audio: bytes) -> float:
    """Return how long a WAV file of 8-bit mu-law plays; read without any code of ours."""
    riff, size, wave, fmt, _, kind, channels, rate = struct.unpack_from("<4sI4s4sIHHI", audio)
    assert (riff, wave, fmt, kind, channels) == (b"RIFF", b"WAVE", b"fmt ", 7, 1)
    assert size == len(audio) - 8
    at = audio.index(b"data", 20)
    (samples,) = struct.unpack_from("<I", audio, at + 4)
    assert at + 8 + samples <= len(audio)
    return float(samples / rate)


async def test_without_any_engine_each_unit_says_so(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, tts_engine="auto", google_tts_endpoint="") as speech:
        events = await speech.answer(PROSE)

        assert outcomes_of(events) == ["speech_off"] * 3
        assert await speech_health(speech) == {"status": "off", "engine": "off"}


async def test_where_speech_is_off_the_rest_works(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, espeak=True, tts_engine="off") as speech:
        events = await speech.answer(PROSE)
        client = speech.server.client

        assert outcomes_of(events) == ["speech_off"] * 3
        assert text_of(events) == PROSE
        assert names_of(events)[-1] == "turn.completed"
        assert (await client.get("/health")).json()["status"] == "healthy"
        gone = await client.get(units_url(events, 0))
        assert (gone.status_code, gone.json()["code"]) == (410, "audio_gone")
        none = await client.post("/api/v1/speech", json={"text": "Hello."})
        assert (none.status_code, none.json()["code"]) == (503, "speech_off")
        voices = await client.get("/api/v1/speech/voices")
        assert (voices.status_code, voices.json()) == (200, {"engine": "off", "voices": []})
        assert (await speech.stats())["synthesize"] == 0


async def test_on_the_off_arm_speech_is_left_out(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, default_streaming_percentage=0) as speech:
        body = {"message": PROSE, "speech": True}
        answer = await speech.server.client.post("/api/v1/turns", json=body)
        events = await speech.server.all_events(answer.json()["turn_id"])

        assert (answer.status_code, answer.headers["x-streaming"]) == (200, "off")
        assert answer.json()["text"] == PROSE
        assert names_of(events) == ["turn.started", "turn.completed"]
        assert (await speech.stats())["synthesize"] == 0


async def test_audio_that_is_not_kept_is_made_again(tmp_path: Path) -> None:
    async with spoken_server(tmp_path, tts_cache_max_bytes=0) as speech:
        events = await speech.answer(PROSE)
        units = units_of(events)
        made = (await speech.stats())["synthesize"]

        assert outcomes_of(events) == ["spoken"] * 3
        assert not any("data" in unit for unit in units)
        for unit in units:
            answer = await speech.server.client.get(unit["url"])
            assert (answer.status_code, len(answer.content)) == (200, unit["bytes"])
        assert (await speech.stats())["synthesize"] == made + 3


async def test_a_reader_that_comes_when_audio_is_gone_is_not_kept_waiting(tmp_path: Path) -> None:
    # Room for about one chunk: whoever follows gets all, whoever replays gets the address.
    tts: dict[str, float] = {"latency": 0.05}
    async with spoken_server(tmp_path, tts=tts, tts_cache_max_bytes=16_000) as speech:
        turn_id = await speech.ask(PROSE)
        async with aclosing(speech.server.events(turn_id)) as events:
            first = [await next_event(events)]
            while first[-1].event != "turn.completed":
                first.append(await next_event(events))
        again = await speech.server.all_events(turn_id)

        assert all("data" in unit for unit in units_of(first))
        assert not all("data" in unit for unit in units_of(again))
        for unit in units_of(again):
            assert (await speech.server.client.get(unit["url"])).status_code == 200


async def test_google_without_its_credentials_is_one_clear_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing.json"
    settings = {"TTS_ENGINE": "google", "GOOGLE_CLOUD_CREDENTIALS": str(missing)}

    lines = await fault_of(tmp_path / "data", **settings)

    assert len(lines) == 1
    assert str(missing) in lines[0]
    assert "TTS_ENGINE=google" in lines[0]


async def test_espeak_where_it_is_not_installed_is_one_clear_line(tmp_path: Path) -> None:
    hidden = without_espeak(tmp_path)["pythonpath"]

    lines = await fault_of(tmp_path / "data", TTS_ENGINE="espeak", PYTHONPATH=hidden)

    assert len(lines) == 1
    assert "TTS_ENGINE=espeak" in lines[0]


async def test_credentials_that_cannot_be_used_are_said_so_and_the_server_starts(
    tmp_path: Path,
) -> None:
    hidden = without_espeak(tmp_path)
    missing = tmp_path / "missing.json"
    async with (
        echoing_model() as upstream,
        running_server(
            tmp_path,
            tts_engine="auto",
            openai_base_url=upstream,
            google_cloud_credentials=missing,
            **hidden,
        ) as server,
    ):
        health = (await server.client.get("/health")).json()

        assert health["checks"]["speech"] == {"status": "off", "engine": "off"}
        assert "speech.google_unusable" in log_of(server)
        assert str(missing) in log_of(server)
