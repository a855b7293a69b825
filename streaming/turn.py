"""One turn while it runs: its specification and its state; `streaming.writing` writes its text.

Speech runs beside the text, may lag, and never delays it. A turn is stopped by a cause, which
is a value: whoever stops it first decides how it ends.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import anyio

from history.model import TurnEnd
from streaming.cursor import Cursor
from streaming.draft import Draft
from streaming.event_log.base import EventWriter
from streaming.events import CancelledBy, TextDelta
from streaming.llm.base import Finish, FinishReason, Prompt
from streaming.moderation.base import Policy
from streaming.moderation.gate import Gate
from streaming.speech.turn_speech import SpeechSpec, TurnSpeech

OnBreak = Literal["continue", "restart", "interrupt"]
"""What becomes of an answer that breaks off: it is gone on with, begun anew, or left as it is."""


TAKEN_OVER = "taken_over"
HANDED_OVER = "handed_over"
"""Why a turn stops here that another worker goes on with: it took it, or is to take it."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a turn may wait for the model: first token, each further token, the whole answer."""

    first_token_s: float
    inter_token_s: float
    turn_s: float


@dataclass(frozen=True, slots=True)
class TurnSpec:
    """All a turn needs, as values: nothing past it asks a flag, a setting or a user.

    `received_at` is monotonic time; what users wait for is counted from there. `queued_s` of it
    nothing was done yet; None where that is not known. `former_turn_id` is
    the conversation's turn before this one, whose speech this one cuts. `flag_epoch` is the one in
    which `streaming` was dealt, None where it was not dealt by percentage. `traceparent` is the
    trace that the request was part of, as W3C Trace Context writes it. `moderation` is the policy
    for what may not be said. `counted_for` names those whose limits count it.
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
    on_break: OnBreak = "continue"
    former_turn_id: str | None = None
    flag_epoch: int | None = None
    queued_s: float | None = None
    traceparent: str | None = None
    moderation: Policy = "off"
    counted_for: Sequence[str] = ()


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
class Asking:
    """When a model was first asked, and when one last began to answer; monotonic seconds."""

    asked_at: float | None = None
    opened_at: float | None = None


@dataclass(eq=False, slots=True)
class LiveTurn:
    """A turn in this process. Its text and cursor are read together, between two awaits."""

    spec: TurnSpec
    writer: EventWriter
    on_first_delta: Callable[["LiveTurn"], None]
    draft: Draft = field(default_factory=Draft)
    speech: TurnSpeech | None = None
    gate: Gate | None = None
    gaps_s: list[float] = field(default_factory=list)
    ttft_s: float | None = None
    asking: Asking = field(default_factory=Asking)
    repeated: int = 0
    is_continued: bool = False
    is_restarted: bool = False
    is_text_told: bool = False
    is_lost: bool = False
    checkpointed: int = -1
    checkpointed_at: float = 0.0
    end: TurnEnd | None = None
    outcome: Outcome | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _last_delta_at: float = 0.0
    _ended: asyncio.Event | None = None
    _has_ended: bool = False

    @property
    def ended(self) -> asyncio.Event:
        """Set once all has ended, its storing too. Made for who waits: it takes 800 bytes."""
        if self._ended is None:
            self._ended = asyncio.Event()
            if self._has_ended:
                self._ended.set()
        return self._ended

    def note_ended(self) -> None:
        """Let go of who waits for the end."""
        self._has_ended = True
        if self._ended is not None:
            self._ended.set()

    def lose(self) -> None:
        """Stop writing: another worker has the turn, and goes on with it, or ends it."""
        self.is_lost = True
        self.stop(Interrupted(TAKEN_OVER))

    def stop(self, cause: Outcome) -> bool:
        """Stop writing and speaking at once, for this cause; False where it is already ending."""
        if self.speech is not None:
            self.speech.cut()
        if self.outcome is not None:
            return False
        self.outcome = cause
        self.scope.cancel()
        return True

    def conclude(self, outcome: Outcome) -> Outcome:
        """Return how the turn ends: as was decided first, and as this where nothing was."""
        if self.outcome is None:
            self.outcome = outcome
        return self.outcome

    def emit(self, text: str, now: float) -> None:
        """Show a piece of the answer, and keep it."""
        if not text:
            return
        is_first = self.ttft_s is None
        if is_first:
            self.ttft_s = now - self.spec.received_at
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
        if is_first:  # its readers have been woken by now
            self.on_first_delta(self)
