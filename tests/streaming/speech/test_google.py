"""The Google speaker, against the simulator over real sockets."""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import pytest_asyncio

from streaming.speech.base import MAX_UTTERANCE_BYTES, Audio, Utterance
from streaming.speech.errors import (
    SpeechError,
    SpeechRefusedError,
    SpeechTimeoutError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.google import GoogleSpeaker
from streaming.speech.google.access import Endpoint
from streaming.speech.google.calls import GoogleCalls
from streaming.speech.google.voices import GEMINI_MODEL, ChosenVoice
from tests.streaming.speech.test_google_shortening import SPANISH
from tests.support.tts_simulator import TtsSimulator, running_tts_simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENTENCE = "This sentence of some length would take a moment to say."
CHIRP = "en-US-Chirp3-HD-Kore"
PATIENCE_S = 10.0

ERRORS: dict[str, type[SpeechError]] = {
    "unavailable": SpeechUnavailableError,
    "exhausted": SpeechUnavailableError,
    "internal": SpeechUnavailableError,
    "aborted": SpeechUnavailableError,
    "cancelled": SpeechUnavailableError,
    "unknown": SpeechUnavailableError,
    "data-loss": SpeechUnavailableError,
    "empty": SpeechUnavailableError,
    "garbage": SpeechUnavailableError,
    "cut": SpeechUnavailableError,
    "deadline": SpeechTimeoutError,
    "unauthenticated": SpeechRefusedError,
    "denied": SpeechRefusedError,
    "invalid": SpeechRefusedError,
    "not-found": SpeechRefusedError,
    "precondition": SpeechRefusedError,
    "unimplemented": SpeechRefusedError,
    "too-long": SpeechTooLongError,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncGenerator[TtsSimulator, None]:
    async with running_tts_simulator(slow=0.5) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def unseen(simulator: TtsSimulator) -> None:
    await simulator.reset()


@asynccontextmanager
async def a_speaker(simulator: TtsSimulator, **more: Any) -> AsyncIterator[GoogleSpeaker]:
    speaker = GoogleSpeaker(credentials_path=None, endpoint=simulator.endpoint, **more)
    try:
        yield speaker
    finally:
        await speaker.close()


async def spoken(speaker: GoogleSpeaker, text: str = SENTENCE, **more: str) -> Audio:
    with anyio.fail_after(PATIENCE_S):
        return await speaker.speak(Utterance(text, **more))


@pytest.mark.parametrize(
    ("encoding", "media_type"), [("ogg_opus", "audio/ogg"), ("mp3", "audio/mpeg")]
)
async def test_audio_knows_how_long_it_is(
    simulator: TtsSimulator, encoding: str, media_type: str
) -> None:
    async with a_speaker(simulator, encoding=encoding) as speaker:
        for text in (SENTENCE, SENTENCE * 3):
            audio = await spoken(speaker, text)

            assert audio.media_type == media_type
            assert audio.duration_s == pytest.approx(len(text) / 15, abs=0.03)


async def test_the_rate_is_asked_for(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator, rate=1.5) as speaker:
        audio = await spoken(speaker)

        assert audio.duration_s == pytest.approx(len(SENTENCE) / 15 / 1.5, abs=0.03)
        assert (speaker.engine, speaker.identity) == ("google", "google:v1:en-US:1.5:ogg_opus")


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("fault", ERRORS)
async def test_every_fault_becomes_one_error_without_googles_words(
    simulator: TtsSimulator, fault: str, *, streaming: bool
) -> None:
    text = f"Secret words fault:{fault} of a length that a stream sends in pieces."
    async with a_speaker(simulator, streaming=streaming, default_voice=CHIRP) as speaker:
        with pytest.raises(SpeechError) as raised:
            await spoken(speaker, text)

    assert type(raised.value) is ERRORS[fault]
    logged = "".join(traceback.format_exception(raised.value))
    assert "Secret" not in logged
    assert "asked to fail" not in logged


@pytest.mark.parametrize("method", ["synthesize", "stream"])
async def test_a_call_that_is_never_answered_ends_at_its_deadline(
    simulator: TtsSimulator, method: str
) -> None:
    calls = GoogleCalls(
        Endpoint(f"127.0.0.1:{simulator.port}", is_plaintext=True),
        None,
        encoding="ogg_opus",
        rate=1.0,
    )
    speak = calls.synthesize if method == "synthesize" else calls.stream

    with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechTimeoutError):
        await speak("Say fault:never please.", ChosenVoice("en-US", CHIRP), timeout_s=1.0)

    await simulator.wait_for(lambda seen: seen["cancelled"] == 1)
    await calls.close()


@pytest.mark.parametrize("method", ["synthesize", "stream"])
async def test_what_the_package_cannot_send_is_an_error_of_ours(
    simulator: TtsSimulator, method: str
) -> None:
    calls = GoogleCalls(
        Endpoint(f"127.0.0.1:{simulator.port}", is_plaintext=True),
        None,
        encoding="ogg_opus",
        rate=1.0,
    )
    speak = calls.synthesize if method == "synthesize" else calls.stream

    with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechError):
        await speak(SENTENCE, ChosenVoice("\ud800"), timeout_s=1.0)

    await calls.close()


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_cancelling_the_task_cancels_the_call(
    simulator: TtsSimulator, *, streaming: bool
) -> None:
    async with a_speaker(simulator, streaming=streaming, default_voice=CHIRP) as speaker:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spoken, speaker, "Say fault:never please.")
            await simulator.wait_for(lambda seen: seen["in_flight"] == 1)
            tasks.cancel_scope.cancel()

        seen = await simulator.wait_for(lambda seen: seen["cancelled"] == 1)

    assert seen["stream" if streaming else "synthesize"] == 1


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
async def test_a_callers_deadline_is_its_own_and_ends_nothing_else(
    simulator: TtsSimulator, *, streaming: bool
) -> None:
    outcomes: list[str] = []
    async with a_speaker(simulator, streaming=streaming, default_voice=CHIRP) as speaker:

        async def speak_within(deadline_s: float, text: str) -> None:
            try:
                with anyio.fail_after(deadline_s):
                    await speaker.speak(Utterance(text))
                outcomes.append("spoken")
            except TimeoutError:
                outcomes.append("late")

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(speak_within, 0.002 * (number % 20), "Say fault:never please.")
            tasks.start_soon(speak_within, PATIENCE_S, "Say fault:slow please.")

    assert sorted(outcomes) == ["late"] * 40 + ["spoken"]
    await simulator.wait_for(lambda seen: seen["in_flight"] == 0)


async def test_a_cancellation_without_a_scope_is_passed_on(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await speaker.speak(Utterance("Say fault:never please."))

    await simulator.wait_for(lambda seen: seen["in_flight"] == 0)


async def test_fifty_calls_run_beside_each_other(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        texts = [f"Number {number} fault:slow" for number in range(50)]
        lengths: dict[str, float] = {}

        async def speak(text: str) -> None:
            lengths[text] = (await spoken(speaker, text)).duration_s

        async with anyio.create_task_group() as tasks:
            for text in texts:
                tasks.start_soon(speak, text)

    seen = await simulator.stats()
    assert seen["max_in_flight"] == 50
    assert lengths == pytest.approx({text: len(text) / 15 for text in texts}, abs=0.03)


async def test_a_sentence_too_long_for_google_is_said_in_shorter_ones(
    simulator: TtsSimulator,
) -> None:
    async with a_speaker(simulator) as speaker:
        audio = await spoken(speaker, SPANISH, language="es")

    seen = await simulator.stats()
    assert [call["state"] for call in seen["calls"]] == ["refused", "completed"]
    assert audio.duration_s == pytest.approx(len(SPANISH) / 15, abs=0.3)


async def test_what_stays_too_long_is_tried_twice_and_no_more(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        with pytest.raises(SpeechTooLongError):
            await spoken(speaker, "fault:too-long and so on " * 20)
        assert (await simulator.stats())["synthesize"] == 2

        with pytest.raises(SpeechTooLongError):
            await spoken(speaker, "fault:too-long")
        assert (await simulator.stats())["synthesize"] == 3


async def test_more_bytes_than_google_takes_are_not_sent(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        with pytest.raises(SpeechTooLongError):
            await spoken(speaker, "\u6587" * (MAX_UTTERANCE_BYTES // 3 + 1))
        assert (await simulator.stats())["synthesize"] == 0

        await spoken(speaker, "\u6587\u3002" * (MAX_UTTERANCE_BYTES // 6))


async def test_half_a_character_is_passed_over(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        await spoken(speaker, "Half \ud83d of it.")

    assert (await simulator.stats())["calls"][0]["text"] == "Half  of it."


@pytest.mark.parametrize(
    ("asked", "voice", "language"),
    [
        ({"voice": "de-DE-Neural2-B"}, "de-DE-Neural2-B", "de-DE"),
        ({"voice": "de-DE-Neural2-B", "language": "fr"}, "de-DE-Neural2-B", "de-DE"),
        ({"language": "de"}, "", "de-DE"),
        ({"language": "zh-Hant"}, "", "cmn-TW"),
        ({}, CHIRP, "en-US"),
    ],
)
async def test_voice_and_language_are_asked_for(
    simulator: TtsSimulator, asked: dict[str, str], voice: str, language: str
) -> None:
    async with a_speaker(simulator, default_voice=CHIRP) as speaker:
        await spoken(speaker, **asked)

    call = (await simulator.stats())["calls"][0]
    assert (call["voice"], call["language"]) == (voice, language)


async def test_a_bare_name_is_asked_for_with_its_model(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        await spoken(speaker, voice="Kore", language="ja")

    call = (await simulator.stats())["calls"][0]
    assert (call["voice"], call["language"], call["model"]) == ("Kore", "ja-JP", GEMINI_MODEL)


async def test_an_unknown_voice_gives_way_to_its_language_and_is_remembered(
    simulator: TtsSimulator,
) -> None:
    async with a_speaker(simulator) as speaker:
        for _ in range(3):
            await spoken(speaker, voice="de-DE-Gone-A")
        await spoken(speaker, voice="robot", language="fr")

    seen = await simulator.stats()
    assert [(call["method"], call["voice"]) for call in seen["calls"]] == [
        ("synthesize", "de-DE-Gone-A"),
        ("voices", ""),
        *[("synthesize", "")] * 4,
    ]
    assert [call["language"] for call in seen["calls"][2:]] == ["de-DE"] * 3 + ["fr-FR"]


async def test_a_known_voice_that_is_refused_stays_refused(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        with pytest.raises(SpeechRefusedError):
            await spoken(speaker, "fault:denied", voice="de-DE-Neural2-B")

    seen = await simulator.stats()
    assert (seen["synthesize"], seen["voices"]) == (1, 1)


async def test_without_a_list_of_voices_a_refused_one_stays_refused() -> None:
    async with running_tts_simulator(voices_fail=1) as simulator, a_speaker(simulator) as speaker:
        with pytest.raises(SpeechUnavailableError):
            await speaker.voices()
        with pytest.raises(SpeechRefusedError):
            await spoken(speaker, voice="de-DE-Gone-A")

        await spoken(speaker, voice="de-DE-Neural2-B")


async def test_the_voices_are_listed_by_language(simulator: TtsSimulator) -> None:
    async with a_speaker(simulator) as speaker:
        with anyio.fail_after(PATIENCE_S):
            voices = await speaker.voices()
            assert await speaker.voices() == voices

    pairs = [(voice.language, voice.name) for voice in voices]
    assert pairs == sorted(set(pairs))
    assert ("de-DE", "de-DE-Neural2-B") in pairs
    assert {language for language, name in pairs if name == "Kore"} > {"de-DE", "ja-JP"}
    assert (await simulator.stats())["voices"] == 1


@pytest.mark.parametrize(
    ("voice", "encoding", "method"),
    [
        (CHIRP, "ogg_opus", "stream"),
        ("Kore", "ogg_opus", "stream"),
        ("en-US-Neural2-A", "ogg_opus", "synthesize"),
        ("", "ogg_opus", "synthesize"),
        (CHIRP, "mp3", "synthesize"),
    ],
)
async def test_a_stream_is_used_where_there_can_be_one(
    simulator: TtsSimulator, voice: str, encoding: str, method: str
) -> None:
    async with a_speaker(simulator, streaming=True, encoding=encoding, rate=2.0) as speaker:
        audio = await spoken(speaker, voice=voice)

    assert audio.duration_s == pytest.approx(len(SENTENCE) / 30, abs=0.03)
    assert (await simulator.stats())[method] == 1


async def test_nothing_answering_is_unavailable() -> None:
    speaker = GoogleSpeaker(credentials_path=None, endpoint="http://127.0.0.1:9")

    with pytest.raises(SpeechUnavailableError):
        await spoken(speaker)
    with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechUnavailableError):
        await speaker.voices()
    await speaker.close()


async def test_closing_ends_the_calls_under_way_as_unavailable(simulator: TtsSimulator) -> None:
    errors = []
    async with a_speaker(simulator) as speaker:

        async def speak() -> None:
            try:
                await spoken(speaker, "Say fault:never please.")
            except (SpeechError, asyncio.CancelledError) as exc:
                errors.append(type(exc))

        await speaker.voices()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(speak)
            await simulator.wait_for(lambda seen: seen["in_flight"] == 1)
            await speaker.close()
        await speaker.close()

        assert errors == [SpeechUnavailableError]
        with pytest.raises(SpeechUnavailableError, match="closed"):
            await spoken(speaker)
        with pytest.raises(SpeechUnavailableError, match="closed"):
            await speaker.voices()


async def test_the_package_does_not_log_what_is_said(
    simulator: TtsSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "google")

    async with a_speaker(simulator) as speaker:
        await spoken(speaker, "Secret words.")

    assert "ecret" not in caplog.text
