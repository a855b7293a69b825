"""One turn while it runs: its specification, its state, and the writing of its text.

Speech runs beside the text, may lag, and never delays it. A turn is stopped by a cause, which
is a value: whoever stops it first decides how it ends.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

import anyio

from history.model import TurnEnd
from resilience.watchdog import Watchdog, WatchdogPhase
from streaming.cursor import Cursor
from streaming.draft import Draft
from streaming.errors import Phase, SourceError, SourceTimeoutError, SourceTruncatedError
from streaming.event_log.base import EventWriter
from streaming.events import CancelledBy, TextDelta
from streaming.limit import ResponseLimit
from streaming.llm.base import Finish, FinishReason, Prompt, TokenSource
from streaming.speech.turn_speech import SpeechSpec, TurnSpeech


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a turn may wait for the model: first token, each further token, the whole answer."""

    first_token_s: float
    inter_token_s: float
    turn_s: float


@dataclass(frozen=True, slots=True)
class TurnSpec:
    """All a turn needs, as values: nothing past it asks a flag, a setting or a user.

    `received_at` is monotonic time; what users wait for is counted from there.
    """

    turn_id: str
    owner_id: str
    conversation_id: str
    message_id: str
    chatbot_id: str
    model: str
    prompt: Prompt
    streaming: bool
    max_response_chars: int
    received_at: float
    speech: SpeechSpec | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The model finished (or reached its cap), or the answer reached ours; then usage is None."""

    reason: FinishReason
    finish: Finish | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The token source failed."""

    code: str
    detail: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody stopped it; the text ends where the entry `seen` ends, where that is known."""

    by: CancelledBy
    seen: Cursor | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The server could not go on."""

    reason: str


Outcome = Finished | Failed | Cancelled | Interrupted


@dataclass(eq=False, slots=True)
class LiveTurn:
    """A turn in this process. Its text and cursor are read together, between two awaits."""

    spec: TurnSpec
    writer: EventWriter
    on_first_delta: Callable[[float], None]
    draft: Draft = field(default_factory=Draft)
    speech: TurnSpeech | None = None
    gaps_s: list[float] = field(default_factory=list)
    ttft_s: float | None = None
    readers: int = 0
    abandonment: asyncio.TimerHandle | None = None
    checkpointed: int = -1
    checkpointed_at: float = 0.0
    end: TurnEnd | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _outcome: Outcome | None = None
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _last_delta_at: float = 0.0

    def stop(self, cause: Outcome) -> bool:
        """Stop writing and speaking at once, for this cause; False where it is already ending."""
        if self.speech is not None:
            self.speech.cut()
        if self._outcome is not None:
            return False
        self._outcome = cause
        self._scope.cancel()
        return True

    def conclude(self, outcome: Outcome) -> Outcome:
        """Return how the turn ends: as was decided first, and as this where nothing was."""
        if self._outcome is None:
            self._outcome = outcome
        return self._outcome

    async def write_text(
        self, source: TokenSource, deadlines: Deadlines, clock: Callable[[], float]
    ) -> Outcome:
        """Ask the model and emit its text as it comes; return how that ended.

        Leaving early, for whatever reason, closes the upstream before this returns; what happens
        while it closes no longer changes the outcome. Raises only what is a bug, and cancellation
        from outside.
        """
        limit = ResponseLimit(self.spec.max_response_chars)
        try:
            with self._scope, self._deadlines(deadlines) as dog:
                async with aclosing(source.stream(self.spec.prompt)) as items:
                    self.conclude(await self._pull(items, limit, dog, clock))
        except SourceError as error:
            self.conclude(Failed(error.code, error.detail, error.retryable))
        finally:
            if not isinstance(self._outcome, Cancelled) and not limit.is_full:
                self._emit(limit.flush(), clock())
        return self.conclude(Interrupted("shutdown"))

    async def _pull(
        self,
        items: AsyncIterator[str | Finish],
        limit: ResponseLimit,
        dog: Watchdog,
        clock: Callable[[], float],
    ) -> Outcome:
        async for item in items:
            dog.touch()
            if isinstance(item, Finish):
                return Finished(item.reason, item)
            self._emit(limit.push(item), clock())
            if limit.is_full:
                return Finished("length", None)
        raise SourceTruncatedError("The model's stream ended without a finish reason.")

    @contextmanager
    def _deadlines(self, deadlines: Deadlines) -> Iterator[Watchdog]:
        def expire(phase: WatchdogPhase) -> None:
            first = phase == "first"
            limit_s = deadlines.first_token_s if first else deadlines.inter_token_s
            self._time_out("first_token" if first else "inter_token", limit_s)

        loop = asyncio.get_running_loop()
        whole = loop.call_later(deadlines.turn_s, self._time_out, "turn", deadlines.turn_s)
        try:
            with Watchdog(
                deadlines.inter_token_s, first_limit_s=deadlines.first_token_s, on_expire=expire
            ) as dog:
                yield dog
        finally:
            whole.cancel()

    def _emit(self, text: str, now: float) -> None:
        if not text:
            return
        if self.ttft_s is None:
            self.ttft_s = now - self.spec.received_at
            self.on_first_delta(self.ttft_s)
        else:
            self.gaps_s.append(now - self._last_delta_at)
        self._last_delta_at = now
        seq = 0
        if self.spec.streaming:
            seq = self.writer.append(TextDelta(text))
        else:
            text.encode()  # text that is none fails here, as in `append`, not where it is stored
        self.draft.add(text, seq)
        if self.speech is not None:
            self.speech.hear(text)

    def _time_out(self, phase: Phase, limit_s: float) -> None:
        error = SourceTimeoutError(phase, limit_s)
        self.conclude(Failed(error.code, error.detail, error.retryable))
        self._scope.cancel()  # also where all has come, and only closing the upstream takes long
