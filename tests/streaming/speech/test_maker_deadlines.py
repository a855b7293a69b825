"""Deadlines, tries and back-off of the audio maker, in virtual time."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from streaming.speech.base import Utterance
from streaming.speech.errors import SpeechError, SpeechTimeoutError, SpeechUnavailableError
from streaming.speech.maker import FALLBACK_SHARE, TRY_SHARE, MadeAudio
from streaming.speech.making.guarded import EngineLimits
from tests.streaming.speech.makers import (
    FIRST_TIMEOUT_S,
    HELLO,
    TIMED_OUT,
    TIMEOUT_S,
    UNAVAILABLE,
    Clock,
    SilentCache,
    Studio,
    a_studio,
    utterances,
)
from tests.support.speakers import HANGS, ScriptedSpeaker
from tests.support.virtual_time import run_in_virtual_time

Outcome = tuple[MadeAudio | SpeechError, float]


async def outcome_of(making: Callable[[], Awaitable[MadeAudio]]) -> Outcome:
    """Return what a call gave, and the virtual seconds it took."""
    began_at = anyio.current_time()
    try:
        made: MadeAudio | SpeechError = await making()
    except SpeechError as error:
        made = error
    return made, anyio.current_time() - began_at


def make(studio: Studio, *, first: bool = False, utterance: Utterance = HELLO) -> Outcome:
    return run_in_virtual_time(outcome_of, lambda: studio.maker.make(utterance, first=first))


@pytest.mark.parametrize(("first", "limit_s"), [(True, FIRST_TIMEOUT_S), (False, TIMEOUT_S)])
def test_an_engine_that_hangs_ends_by_the_deadline_of_the_unit(
    *, first: bool, limit_s: float
) -> None:
    google = ScriptedSpeaker("google", [HANGS])

    made, took_s = make(a_studio([google]), first=first)

    assert isinstance(made, SpeechTimeoutError)
    assert 0.9 * limit_s <= took_s <= limit_s
    assert (len(google.asked), google.cancelled) == (2, 2)


@pytest.mark.parametrize(("first", "limit_s"), [(True, FIRST_TIMEOUT_S), (False, TIMEOUT_S)])
def test_an_engine_that_hangs_leaves_time_for_the_fallback(*, first: bool, limit_s: float) -> None:
    google = ScriptedSpeaker("google", [HANGS])
    espeak = ScriptedSpeaker("espeak", [0.9 * limit_s * FALLBACK_SHARE])

    made, took_s = make(a_studio([google, espeak]), first=first)

    assert isinstance(made, MadeAudio)
    assert made.engine == "espeak"
    assert took_s <= limit_s


def test_one_try_may_take_half_of_the_units_time() -> None:
    slow = ScriptedSpeaker("google", [TRY_SHARE * TIMEOUT_S - 0.01])
    slower = ScriptedSpeaker("google", [TRY_SHARE * TIMEOUT_S + 0.01, 0.0])

    made, took_s = make(a_studio([slow]))
    made_anew, _ = make(a_studio([slower]))

    assert isinstance(made, MadeAudio)
    assert took_s == pytest.approx(TRY_SHARE * TIMEOUT_S - 0.01)
    assert isinstance(made_anew, MadeAudio)
    assert (len(slow.asked), len(slower.asked), slower.cancelled) == (1, 2, 1)


@pytest.mark.parametrize("error", [UNAVAILABLE, TIMED_OUT])
@pytest.mark.parametrize("failures", [0, 1, 2])
def test_errors_that_may_pass_are_tried_again_twice(error: SpeechError, failures: int) -> None:
    google = ScriptedSpeaker("google", [*[error] * failures, 0.0])

    made, took_s = make(a_studio([google]))

    assert isinstance(made, MadeAudio)
    assert len(google.asked) == failures + 1
    assert took_s <= (0.0, 0.1, 1.1)[failures]


def test_after_two_retries_the_error_is_told() -> None:
    google = ScriptedSpeaker("google", [UNAVAILABLE])

    made, took_s = make(a_studio([google]))

    assert isinstance(made, SpeechUnavailableError)
    assert len(google.asked) == 3
    assert took_s <= 1.1


def test_the_pauses_between_tries_are_spread() -> None:
    took_s = set()
    for _ in range(20):
        google = ScriptedSpeaker("google", [UNAVAILABLE, UNAVAILABLE, 0.0])
        took_s.add(make(a_studio([google]))[1])

    assert len(took_s) == 20
    assert max(took_s) > 0.35  # the second pause may be ten times as long as the first


def test_no_pause_is_made_when_the_breaker_opened() -> None:
    def limits(clock: Clock) -> EngineLimits:
        return EngineLimits(failures=1, clock=clock)

    made, took_s = make(a_studio([ScriptedSpeaker("google", [UNAVAILABLE])], limits=limits))

    assert made is UNAVAILABLE
    assert took_s == 0


def test_no_try_is_begun_that_could_not_end_in_time() -> None:
    error = (0.49 * TIMEOUT_S, UNAVAILABLE)
    google = ScriptedSpeaker("google", [error])

    made, took_s = make(a_studio([google]))

    assert isinstance(made, SpeechUnavailableError)
    assert len(google.asked) == 2
    assert took_s <= TIMEOUT_S


def test_waiting_for_a_place_counts_against_the_deadline() -> None:
    google = ScriptedSpeaker("google", [HANGS])
    studio = a_studio([google], max_parallel=1, retries=0)
    blocker, waiting = utterances(2)

    async def main() -> Outcome:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcome_of, lambda: studio.maker.make(blocker))
            await google.until_asked()
            outcome = await outcome_of(lambda: studio.maker.make(waiting, first=True))
            tasks.cancel_scope.cancel()
        return outcome

    made, took_s = run_in_virtual_time(main)

    assert isinstance(made, SpeechTimeoutError)
    assert took_s == pytest.approx(FIRST_TIMEOUT_S)
    assert google.asked == [blocker]


def test_a_try_that_a_crowd_cut_short_is_not_held_against_the_engine() -> None:
    latency_s = 0.4 * TIMEOUT_S
    google = ScriptedSpeaker("google", [latency_s])
    studio = a_studio([google], max_parallel=2, retries=0)
    outcomes: list[Outcome] = []

    async def make_one(utterance: Utterance) -> None:
        outcomes.append(await outcome_of(lambda: studio.maker.make(utterance)))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for utterance in utterances(30):
                tasks.start_soon(make_one, utterance)

    run_in_virtual_time(main)

    in_time = [made for made, _ in outcomes if isinstance(made, MadeAudio)]
    assert (len(in_time), len(outcomes)) == (4, 30)
    assert all(took_s <= TIMEOUT_S for _, took_s in outcomes)
    health = studio.maker.health()[0]
    assert (health.breaker.state.value, health.breaker.failures) == ("closed", 0)


def test_audio_that_came_just_in_time_is_not_lost_to_a_slow_cache() -> None:
    google = ScriptedSpeaker("google", [0.49 * TIMEOUT_S])

    made, took_s = make(a_studio([google], cache=SilentCache()))

    assert isinstance(made, MadeAudio)
    assert took_s == pytest.approx(0.49 * TIMEOUT_S + 2 * 0.25)
