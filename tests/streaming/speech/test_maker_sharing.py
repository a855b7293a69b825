"""Single flight: equal utterances that are wanted together are made once, and nobody is left."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from streaming.speech.errors import SpeechError, SpeechTimeoutError, SpeechUnavailableError
from streaming.speech.maker import AudioMaker, MadeAudio
from streaming.speech.making.flights import Flights
from tests.streaming.speech.makers import (
    FIRST_TIMEOUT_S,
    HELLO,
    REFUSED,
    TIMEOUT_S,
    UNAVAILABLE,
    a_studio,
)
from tests.support.speakers import HANGS, ScriptedSpeaker
from tests.support.virtual_time import run_in_virtual_time


class Caller:
    """One who wants HELLO, and can be cancelled."""

    def __init__(self, maker: AudioMaker, *, first: bool = False) -> None:
        self.made: MadeAudio | SpeechError | None = None
        self.scope = anyio.CancelScope()
        self._maker = maker
        self._first = first

    async def call(self) -> None:
        with self.scope:
            try:
                self.made = await self._maker.make(HELLO, first=self._first)
            except SpeechError as error:
                self.made = error


async def settle() -> None:
    for _ in range(10):
        await checkpoint()


async def call_all(callers: Sequence[Caller], speaker: ScriptedSpeaker, *steps: Any) -> None:
    """Start the callers in order; set the events and cancel the callers named, one by one."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for caller in callers:
                tasks.start_soon(caller.call)
            await speaker.until_asked()
            await settle()
            for step in steps:
                (step.set if isinstance(step, anyio.Event) else step.scope.cancel)()
                await settle()


async def test_equal_utterances_wanted_together_are_made_once() -> None:
    gate = anyio.Event()
    google = ScriptedSpeaker("google", [gate])
    studio = a_studio([google])
    callers = [Caller(studio.maker) for _ in range(10)]

    await call_all(callers, google, gate)

    made = [caller.made for caller in callers if isinstance(caller.made, MadeAudio)]
    assert len(google.asked) == 1
    assert len({each.audio for each in made}) == 1
    assert [each.from_cache for each in made] == [False] + [True] * 9
    assert studio.metrics.snapshot().caches["tts"].hits == 9


async def test_when_the_one_who_makes_it_leaves_another_takes_over() -> None:
    gate = anyio.Event()
    google = ScriptedSpeaker("google", [gate])
    studio = a_studio([google])
    callers = [Caller(studio.maker) for _ in range(4)]

    await call_all(callers, google, callers[0], callers[1], gate)

    assert [type(caller.made) for caller in callers] == [type(None)] * 2 + [MadeAudio] * 2
    assert (len(google.asked), google.cancelled, google.most_equal_running) == (3, 2, 1)


async def test_one_who_waits_and_leaves_disturbs_nobody() -> None:
    gate = anyio.Event()
    google = ScriptedSpeaker("google", [gate])
    studio = a_studio([google])
    callers = [Caller(studio.maker) for _ in range(3)]

    await call_all(callers, google, callers[1], gate)

    assert [type(caller.made) for caller in callers] == [MadeAudio, type(None), MadeAudio]
    assert (len(google.asked), google.cancelled) == (1, 0)


async def test_when_everybody_leaves_nothing_is_left() -> None:
    google = ScriptedSpeaker("google", [HANGS, 0.0])
    studio = a_studio([google], max_parallel=1)
    callers = [Caller(studio.maker) for _ in range(3)]

    await call_all(callers, google, *reversed(callers))
    made = await studio.maker.make(HELLO)

    assert (google.cancelled, google.running) == (1, 0)
    assert not made.from_cache


async def test_an_error_that_may_pass_is_tried_anew_by_who_waits() -> None:
    gate = anyio.Event()

    class FirstFails(ScriptedSpeaker):
        async def speak(self, utterance: Any) -> Any:
            audio = await super().speak(utterance)
            if len(self.asked) == 1:
                raise UNAVAILABLE
            return audio

    google = FirstFails("google", [gate, 0.0])
    studio = a_studio([google], retries=0)
    callers = [Caller(studio.maker) for _ in range(3)]

    await call_all(callers, google, gate)

    assert isinstance(callers[0].made, SpeechUnavailableError)
    assert [type(caller.made) for caller in callers[1:]] == [MadeAudio] * 2
    assert (len(google.asked), google.most_equal_running) == (2, 1)


async def test_an_error_that_will_not_pass_is_told_to_all_who_wait() -> None:
    google = ScriptedSpeaker("google", [(0.01, REFUSED)])
    studio = a_studio([google])
    callers = [Caller(studio.maker) for _ in range(5)]

    await call_all(callers, google)

    assert [caller.made for caller in callers] == [REFUSED] * 5
    assert len(google.asked) == 1


def test_a_hasty_one_gives_up_before_the_patient_one_who_makes_it() -> None:
    google = ScriptedSpeaker("google", [(0.49 * TIMEOUT_S, UNAVAILABLE), 0.3 * TIMEOUT_S])
    ended: dict[str, float] = {}
    callers: dict[str, Caller] = {}

    async def main() -> None:
        studio = a_studio([google])
        callers.update(patient=Caller(studio.maker), hasty=Caller(studio.maker, first=True))

        async def call(name: str) -> None:
            await callers[name].call()
            ended[name] = anyio.current_time()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "patient")
            await google.until_asked()
            tasks.start_soon(call, "hasty")

    run_in_virtual_time(main)

    assert isinstance(callers["hasty"].made, SpeechTimeoutError)
    assert ended["hasty"] == pytest.approx(FIRST_TIMEOUT_S)
    assert isinstance(callers["patient"].made, MadeAudio)
    assert google.cancelled == 0


async def test_there_is_a_flight_only_while_somebody_is_in_it() -> None:
    flights: Flights[str] = Flights()
    gate = anyio.Event()

    async def make() -> str:
        await gate.wait()
        return "made"

    async def fly(key: str) -> None:
        await flights.fly(key, make, deadline=anyio.current_time() + 5)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for key in ("a", "b", "a"):
                tasks.start_soon(fly, key)
            await settle()
            during = len(flights)
            gate.set()

    assert (during, len(flights)) == (2, 0)
