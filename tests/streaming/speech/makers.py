"""What the tests of the audio maker share: one to try, a clock, and reading its counters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from metrics.turns import TurnMetrics
from streaming.cache.base import Cache
from streaming.cache.memory import MemoryCache
from streaming.speech.base import Speaker, Utterance
from streaming.speech.errors import (
    SpeechRefusedError,
    SpeechTimeoutError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.maker import AudioMaker
from streaming.speech.making.guarded import EngineLimits

UNAVAILABLE = SpeechUnavailableError("busy")
TIMED_OUT = SpeechTimeoutError("silent")
REFUSED = SpeechRefusedError("no such voice")
TOO_LONG = SpeechTooLongError("too long")

HELLO = Utterance("Hello.", "en-GB")

TIMEOUT_S = 10.0
FIRST_TIMEOUT_S = 5.0


class Clock:
    """A clock that stands until it is moved; for breakers and caches."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SilentCache:
    """A cache that never answers."""

    async def get(self, key: str) -> bytes | None:  # noqa: ARG002  # the seam's
        await anyio.sleep_forever()
        return None

    async def put(self, key: str, value: bytes) -> None:  # noqa: ARG002  # the seam's
        await anyio.sleep_forever()

    async def close(self) -> None:
        """Has nothing to release."""


@dataclass(frozen=True, slots=True)
class Studio:
    """A maker with what it stands on."""

    maker: AudioMaker
    metrics: TurnMetrics
    cache: Cache
    clock: Clock


def a_studio(
    speakers: Sequence[Speaker],
    *,
    cache: Cache | None = None,
    max_parallel: int = 8,
    retries: int = 2,
    limits: Callable[[Clock], EngineLimits] | None = None,
) -> Studio:
    """Return a maker; its breakers and its cache go by a clock that stands."""
    clock, metrics = Clock(), TurnMetrics()
    cache = cache or MemoryCache(max_bytes=1_000_000, ttl_s=3600, clock=clock)
    maker = AudioMaker(
        speakers=speakers,
        cache=cache,
        metrics=metrics,
        max_parallel=max_parallel,
        timeout_s=TIMEOUT_S,
        first_timeout_s=FIRST_TIMEOUT_S,
        limits=limits(clock) if limits else EngineLimits(retries=retries, clock=clock),
    )
    return Studio(maker, metrics, cache, clock)


def utterances(count: int, language: str = "en-GB") -> list[Utterance]:
    """Return as many different ones."""
    return [Utterance(f"Sentence number {n}.", language) for n in range(count)]
