"""The audio maker: an utterance becomes audio, from the cache or by the first engine that can.

What is promised of a single call: it ends within its deadline, whatever engines, cache and other
callers do. What is promised of all together: one making per utterance at a time, and never more
than `max_parallel` of them in the engines.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

import anyio

from metrics.turns import TurnMetrics
from streaming.cache.base import Cache
from streaming.speech.base import Audio, EngineName, Speaker, Utterance, Voice
from streaming.speech.errors import (
    SpeechError,
    SpeechOffError,
    SpeechSpentError,
    SpeechTimeoutError,
    SpeechTooLongError,
    SpeechUnavailableError,
)
from streaming.speech.making.audio_cache import AudioCache
from streaming.speech.making.flights import Flights
from streaming.speech.making.guarded import EngineHealth, EngineLimits, GuardedSpeaker
from streaming.speech.metering import MeterOf, SpeechMeter, unmetered

TRY_SHARE = 0.5
"""Share of a unit's time that one try may take, so that a hanging call leaves time for another."""

FALLBACK_SHARE = 0.25
"""Share of what is left of a unit's time that an engine leaves to those behind it."""


@dataclass(frozen=True, slots=True)
class MadeAudio:
    """A spoken utterance. `from_cache`: no engine was asked for this caller's sake."""

    audio: Audio
    engine: EngineName
    from_cache: bool


class AudioMaker:
    """All speech of this process passes here.

    Engines are asked in the order given; a later one only where those before it are left alone
    (breaker open, or they refuse this language and voice) or have just failed for this utterance.
    In the same order the cache is looked into: audio of a fallback is not served while an engine
    before it may be asked.

    Args:
        speakers: In order of preference; those of engine "off" are not asked. Closed by `close`.
        cache: Where audio is kept; closed by who opened it.
        metrics: Told of lookups, calls and breakers.
        max_parallel: Units in the engines at the same time, over all turns; first come, first
            served.
        timeout_s: Deadline of a unit: waiting for a slot, tries, fallback.
        first_timeout_s: The same for a turn's first unit, which the listener waits for.
        limits: How much each engine is borne with.

    Attributes:
        meter_of: Gives what counts the audio that is made; set by whoever limits it.
    """

    def __init__(
        self,
        *,
        speakers: Sequence[Speaker],
        cache: Cache,
        metrics: TurnMetrics,
        max_parallel: int,
        timeout_s: float,
        first_timeout_s: float,
        limits: EngineLimits | None = None,
    ) -> None:
        self._speakers = tuple(speakers)
        self._engines = [
            GuardedSpeaker(speaker, metrics=metrics, limits=limits or EngineLimits())
            for speaker in speakers
            if speaker.engine != "off"
        ]
        self._cache = AudioCache(cache)
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._first_timeout_s = first_timeout_s
        self._limiter = anyio.CapacityLimiter(max_parallel)
        self._flights: Flights[MadeAudio] = Flights()
        self._meter: SpeechMeter | None = None
        self.meter_of: MeterOf = unmetered

    @property
    def engine(self) -> EngineName:
        """The engine that would serve now; the preferred one where none would; "off" without any.

        Told without an utterance: an engine may still refuse one language and speak another.
        """
        if not self._engines:
            return "off"
        return next((each.engine for each in self._engines if each.serves), self._engines[0].engine)

    def counted_for(self, names: Sequence[str]) -> Self:
        """Return this maker, whose audio counts for somebody; what is kept costs nothing."""
        meter = self.meter_of(names)
        if meter is None:
            return self
        counted = copy(self)
        counted._meter = meter  # noqa: SLF001  # its own class
        return counted

    async def make(self, utterance: Utterance, *, first: bool = False) -> MadeAudio:
        """Return the utterance as audio within the deadline.

        Equal utterances that are wanted at the same time are made once. Cancelling stops the engine
        at once, unless it speaks for another caller, and leaves nothing behind; others who wait for
        the same go on.

        Args:
            utterance: What to say, normalised.
            first: Whether it is the first unit of a turn.

        Raises:
            SpeechOffError: there is no engine.
            SpeechSpentError: whom it counts for had as much today as may be.
            SpeechTooLongError: split the text and try again; no other engine was asked.
            SpeechError: of the last engine that was asked, or why none was.
        """
        if not self._engines:
            raise SpeechOffError
        if self._meter is not None and not await self._meter.allows():
            raise SpeechSpentError
        limit_s = self._first_timeout_s if first else self._timeout_s
        deadline = anyio.current_time() + limit_s
        order = _Order(utterance, deadline, limit_s * TRY_SHARE, _Slot(self._limiter, deadline))
        try:
            made, was_shared = await self._flights.fly(
                self._engines[0].key(utterance), partial(self._serve, order), deadline=deadline
            )
        except SpeechError:
            self._metrics.cache_looked_up("tts", hit=False)
            raise
        if was_shared:
            made = replace(made, from_cache=True)
        self._metrics.cache_looked_up("tts", hit=made.from_cache)
        if self._meter is not None and not made.from_cache:
            await self._meter.made(made.audio.duration_s)
        return made

    async def cached(self, utterance: Utterance) -> Audio | None:
        """Return the utterance's audio where any engine's is still kept; makes none."""
        for engine in self._engines:
            kept = await self._cache.find(engine.key(utterance))
            if kept is not None:
                return kept
        return None

    async def voices(self, *, preferred: bool = False) -> tuple[Voice, ...]:
        """Return what can be asked for: the voices of the engine that serves now.

        Args:
            preferred: Of the first engine or of none: a stand-in knows other names.

        Raises:
            SpeechError: no engine could name its voices.
        """
        if not self._engines:
            return ()
        failed: SpeechError = SpeechUnavailableError("Every speech engine is left alone.")
        for engine in self._engines[: 1 if preferred else None]:
            if engine.serves:
                try:
                    return await engine.voices(self._timeout_s)
                except SpeechError as error:
                    failed = error
        raise failed

    def health(self) -> tuple[EngineHealth, ...]:
        """Return the engines in order; empty where speech is off."""
        return tuple(engine.health() for engine in self._engines)

    async def close(self) -> None:
        """Close every engine, also after one that fails to; safe to call twice."""
        async with AsyncExitStack() as closing:
            for speaker in self._speakers:
                closing.push_async_callback(speaker.close)

    async def _serve(self, order: "_Order") -> MadeAudio:
        try:
            engine, made = await self._first_served(order)
        finally:
            order.slot.release()
        if not made.from_cache:
            await self._cache.keep(engine.key(order.utterance), made.audio)
        return made

    async def _first_served(self, order: "_Order") -> tuple[GuardedSpeaker, MadeAudio]:
        failed: SpeechError = SpeechOffError()
        for place, engine in enumerate(self._engines):
            behind = self._engines[place + 1 :]
            has_fallback = any(each.why_not(order.utterance) is None for each in behind)
            try:
                return engine, await self._served_by(engine, order, has_fallback=has_fallback)
            except SpeechTooLongError:
                raise  # the preferred voice can still say it, in shorter pieces
            except SpeechError as error:
                failed = error
        raise failed

    async def _served_by(
        self, engine: GuardedSpeaker, order: "_Order", *, has_fallback: bool
    ) -> MadeAudio:
        kept = await self._cache.find(engine.key(order.utterance))
        if kept is not None:
            return MadeAudio(kept, engine.engine, from_cache=True)
        why_not = engine.why_not(order.utterance)
        if why_not is not None:
            raise why_not
        await order.slot.take()
        deadline = order.deadline
        if has_fallback:
            deadline -= (deadline - anyio.current_time()) * FALLBACK_SHARE
        audio = await engine.speak(order.utterance, deadline=deadline, try_s=order.try_s)
        return MadeAudio(audio, engine.engine, from_cache=False)


class _Slot:
    """A place in the engines for one unit, taken when first needed and kept for all its tries."""

    def __init__(self, limiter: anyio.CapacityLimiter, deadline: float) -> None:
        self._limiter = limiter
        self._deadline = deadline
        self._is_held = False

    async def take(self) -> None:
        """Wait for the place until the deadline, else raise `SpeechTimeoutError`."""
        if self._is_held:
            return
        with anyio.CancelScope(deadline=self._deadline):
            await self._limiter.acquire_on_behalf_of(self)
            self._is_held = True
            return
        raise SpeechTimeoutError("All places in the speech engines stayed taken.")

    def release(self) -> None:
        """Give the place back where it is held."""
        if self._is_held:
            self._is_held = False
            self._limiter.release_on_behalf_of(self)


@dataclass(frozen=True, slots=True)
class _Order:
    """One call: what is wanted, until when (event loop time), and how long one try may take."""

    utterance: Utterance
    deadline: float
    try_s: float
    slot: _Slot
