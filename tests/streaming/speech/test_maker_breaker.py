"""Engines that fail or refuse for long: left alone for a while, stood in for, and tried again."""

import anyio
import pytest

from resilience.breaker import BreakerState
from streaming.speech.base import Utterance
from streaming.speech.errors import (
    SpeechRefusedError,
    SpeechTimeoutError,
    SpeechUnavailableError,
)
from streaming.speech.maker import MadeAudio
from streaming.speech.making.guarded import EngineLimits
from streaming.speech.making.refusals import MAX_MANNERS, Refusals
from tests.streaming.speech.makers import (
    HELLO,
    REFUSED,
    TOO_LONG,
    UNAVAILABLE,
    Clock,
    Studio,
    a_studio,
    utterances,
)
from tests.support.speakers import HANGS, ScriptedSpeaker
from tests.support.virtual_time import run_in_virtual_time


def quick_limits(clock: Clock) -> EngineLimits:
    """One try, a breaker after two failures, rest after three refusals."""
    return EngineLimits(
        retries=0, failures=2, open_s=5, max_open_s=20, refusals=3, rest_s=60, clock=clock
    )


def gauge(studio: Studio, engine: str = "google") -> str:
    lines = studio.metrics.exposition()[0].decode().splitlines()
    start = f'chat_speech_breaker_open{{engine="{engine}"}} '
    return next((line.removeprefix(start) for line in lines if line.startswith(start)), "")


async def an_outage(studio: Studio, count: int = 2) -> None:
    for utterance in utterances(count, "fr"):
        await studio.maker.make(utterance)


async def test_an_engine_that_keeps_failing_is_left_alone_and_stood_in_for() -> None:
    google, espeak = ScriptedSpeaker("google", [UNAVAILABLE]), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], limits=quick_limits)
    before = studio.maker.engine

    await an_outage(studio, 10)

    google_health, espeak_health = studio.maker.health()
    assert (len(google.asked), len(espeak.asked)) == (2, 10)
    assert (before, studio.maker.engine) == ("google", "espeak")
    assert google_health.breaker.state is BreakerState.OPEN
    assert google_health.breaker.retry_in_s > 0
    assert (espeak_health.engine, espeak_health.breaker.state) == ("espeak", BreakerState.CLOSED)
    assert gauge(studio) == "1.0"


async def test_after_its_time_one_unit_probes_the_engine_and_brings_it_back() -> None:
    gate = anyio.Event()
    google = ScriptedSpeaker("google", [UNAVAILABLE, UNAVAILABLE, gate])
    studio = a_studio([google, ScriptedSpeaker("espeak")], limits=quick_limits)
    await an_outage(studio)
    studio.clock.now += 5
    due = studio.maker.engine
    probe, *others = utterances(5)
    probed: list[MadeAudio] = []

    async def make_probe() -> None:
        probed.append(await studio.maker.make(probe))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(make_probe)
            await google.until_asked(3)
            beside = [(await studio.maker.make(other)).engine for other in others]
            gate.set()

    assert due == "google"
    assert beside == ["espeak"] * 4
    assert probed[0].engine == "google"
    assert studio.maker.health()[0].breaker.state is BreakerState.CLOSED
    assert (await studio.maker.make(HELLO)).engine == "google"
    assert gauge(studio) == "0.0"


async def test_a_probe_that_is_cancelled_leaves_room_for_the_next() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE, UNAVAILABLE, HANGS, 0.0])
    studio = a_studio([google, ScriptedSpeaker("espeak")], limits=quick_limits)
    await an_outage(studio)
    studio.clock.now += 5

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(studio.maker.make, HELLO)
            await google.until_asked(3)
            tasks.cancel_scope.cancel()
        made = await studio.maker.make(HELLO)

    assert made.engine == "google"


async def test_kept_audio_of_an_engine_that_is_left_alone_still_serves() -> None:
    google = ScriptedSpeaker("google", [0.0, UNAVAILABLE])
    studio = a_studio([google, ScriptedSpeaker("espeak")], limits=quick_limits)
    await studio.maker.make(HELLO)
    await an_outage(studio)

    made = await studio.maker.make(HELLO)

    assert (made.engine, made.from_cache) == ("google", True)


async def test_without_a_fallback_units_fail_at_once_while_the_engine_is_left_alone() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE])
    studio = a_studio([google], limits=quick_limits)

    for utterance in utterances(10):
        with pytest.raises(SpeechUnavailableError):
            await studio.maker.make(utterance)

    assert len(google.asked) == 2
    assert studio.maker.engine == "google"
    with pytest.raises(SpeechUnavailableError):
        await studio.maker.voices()


async def test_no_retry_follows_when_the_breaker_opens() -> None:
    def limits(clock: Clock) -> EngineLimits:
        return EngineLimits(retries=2, backoff_s=0.0, failures=2, clock=clock)

    google = ScriptedSpeaker("google", [UNAVAILABLE])
    studio = a_studio([google, ScriptedSpeaker("espeak")], limits=limits)

    made = await studio.maker.make(HELLO)

    assert (made.engine, len(google.asked)) == ("espeak", 2)


async def test_who_waited_for_a_place_while_the_breaker_opened_does_not_ask_the_engine() -> None:
    gate = anyio.Event()
    google = ScriptedSpeaker("google", [gate, UNAVAILABLE])
    espeak = ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], max_parallel=1, limits=quick_limits)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for utterance in utterances(6):
                tasks.start_soon(studio.maker.make, utterance)
            await google.until_asked()
            gate.set()

    assert (len(google.asked), len(espeak.asked)) == (3, 5)
    assert studio.metrics.snapshot().speech.calls["google"] == {
        "speech_unavailable": 2,
        "spoken": 1,
    }


def test_an_engine_that_hangs_is_left_alone_like_one_that_fails() -> None:
    google, espeak = ScriptedSpeaker("google", [HANGS]), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], limits=quick_limits)

    run_in_virtual_time(an_outage, studio, 5)

    assert (len(google.asked), len(espeak.asked)) == (2, 5)


async def test_texts_that_are_too_long_or_refused_open_no_breaker() -> None:
    google = ScriptedSpeaker("google", [TOO_LONG, REFUSED] * 10)
    studio = a_studio([google], limits=quick_limits)

    for number, utterance in enumerate(utterances(20)):
        with pytest.raises(type([TOO_LONG, REFUSED][number % 2])):
            await studio.maker.make(Utterance(utterance.text, f"l{number}"))

    assert studio.maker.health()[0].breaker.failures == 0


async def test_a_language_that_is_refused_again_and_again_rests_and_others_do_not() -> None:
    def step_of(_: int, utterance: Utterance) -> float | SpeechRefusedError:
        return REFUSED if utterance.language == "my" else 0.0

    google, espeak = ScriptedSpeaker("google", step_of=step_of), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], limits=quick_limits)

    burmese = [(await studio.maker.make(each)).engine for each in utterances(10, "my")]
    english = [(await studio.maker.make(each)).engine for each in utterances(10)]

    assert burmese == ["espeak"] * 10
    assert english == ["google"] * 10
    assert len([each for each in google.asked if each.language == "my"]) == 3


async def test_one_text_that_is_refused_again_and_again_rests_nothing() -> None:
    google = ScriptedSpeaker("google", [REFUSED])
    studio = a_studio([google], limits=quick_limits)

    for _ in range(10):
        with pytest.raises(SpeechRefusedError):
            await studio.maker.make(HELLO)

    assert len(google.asked) == 10
    assert not studio.maker.health()[0].refuses


async def test_a_bad_key_shows_in_health_rests_every_manner_and_heals_when_it_is_good_again() -> (
    None
):
    is_good = False

    def step_of(_: int, __: Utterance) -> float | SpeechRefusedError:
        return 0.0 if is_good else REFUSED

    google, espeak = ScriptedSpeaker("google", step_of=step_of), ScriptedSpeaker("espeak")
    studio = a_studio([google, espeak], limits=quick_limits)
    for utterance in utterances(10):
        await studio.maker.make(utterance)
    during = (len(google.asked), studio.maker.engine, studio.maker.health()[0].refuses)
    studio.clock.now += 60
    await studio.maker.make(Utterance("Still refused."))
    asked_after_a_rest = len(google.asked)

    is_good = True
    studio.clock.now += 60
    made = await studio.maker.make(HELLO)

    assert during == (3, "espeak", True)
    assert asked_after_a_rest == 4
    assert (made.engine, studio.maker.engine) == ("google", "google")
    assert not studio.maker.health()[0].refuses


async def test_while_it_rests_without_a_fallback_the_refusal_is_told() -> None:
    google = ScriptedSpeaker("google", [REFUSED])
    studio = a_studio([google], limits=quick_limits)

    for utterance in utterances(6):
        with pytest.raises(SpeechRefusedError):
            await studio.maker.make(utterance)

    assert len(google.asked) == 3


def test_a_refusal_after_the_rest_lets_it_rest_again_at_once() -> None:
    clock = Clock()
    refusals = Refusals(limit=2, rest_s=60, clock=clock)
    for utterance in utterances(2):
        refusals.refused(utterance)

    clock.now += 60
    between = refusals.rests(HELLO)
    refusals.refused(HELLO)

    assert (between, refusals.rests(HELLO)) == (False, True)


def test_only_the_manners_refused_last_are_remembered() -> None:
    refusals = Refusals(limit=1, rest_s=60, clock=Clock())
    languages = [f"l{n}" for n in range(MAX_MANNERS + 10)]

    for language in languages:
        refusals.refused(Utterance("No.", language))

    resting = [each for each in languages if refusals.rests(Utterance("No.", each))]
    assert resting == languages[10:]


def test_a_crowd_before_an_engine_that_speaks_one_by_one_is_no_failure_of_it() -> None:
    espeak = ScriptedSpeaker("espeak", [1.0])
    espeak.parallel = 1

    async def main() -> tuple[int, int, BreakerState]:
        studio = a_studio([espeak], max_parallel=40)
        outcomes = []

        async def ask(utterance: Utterance) -> None:
            try:
                await studio.maker.make(utterance)
                outcomes.append("spoken")
            except SpeechTimeoutError:
                outcomes.append("too late")

        async with anyio.create_task_group() as tasks:
            for utterance in utterances(40):
                tasks.start_soon(ask, utterance)
        (health,) = studio.maker.health()
        return outcomes.count("spoken"), len(outcomes), health.breaker.state

    spoken, all_of_them, state = run_in_virtual_time(main)

    assert espeak.most_running == 1
    assert 0 < spoken < all_of_them == 40
    assert state is BreakerState.CLOSED


async def test_voices_of_a_stand_in_are_not_those_of_the_preferred_engine() -> None:
    google, espeak = ScriptedSpeaker("google"), ScriptedSpeaker("espeak")
    google.names = SpeechUnavailableError("no list")
    studio = a_studio([google, espeak])

    assert [voice.name for voice in await studio.maker.voices()] == ["espeak-1"]
    with pytest.raises(SpeechUnavailableError):
        await studio.maker.voices(preferred=True)
