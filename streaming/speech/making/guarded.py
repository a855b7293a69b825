"""An engine under guard: tries with time limits, retries, a breaker, and memory of refusals."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    wait_random_exponential,
)

from metrics.turns import TurnMetrics
from resilience.breaker import Attempt, Breaker, BreakerOpenError, BreakerSnapshot, BreakerState
from streaming.speech.base import Audio, EngineName, Speaker, Utterance, Voice
from streaming.speech.errors import (
    SpeechError,
    SpeechRefusedError,
    SpeechTimeoutError,
    SpeechUnavailableError,
)
from streaming.speech.making.audio_cache import audio_key
from streaming.speech.making.refusals import Refusals

MIN_TRY_SHARE = 0.1
"""A retry that would have less than this share of a try's time is not begun."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """How much an engine is borne with.

    `retries` come after the first try; before the first of them up to `backoff_s` seconds pass,
    before each further one up to ten times more, at most `backoff_max_s`; full jitter. `failures`
    in a row within `window_s` open the breaker for `open_s`, doubling up to `max_open_s`;
    `refusals` of different texts in one manner let it rest for `rest_s`.
    """

    retries: int = 2
    backoff_s: float = 0.1
    backoff_max_s: float = 1.0
    failures: int = 5
    window_s: float = 60.0
    open_s: float = 5.0
    max_open_s: float = 60.0
    refusals: int = 5
    rest_s: float = 60.0
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """An engine for `/health`; `refuses` where it accepted none of the latest texts (a bad key)."""

    engine: EngineName
    breaker: BreakerSnapshot
    refuses: bool


class GuardedSpeaker:
    """One engine and what is known of it lately. Its speaker is closed by who opened it.

    The breaker hears of retryable errors: unreachable, overloaded, silent. A refusal is an answer
    and goes to `Refusals`; a text that is too long tells of neither.
    """

    def __init__(self, speaker: Speaker, *, metrics: TurnMetrics, limits: EngineLimits) -> None:
        self._speaker = speaker
        self._metrics = metrics
        self._limits = limits
        self._breaker = Breaker(
            speaker.engine,
            failures=limits.failures,
            window_s=limits.window_s,
            open_s=limits.open_s,
            max_open_s=limits.max_open_s,
            clock=limits.clock,
            on_change=self._breaker_changed,
        )
        self._places = anyio.Semaphore(speaker.parallel)
        self._refusals = Refusals(limit=limits.refusals, rest_s=limits.rest_s, clock=limits.clock)

    @property
    def engine(self) -> EngineName:
        """Which one it is."""
        return self._speaker.engine

    @property
    def serves(self) -> bool:
        """Whether it would be asked now, as far as that can be told without an utterance."""
        return self._breaker.allows() and not self._refusals.is_total

    def key(self, utterance: Utterance) -> str:
        """Return the cache's key of the utterance as this engine speaks it."""
        return audio_key(self._speaker.engine, self._speaker.identity, utterance)

    def why_not(self, utterance: Utterance) -> SpeechError | None:
        """Return why the engine is not to be asked for the utterance now; None if it may be."""
        if not self._breaker.allows():
            return SpeechUnavailableError(f"{self.engine} failed too often and is left alone.")
        if self._refusals.rests(utterance):
            return SpeechRefusedError(f"{self.engine} refused this language and voice too often.")
        return None

    async def speak(self, utterance: Utterance, *, deadline: float, try_s: float) -> Audio:
        """Return the utterance as audio, after up to `retries` further tries.

        Args:
            utterance: What to say.
            deadline: Event loop time at which the last try ends.
            try_s: Longest time of one try.

        Raises:
            SpeechError: of the last try.
        """
        try:
            retrying = self._retrying(deadline, try_s)
            audio: Audio = await retrying(self._try, utterance, deadline, try_s)
        except SpeechRefusedError as error:
            if self._refusals.refused(utterance):
                log.warning("speech.engine_refused", engine=self.engine, detail=error.detail)
            raise
        self._refusals.spoken(utterance)
        return audio

    async def voices(self, limit_s: float) -> tuple[Voice, ...]:
        """Return the engine's voices, or raise a `SpeechError` within `limit_s` seconds."""
        with anyio.move_on_after(limit_s):
            return await self._speaker.voices()
        raise SpeechTimeoutError(f"{self.engine} did not name its voices within {limit_s:g} s.")

    def health(self) -> EngineHealth:
        """Return what `/health` shows."""
        return EngineHealth(self.engine, self._breaker.snapshot(), self._refusals.is_total)

    def _retrying(self, deadline: float, try_s: float) -> AsyncRetrying:
        limits = self._limits

        def is_enough(state: RetryCallState) -> bool:
            again_at = anyio.current_time() + state.upcoming_sleep
            is_too_late = again_at + MIN_TRY_SHARE * try_s > deadline
            return is_too_late or state.attempt_number > limits.retries

        return AsyncRetrying(  # one for each utterance: it holds the state of its tries
            sleep=anyio.sleep,
            stop=is_enough,
            wait=wait_random_exponential(
                multiplier=limits.backoff_s, exp_base=10, max=limits.backoff_max_s
            ),
            retry=retry_if_exception(self._is_worth_another_try),
            reraise=True,
        )

    def _is_worth_another_try(self, error: BaseException) -> bool:
        return isinstance(error, SpeechError) and error.retryable and self._breaker.allows()

    async def _try(self, utterance: Utterance, deadline: float, try_s: float) -> Audio:
        await self._take_place(deadline)
        try:
            with self._breaker.attempt() as attempt, self._counted():
                return await self._ask(utterance, attempt, deadline, try_s)
        except BreakerOpenError as exc:  # it opened, or its probe began, while this one waited
            raise SpeechUnavailableError(f"{exc}") from exc
        finally:
            self._places.release()

    async def _take_place(self, deadline: float) -> None:
        """Wait for one of the engine's places: a crowd before it is no failure of the engine."""
        with anyio.CancelScope(deadline=deadline):
            await self._places.acquire()
            return
        raise SpeechTimeoutError(f"All places of {self.engine} stayed taken.")

    async def _ask(
        self, utterance: Utterance, attempt: Attempt, deadline: float, try_s: float
    ) -> Audio:
        now = anyio.current_time()
        with anyio.CancelScope(deadline=min(now + try_s, deadline)):
            try:
                audio = await self._speaker.speak(utterance)
            except SpeechError as error:
                if error.retryable:
                    attempt.failed()
                raise
            attempt.succeeded()
            return audio
        # An engine is blamed only for a try that had its full time: what waited long for a slot has
        # little left, and a crowd must not open the breaker of a healthy engine.
        if now + try_s <= deadline:
            attempt.failed()
        raise SpeechTimeoutError(f"{self.engine} did not answer in time.")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the call in the block by how it ended."""
        began_at, outcome = anyio.current_time(), "cancelled"
        try:
            yield
            outcome = "spoken"
        except SpeechError as error:
            outcome = error.code
            raise
        finally:
            self._metrics.engine_called(self.engine, outcome, anyio.current_time() - began_at)

    def _breaker_changed(self, name: str, before: BreakerState, after: BreakerState) -> None:
        log.warning("speech.breaker_changed", engine=name, before=before.value, after=after.value)
        self._metrics.breaker_changed(name, is_open=after is not BreakerState.CLOSED)
