"""Speech engines for tests: small, exact, and under the test's control."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from streaming.speech.base import Audio, EngineName, Utterance, Voice
from streaming.speech.errors import SpeechError

HANGS = math.inf
"""A latency: the call never ends by itself."""

Step = float | SpeechError | anyio.Event | tuple[float, SpeechError]


def audio_of(engine: str, text: str) -> Audio:
    """Return what the engines here say of a text."""
    return Audio("audio/wav", f"{engine}: {text}".encode(), len(text) / 15)


class ScriptedSpeaker:
    """Plays a script: each call takes the next step, and the last step is repeated.

    A step is a latency in seconds, an error (raised at once, or after a latency), or an event that
    is waited for.

    Args:
        engine: Which engine it plays.
        script: The steps; all calls speak at once if empty.
        identity: Part of the audio cache's key.
        step_of: Chooses the step of each call instead, by the number of the call and what is asked.
    """

    def __init__(
        self,
        engine: EngineName,
        script: Sequence[Step] = (),
        *,
        identity: str = "1",
        step_of: Callable[[int, Utterance], Step] | None = None,
    ) -> None:
        self.engine: EngineName = engine
        self.identity = identity
        self.parallel = 1000
        self.asked: list[Utterance] = []
        self.running = 0
        self.most_running = 0
        self.most_equal_running = 0
        self.cancelled = 0
        self.closed = 0
        self.names: tuple[Voice, ...] | SpeechError | None = (Voice(f"{engine}-1", "en-GB"),)
        self._equal_running: Counter[Utterance] = Counter()
        self._changed = anyio.Event()
        self._script = script or (0.0,)
        self._step_of = step_of

    async def until_asked(self, times: int = 1) -> None:
        """Wait until so many calls have come."""
        with anyio.fail_after(30):
            while len(self.asked) < times:
                await self._changed.wait()

    async def speak(self, utterance: Utterance) -> Audio:
        step = self._next_step(utterance)
        self._enter(utterance)
        try:
            await checkpoint()
            await _play(step)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
            self._equal_running[utterance] -= 1
        return audio_of(self.engine, utterance.text)

    async def voices(self) -> tuple[Voice, ...]:
        await checkpoint()
        if isinstance(self.names, SpeechError):
            raise self.names
        if self.names is None:
            await anyio.sleep_forever()
        assert self.names is not None
        return self.names

    async def close(self) -> None:
        self.closed += 1

    def _next_step(self, utterance: Utterance) -> Step:
        place = len(self.asked)
        if self._step_of is not None:
            return self._step_of(place, utterance)
        return self._script[min(place, len(self._script) - 1)]

    def _enter(self, utterance: Utterance) -> None:
        self.asked.append(utterance)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self._equal_running[utterance] += 1
        self.most_equal_running = max(self.most_equal_running, self._equal_running[utterance])
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


async def _play(step: Step) -> None:
    match step:
        case SpeechError():
            raise step
        case float() if step == HANGS:
            await anyio.sleep_forever()
        case anyio.Event():
            await step.wait()
        case (latency_s, error):
            await anyio.sleep(latency_s)
            raise error
        case _:
            await anyio.sleep(step)
