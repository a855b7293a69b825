"""The audio maker: which engine speaks, what is kept, and what is told of it."""

import anyio
import pytest

from streaming.speech.base import Audio, Utterance, Voice
from streaming.speech.errors import (
    SpeechOffError,
    SpeechRefusedError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.maker import MadeAudio
from tests.streaming.speech.makers import (
    HELLO,
    REFUSED,
    TOO_LONG,
    UNAVAILABLE,
    a_studio,
    utterances,
)
from tests.support.speakers import HANGS, ScriptedSpeaker, audio_of
from tests.support.virtual_time import run_in_virtual_time


async def test_the_first_engine_speaks_and_the_second_is_not_asked() -> None:
    google, espeak = ScriptedSpeaker("google"), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak])

    made = await studio.maker.make(HELLO)

    assert made == MadeAudio(audio_of("google", "Hello."), "google", from_cache=False)
    assert (google.asked, espeak.asked) == ([HELLO], [])


async def test_what_was_made_comes_from_the_cache_the_next_time() -> None:
    google = ScriptedSpeaker("google")
    studio = a_studio([google])

    first = await studio.maker.make(HELLO)
    second = await studio.maker.make(HELLO, first=True)

    assert (first.from_cache, second.from_cache) == (False, True)
    assert second.audio == first.audio
    assert len(google.asked) == 1
    assert studio.metrics.snapshot().caches["tts"].hit_rate == 0.5


@pytest.mark.parametrize(
    "other",
    [
        Utterance("Hello!", "en-GB"),
        Utterance("Hello.", "en-US"),
        Utterance("Hello.", "en-GB", "en-GB-A"),
    ],
)
async def test_another_text_language_or_voice_is_another_audio(other: Utterance) -> None:
    google = ScriptedSpeaker("google")
    studio = a_studio([google])
    await studio.maker.make(HELLO)

    made = await studio.maker.make(other)

    assert not made.from_cache
    assert google.asked == [HELLO, other]


async def test_a_failed_engine_is_stood_in_for_by_the_next() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE])
    espeak = ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], retries=0)

    made = await studio.maker.make(HELLO)

    assert (made.engine, made.audio) == ("espeak", audio_of("espeak", "Hello."))


async def test_a_refused_text_goes_to_the_next_engine_at_once() -> None:
    google, espeak = ScriptedSpeaker("google", [REFUSED]), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak])

    made = await studio.maker.make(HELLO)

    assert (made.engine, len(google.asked)) == ("espeak", 1)


async def test_a_text_that_is_too_long_is_told_at_once_and_no_fallback_speaks_it() -> None:
    google, espeak = ScriptedSpeaker("google", [TOO_LONG]), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak])

    with pytest.raises(SpeechTooLongError):
        await studio.maker.make(HELLO)

    assert (len(google.asked), len(espeak.asked)) == (1, 0)


async def test_when_no_engine_can_the_last_error_is_told_and_counted_as_a_miss() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE])
    espeak = ScriptedSpeaker("espeak", [REFUSED])
    studio = a_studio([google, espeak], retries=0)

    with pytest.raises(SpeechRefusedError):
        await studio.maker.make(HELLO)

    snapshot = studio.metrics.snapshot()
    assert (snapshot.caches["tts"].hits, snapshot.caches["tts"].misses) == (0, 1)
    assert snapshot.speech.calls == {
        "google": {"speech_unavailable": 1},
        "espeak": {"speech_refused": 1},
    }


async def test_errors_are_not_kept() -> None:
    google = ScriptedSpeaker("google", [REFUSED, 0.0])
    studio = a_studio([google])

    with pytest.raises(SpeechRefusedError):
        await studio.maker.make(HELLO)
    made = await studio.maker.make(HELLO)

    assert made.engine == "google"


async def test_audio_of_the_fallback_is_not_served_while_the_first_engine_may_be_asked() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE, 0.0])
    espeak = ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], retries=0)

    made = [await studio.maker.make(HELLO) for _ in range(3)]

    assert [each.engine for each in made] == ["espeak", "google", "google"]
    assert [each.from_cache for each in made] == [False, False, True]


async def test_kept_audio_of_the_fallback_serves_when_the_first_engine_fails_again() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE])
    espeak = ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], retries=0)

    made = [await studio.maker.make(HELLO) for _ in range(2)]

    assert [(each.engine, each.from_cache) for each in made] == [
        ("espeak", False),
        ("espeak", True),
    ]
    assert len(espeak.asked) == 1


@pytest.mark.parametrize("speakers", [[], [ScriptedSpeaker("off")]])
async def test_without_an_engine_speech_is_off(speakers: list[ScriptedSpeaker]) -> None:
    studio = a_studio(speakers)

    with pytest.raises(SpeechOffError):
        await studio.maker.make(HELLO)

    assert (studio.maker.engine, studio.maker.health()) == ("off", ())
    assert await studio.maker.voices() == ()
    assert studio.metrics.snapshot().caches["tts"].misses == 0


async def test_an_engine_that_is_off_is_passed_over() -> None:
    off = ScriptedSpeaker("off", [SpeechOffError()])
    studio = a_studio([off, ScriptedSpeaker("espeak")])

    made = await studio.maker.make(HELLO)

    assert (made.engine, studio.maker.engine) == ("espeak", "espeak")


async def test_voices_are_those_of_the_first_engine_that_can_name_them() -> None:
    google, espeak = ScriptedSpeaker("google"), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak])

    before = await studio.maker.voices()
    google.names = UNAVAILABLE
    after = await studio.maker.voices()
    espeak.names = REFUSED

    assert before == (Voice("google-1", "en-GB"),)
    assert after == (Voice("espeak-1", "en-GB"),)
    with pytest.raises(SpeechRefusedError):
        await studio.maker.voices()


def test_an_engine_that_does_not_name_its_voices_in_time_is_passed_over() -> None:
    google, espeak = ScriptedSpeaker("google"), ScriptedSpeaker("espeak")
    google.names = None

    async def main() -> tuple[Voice, ...]:
        return await a_studio([google, espeak]).maker.voices()

    assert run_in_virtual_time(main) == (Voice("espeak-1", "en-GB"),)


async def test_closing_closes_every_engine_also_after_one_that_fails_to() -> None:
    class Stubborn(ScriptedSpeaker):
        async def close(self) -> None:
            await super().close()
            raise OSError("will not")

    speakers = [ScriptedSpeaker("google"), Stubborn("espeak"), ScriptedSpeaker("off")]
    studio = a_studio(speakers)

    with pytest.raises(OSError, match="will not"):
        await studio.maker.close()

    assert [speaker.closed for speaker in speakers] == [1, 1, 1]


async def test_cancelling_stops_the_engine_and_leaves_nothing_behind() -> None:
    google = ScriptedSpeaker("google", [HANGS, 0.0])
    studio = a_studio([google], max_parallel=1)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(studio.maker.make, HELLO)
            await google.until_asked()
            tasks.cancel_scope.cancel()
        made = await studio.maker.make(HELLO)

    assert (google.cancelled, google.running) == (1, 0)
    assert made.engine == "google"
    assert studio.metrics.snapshot().speech.calls["google"] == {"cancelled": 1, "spoken": 1}


async def test_a_cancelled_call_is_not_held_against_the_engine() -> None:
    google = ScriptedSpeaker("google", [HANGS])
    studio = a_studio([google])

    for number, utterance in enumerate(utterances(20)):
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(studio.maker.make, utterance)
                await google.until_asked(number + 1)
                tasks.cancel_scope.cancel()

    assert studio.maker.health()[0].breaker.failures == 0


async def test_no_more_units_are_in_the_engines_than_may_be() -> None:
    gate = anyio.Event()
    google = ScriptedSpeaker("google", [gate])
    studio = a_studio([google], max_parallel=3)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for utterance in utterances(12):
                tasks.start_soon(studio.maker.make, utterance)
            await google.until_asked(3)
            gate.set()

    assert (google.most_running, len(google.asked)) == (3, 12)


async def test_who_waits_for_a_place_is_served_in_order() -> None:
    google = ScriptedSpeaker("google")
    studio = a_studio([google], max_parallel=1)
    wanted = utterances(12)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for utterance in wanted:
                tasks.start_soon(studio.maker.make, utterance)

    assert google.asked == wanted


async def test_kept_audio_needs_no_place() -> None:
    google = ScriptedSpeaker("google", [0.0, HANGS])
    studio = a_studio([google], max_parallel=1)
    await studio.maker.make(HELLO)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(studio.maker.make, Utterance("Something else."))
            await google.until_asked(2)
            made = await studio.maker.make(HELLO)
            tasks.cancel_scope.cancel()

    assert made.from_cache


async def test_what_is_no_speech_error_passes_through_and_leaves_nothing_behind() -> None:
    class Broken(ScriptedSpeaker):
        async def speak(self, utterance: Utterance) -> Audio:
            raise ZeroDivisionError(len(utterance.text))

    studio = a_studio([Broken("google"), ScriptedSpeaker("espeak")], max_parallel=1)

    for _ in range(3):
        with pytest.raises(ZeroDivisionError), anyio.fail_after(5):
            await studio.maker.make(HELLO)

    assert studio.maker.health()[0].breaker.failures == 0


async def test_speech_errors_say_nothing_of_the_text() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE])
    studio = a_studio([google], retries=0)
    secret = Utterance("My secret is 4711.")

    told = []
    for _ in range(10):
        with pytest.raises(SpeechUnavailableError) as failed:
            await studio.maker.make(secret)
        told.append(failed.value.detail)

    assert all("4711" not in detail for detail in told)
