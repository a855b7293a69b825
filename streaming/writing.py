"""The writing of one turn's text: a model is asked, and another where it breaks off.

One way to go on, whatever the cause: the text so far, of this process or of one that was lost, is
the beginning of the answer that the next model is asked to continue.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial

import anyio
import structlog

from resilience.watchdog import Watchdog, WatchdogPhase
from streaming.continuing import Join
from streaming.errors import SourceError, SourceTimeoutError, SourceTruncatedError
from streaming.events import TurnReset
from streaming.limit import ResponseLimit
from streaming.llm.base import Finish, TokenSource
from streaming.llm.choice import Failure, SourceChoice
from streaming.turn import (
    Asking,
    Cancelled,
    Deadlines,
    Failed,
    Finished,
    Interrupted,
    LiveTurn,
    Outcome,
)

log = structlog.get_logger(__name__)

RESTARTED = "restarted"
"""Why readers are reset where an answer is begun anew."""


class TextWriting:
    """Writes the text of one turn, which may have some already.

    Args:
        turn: Whose text it is.
        sources: The models.
        deadlines: How long they may take.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        turn: LiveTurn,
        sources: SourceChoice,
        deadlines: Deadlines,
        clock: Callable[[], float],
    ) -> None:
        self._turn = turn
        self._sources = sources
        self._deadlines = deadlines
        self._clock = clock
        self._limit = ResponseLimit(turn.spec.max_response_chars)
        self._limit.resume(turn.draft.length)
        self._gate = turn.gate
        self._reached: Outcome | None = None
        self._join = Join("")
        self._failures: list[Failure] = []

    async def run(self) -> Outcome:
        """Ask the model and emit its text as it comes; return how that ended.

        Leaving early, for whatever reason, closes the upstream before this returns; what happens
        while it closes no longer changes the outcome. Raises only what is a bug, and cancellation
        from outside.
        """
        turn = self._turn
        try:
            with turn.scope, self._whole(self._deadlines.turn_s):
                await self._write()
                if self._gate is not None and self._reached is not None:
                    self._gate.push(self._rest(self._reached))
                    await self._gate.settle()
                    turn.conclude(self._reached)
        finally:
            if self._gate is not None:
                self._gate.close()
            elif not isinstance(turn.outcome, Cancelled):
                turn.emit(self._rest(turn.outcome), self._clock())
        return turn.conclude(Interrupted("shutdown"))

    def _rest(self, outcome: Outcome | None) -> str:
        """Return what is still held back, the text having ended so."""
        if self._limit.is_full:
            return ""
        held = self._limit.push(self._join.flush()) if isinstance(outcome, Finished) else ""
        self._turn.repeated += self._join.has_repeated
        return held + self._limit.flush()

    async def _write(self) -> None:
        turn = self._turn
        source: TokenSource | None = self._sources.first()
        while source is not None and turn.outcome is None and self._reached is None:
            try:
                await self._ask(source)
            except SourceError as error:
                has_text = bool(self._shown_or_held())
                self._failures.append(Failure(source, error, has_text))
                source = self._next(has_text=has_text)
                if source is None:
                    self._reach(Failed(error.code, error.detail, error.retryable))

    def _reach(self, outcome: Outcome) -> None:
        """Note how the text ends; behind a gate that is decided once all of it is let out."""
        if self._gate is None:
            self._turn.conclude(outcome)
        else:
            self._reached = outcome

    def _next(self, *, has_text: bool) -> TokenSource | None:
        """Return who goes on after a failure, if anybody may."""
        turn = self._turn
        if turn.outcome is not None or (has_text and turn.spec.on_break == "interrupt"):
            return None
        source = self._sources.next(self._failures, has_text=has_text)
        if source is not None:
            turn.is_continued = has_text
            log.warning(
                "turn.goes_on",
                turn_id=turn.spec.turn_id,
                error_code=self._failures[-1].error.code,
                chars=turn.draft.length,
            )
        return source

    async def _ask(self, source: TokenSource) -> None:
        """Ask one model once.

        Raises:
            SourceError: it failed, and nothing else has decided the outcome.
        """
        turn, deadlines = self._turn, self._deadlines
        written = self._written()
        # Not a method of ours: whoever keeps a prompt must not keep the turn.
        on_open = partial(_note_opened, turn.asking, self._clock)
        prompt = replace(turn.spec.prompt, prefix=written, on_open=on_open)
        if turn.asking.asked_at is None:
            turn.asking.asked_at = self._clock()
        expired: list[SourceTimeoutError] = []
        with anyio.CancelScope() as scope:

            def expire(phase: WatchdogPhase) -> None:
                if phase == "first":
                    expired.append(SourceTimeoutError("first_token", deadlines.first_token_s))
                else:
                    expired.append(SourceTimeoutError("inter_token", deadlines.inter_token_s))
                scope.cancel()

            with Watchdog(
                deadlines.inter_token_s, first_limit_s=deadlines.first_token_s, on_expire=expire
            ) as dog:
                # What the last one's join held back is a repetition, or comes again.
                turn.repeated += self._join.has_repeated
                self._join = Join(written)
                async with aclosing(source.stream(prompt)) as items:
                    self._reach(await self._pull(items, dog))
        if turn.outcome is None and self._reached is None:
            raise expired[0]

    async def _pull(self, items: AsyncIterator[str | Finish], dog: Watchdog) -> Outcome:
        turn, limit, join = self._turn, self._limit, self._join
        emit, gate, clock = turn.emit, self._gate, self._clock
        async for item in items:
            dog.touch()
            if isinstance(item, Finish):
                return Finished(item.reason, None if turn.is_continued else item)
            if gate is None:
                emit(limit.push(join.push(item)), clock())
            else:
                gate.push(limit.push(join.push(item)))
            if limit.is_full:
                return Finished("length", None)
        raise SourceTruncatedError("The model's stream ended without a finish reason.")

    def _written(self) -> str:
        """Return the text that the next answer goes on from, "" where it begins anew."""
        turn = self._turn
        written = self._shown_or_held()
        if not written or turn.spec.on_break == "continue":
            return written
        seq = 0
        if turn.spec.streaming:
            speech = turn.speech
            place = (speech.sentence_count, speech.next_index) if speech else (0, 0)
            seq = turn.writer.append(TurnReset("", RESTARTED, *place))
        turn.draft.restart("", seq)
        if turn.speech is not None:
            turn.speech.restart()
        if self._gate is not None:
            self._gate.restart()
        self._limit.restart()
        turn.is_continued, turn.is_restarted = False, True
        return ""

    def _shown_or_held(self) -> str:
        """Return all that was written so far."""
        behind_gate = self._gate.held if self._gate is not None else ""
        return self._turn.draft.text + behind_gate + self._limit.held

    @contextmanager
    def _whole(self, limit_s: float) -> Iterator[None]:
        """Bound the whole answer."""

        def expire() -> None:
            error = SourceTimeoutError("turn", limit_s)
            self._turn.conclude(Failed(error.code, error.detail, error.retryable))
            # Also where all has come, and only closing the upstream takes long.
            self._turn.scope.cancel()

        timer = asyncio.get_running_loop().call_later(limit_s, expire)
        try:
            yield
        finally:
            timer.cancel()


def _note_opened(asking: Asking, clock: Callable[[], float]) -> None:
    asking.opened_at = clock()
