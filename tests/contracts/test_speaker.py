"""What every speech engine promises, whatever it is given to say.

Another engine joins with one entry in `SPEAKERS`: an async context manager that yields it and
closes it, and takes its rate.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise

import anyio
import pytest
import pytest_asyncio

from streaming.speech.audio import duration_s
from streaming.speech.base import MAX_UTTERANCE_BYTES, Audio, Speaker, Utterance
from streaming.speech.errors import (
    SpeechError,
    SpeechOffError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.espeak import EspeakSpeaker
from streaming.speech.google import GoogleSpeaker
from streaming.speech.silent import SilentSpeaker
from tests.support.espeak import require_espeak
from tests.support.tts_simulator import running_tts_simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

NewSpeaker = Callable[[float], AbstractAsyncContextManager[Speaker]]

PATIENCE_S = 20.0
SENTENCE = "The answer is spoken while it is being written."


@asynccontextmanager
async def _espeak(rate: float) -> AsyncGenerator[Speaker, None]:
    require_espeak()
    speaker = EspeakSpeaker(rate=rate)
    try:
        yield speaker
    finally:
        await speaker.close()


@asynccontextmanager
async def _google(rate: float) -> AsyncGenerator[Speaker, None]:
    async with running_tts_simulator() as simulator:
        speaker = GoogleSpeaker(credentials_path=None, endpoint=simulator.endpoint, rate=rate)
        try:
            yield speaker
        finally:
            await speaker.close()


SPEAKERS: dict[str, NewSpeaker] = {"espeak": _espeak, "google": _google}

HOSTILE = {
    "nothing": "",
    "spaces": " \t\r\n ",
    "full stops": "." * 400,
    "markup": '<speak>a <break time="9999s"/> & <audio src="file:///etc/passwd"/></speak>',
    "brackets": "[[h@l'oU]] ]]> {{ }} ${x} %s %n",
    "control characters": "a\0b\x01300Sc\x07\x1b[31m\x7f\x9f",
    "half a character": "a \ud83d b \udc00",
    "emoji": "👨‍👩‍👧‍👦🏳️‍🌈🇨🇭👍🏽" * 20,
    "right to left": "مرحبا \u202e\u2066בדקה\u2069 ١٢٣",
    "one long word": "a" * 2000,
    "digits": "1234567890" * 60,
    "marks": "a" + "\u0301" * 900,
    "private and unassigned": "\ue000\U000f0000\uffff\u0378",
    "all that is printed": "".join(map(chr, range(32, 127))) * 10,
    "braille, said in Arabic": "⣟",
    "a flag, said in Danish": "Brug '-e, ]-⣪ her.",
    "circled, said in Gujarati": "Ⓜެ",
}
LANGUAGE = {
    "braille, said in Arabic": "ar",
    "a flag, said in Danish": "da",
    "circled, said in Gujarati": "gu",
}


@pytest.fixture(params=SPEAKERS, scope="module")
def new_speaker(request: pytest.FixtureRequest) -> NewSpeaker:
    return SPEAKERS[request.param]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speaker(new_speaker: NewSpeaker) -> AsyncGenerator[Speaker, None]:
    async with new_speaker(1.0) as speaker:
        yield speaker


async def said(speaker: Speaker, text: str, *, language: str = "en", voice: str = "") -> Audio:
    with anyio.fail_after(PATIENCE_S):
        return await speaker.speak(Utterance(text, language, voice))


async def said_or_refused(speaker: Speaker, text: str, language: str) -> Audio | SpeechError:
    try:
        return await said(speaker, text, language=language)
    except SpeechError as error:
        return error


def bytes_of_text(count: int) -> str:
    """Return sentences of so many bytes."""
    return (SENTENCE + " ") * (count // (len(SENTENCE) + 1)) + "a" * (count % (len(SENTENCE) + 1))


async def test_audio_is_a_whole_file_that_is_as_long_as_it_says(speaker: Speaker) -> None:
    audio = await said(speaker, SENTENCE)

    assert 1.0 < audio.duration_s < 10.0
    assert duration_s(audio.media_type, audio.data) == pytest.approx(audio.duration_s, abs=0.001)


async def test_more_text_is_more_audio(speaker: Speaker) -> None:
    lengths = [(await said(speaker, SENTENCE * times)).duration_s for times in (1, 2, 4)]

    for shorter, longer in pairwise(lengths):
        assert longer > 1.5 * shorter


async def test_calls_at_once_get_their_own_audio(speaker: Speaker) -> None:
    got: dict[int, float] = {}

    async def say(times: int) -> None:
        got[times] = (await said(speaker, "word " * times)).duration_s

    async with anyio.create_task_group() as tasks:
        for times in (16, 1, 8, 2, 32, 4):
            tasks.start_soon(say, times)

    lengths = [got[times] for times in sorted(got)]
    assert all(longer > 1.3 * shorter for shorter, longer in pairwise(lengths))


async def test_cancelling_one_call_leaves_the_others_well(speaker: Speaker) -> None:
    kept: list[Audio] = []

    async def keep() -> None:
        kept.append(await said(speaker, SENTENCE))

    async with anyio.create_task_group() as tasks:
        for round_s in (0, 0.001, 0.004, 0.01):
            tasks.start_soon(keep)
            with anyio.move_on_after(round_s):
                await said(speaker, bytes_of_text(4000))
            tasks.start_soon(keep)

    alone = await said(speaker, SENTENCE)
    assert len(kept) == 8
    for audio in kept:
        assert audio.duration_s == pytest.approx(alone.duration_s, rel=0.1)


async def test_a_voice_that_is_not_there_leaves_it_to_the_language(speaker: Speaker) -> None:
    english = await said(speaker, SENTENCE)

    for voice in ("xx-XX-Nobody-A", "x" * 5000, "\0", "../../etc/passwd"):
        audio = await said(speaker, SENTENCE, voice=voice)
        assert audio.duration_s == pytest.approx(english.duration_s, rel=0.1)


@pytest.mark.parametrize("language", ["", "de", "de-CH", "pt-BR", "EN-us", "not/one", "x\0"])
async def test_a_language_is_spoken_and_what_is_none_is_the_engines_choice(
    speaker: Speaker, language: str
) -> None:
    assert (await said(speaker, SENTENCE, language=language)).duration_s > 0.5


async def test_a_language_without_a_voice_is_spoken_or_refused(speaker: Speaker) -> None:
    for language in ("tlh", "qaa", "zz-ZZ"):
        audio = await said_or_refused(speaker, SENTENCE, language)
        assert isinstance(audio, Audio | SpeechError)


async def test_as_many_bytes_as_promised_are_spoken_and_no_more(speaker: Speaker) -> None:
    for text in (bytes_of_text(MAX_UTTERANCE_BYTES), "Ist es möglich? Ja. " * 228):
        assert MAX_UTTERANCE_BYTES - 20 < len(text.encode()) <= MAX_UTTERANCE_BYTES
        assert (await said(speaker, text)).duration_s > 100

    for text in (bytes_of_text(MAX_UTTERANCE_BYTES + 1), "ö" * 2401):
        with pytest.raises(SpeechTooLongError):
            await said(speaker, text)


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_text_is_spoken_or_refused_and_the_next_is_spoken(
    speaker: Speaker, kind: str
) -> None:
    audio = await said_or_refused(speaker, HOSTILE[kind], language=LANGUAGE.get(kind, "en"))

    if isinstance(audio, SpeechError):
        assert HOSTILE[kind][:20] not in audio.detail or kind in {"nothing", "spaces"}
    else:
        assert 0 < duration_s(audio.media_type, audio.data) < 600
    assert (await said(speaker, SENTENCE)).duration_s > 1.0


async def test_voices_are_sorted_and_can_be_asked_for(speaker: Speaker) -> None:
    with anyio.fail_after(PATIENCE_S):
        voices = await speaker.voices()

    assert len(set(voices)) == len(voices) > 2
    assert list(voices) == sorted(voices, key=lambda voice: (voice.language, voice.name))
    # Some of the simulator's voices stand for faults.
    good = [voice for voice in voices if "-Fault-" not in voice.name]
    for voice in good[:: len(good) // 3]:
        assert (await said(speaker, SENTENCE, voice=voice.name)).duration_s > 0.5


async def test_the_identity_tells_speakers_apart_that_sound_different(
    new_speaker: NewSpeaker,
) -> None:
    async with new_speaker(1.0) as one, new_speaker(1.5) as faster, new_speaker(1.0) as same:
        before = one.identity
        usual, quick = await said(one, SENTENCE), await said(faster, SENTENCE)

        assert quick.duration_s == pytest.approx(usual.duration_s / 1.5, rel=0.15)
        assert before == one.identity == same.identity != faster.identity
        assert one.engine == faster.engine


async def test_what_was_closed_is_not_available(new_speaker: NewSpeaker) -> None:
    for used in (False, True):
        async with new_speaker(1.0) as speaker:
            if used:
                await said(speaker, SENTENCE)
            with anyio.fail_after(PATIENCE_S):
                await speaker.close()
                await speaker.close()

            with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechUnavailableError):
                await speaker.speak(Utterance(SENTENCE))
            with anyio.fail_after(PATIENCE_S), pytest.raises(SpeechUnavailableError):
                await speaker.voices()


async def test_closing_ends_the_calls_that_run_and_wait(new_speaker: NewSpeaker) -> None:
    ended: list[Audio | SpeechError] = []

    async def say(speaker: Speaker) -> None:
        ended.append(await said_or_refused(speaker, bytes_of_text(4800), "en"))

    async with new_speaker(1.0) as speaker:
        await said(speaker, SENTENCE)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(say, speaker)
            await anyio.wait_all_tasks_blocked()
            await speaker.close()

    assert len(ended) == 5


async def test_the_silent_speaker_says_that_it_is_off() -> None:
    speaker: Speaker = SilentSpeaker()

    with pytest.raises(SpeechOffError):
        await speaker.speak(Utterance(SENTENCE))
    assert (speaker.engine, speaker.identity, await speaker.voices()) == ("off", "off", ())
    await speaker.close()
    await speaker.close()
