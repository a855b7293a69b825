"""The gate that one turn's text passes: sentence by sentence, each after its check.

    model ─► push ─► SentenceSplitter ─► checks, some at once ─► reorder ─► show

Under the policy `block` nothing is shown that was not checked, and nothing behind what may not be
said: what was shown is always the beginning of what was pushed, and ends with a checked sentence.
Under `flag` everything is shown at once, and the checks run beside it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import anyio
import structlog

from streaming.moderation.base import BATCH
from streaming.moderation.checks import Asker, Checks
from streaming.sentences import Sentence, SentenceSplitter

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Checks of one turn side by side; sentences that come meanwhile are checked together."""

AFTER_END_S = 10.0
"""How long checks may go on under `flag` when the turn has ended."""

Reason = Literal["content_blocked", "moderation_unavailable", "internal_error"]
"""Why the gate ends a turn."""


@dataclass(eq=False, slots=True)
class _Unit:
    """A sentence on its way; `may_pass` is None until that is known."""

    text: str
    end: int
    may_pass: bool | None = None
    reason: Reason = "content_blocked"


class Gate:
    """Lets the text of one turn out.

    `push` and the other synchronous methods are called between two awaits of whoever writes the
    text; `run` runs beside, and ends after `close`.

    Args:
        asker: The turn and its policy, which is not `off`.
        checks: Who judges.
        show: Shows text and keeps it.
        stop: Ends the turn; called at most once, and nothing is shown after it.
    """

    def __init__(
        self,
        asker: Asker,
        checks: Checks,
        *,
        show: Callable[[str], None],
        stop: Callable[[Reason], None],
    ) -> None:
        self._asker = asker
        self._checks = checks
        self._show = show
        self._stop = stop
        self._holds = asker.policy == "block"
        self._question = ""
        self._is_closed = False
        self._changed = anyio.Event()
        self._moved = anyio.Event()
        self._places = anyio.Semaphore(AT_ONCE)
        self._pieces: list[str] = []
        self._shown = 0
        self._begin("")

    @property
    def held(self) -> str:
        """What was pushed and is not shown."""
        return "".join(self._pieces)

    def ask_about(self, question: str) -> None:
        """Have the user's message checked beside the answer, as `flag` wants it."""
        if not self._holds:
            self._question = question

    def resume(self, shown: str) -> None:
        """Go on where another process was lost: what it showed was checked."""
        self._begin(shown)

    def restart(self) -> None:
        """Take another text from its beginning; what is held is given up."""
        self._begin("")

    def push(self, text: str) -> None:
        """Take the next piece of the text."""
        if text and not self._holds:  # also where the checks crashed
            self._show(text)
        if not text or self._is_closed:
            return
        if self._holds:
            self._pieces.append(text)
        self._add(self._splitter.push(text))

    async def settle(self) -> None:
        """Wait until all that was pushed is shown, or the gate has ended the turn.

        The text has come to its end. Bounded by the checks' deadlines; under `flag` nobody waits.
        """
        self._add(self._splitter.flush())
        while self._holds and self._units and not self._is_closed:
            self._moved = anyio.Event()
            await self._moved.wait()
        if not self._is_closed:
            self._let_out(self._shown + len(self.held))  # blanks are all that is left

    def close(self) -> None:
        """End it: under `block` at once, under `flag` when what was shown is checked."""
        if not self._is_closed and not self._holds:
            self._add(self._splitter.flush())
        self._is_closed = True
        self._changed.set()

    async def run(self) -> None:
        """Check what is pushed, until the gate is closed. Never raises."""
        try:
            await self._check_all()
        except Exception:  # a bug here must not let through what nobody has checked
            log.exception("moderation.crashed", turn_id=self._asker.turn_id)
            self._end("internal_error")

    async def _check_all(self) -> None:
        async with anyio.create_task_group() as tasks:
            if self._question:
                tasks.start_soon(self._checks.judge, self._asker, "input", [self._question])
            while not self._is_closed:
                self._changed = anyio.Event()  # what happens from here on is not missed: no await
                if not self._unasked:
                    await self._changed.wait()
                    continue
                await self._places.acquire()
                tasks.start_soon(self._check, self._next_batch())
            if self._holds:
                tasks.cancel_scope.cancel()
                return
            tasks.cancel_scope.deadline = anyio.current_time() + AFTER_END_S
            while self._unasked:
                await self._places.acquire()
                tasks.start_soon(self._check, self._next_batch())

    async def _check(self, units: Sequence[_Unit]) -> None:
        try:
            verdicts = await self._checks.judge(
                self._asker, "output", [unit.text for unit in units]
            )
        finally:
            self._places.release()
        for unit, verdict in zip(units, verdicts, strict=True):
            unit.may_pass = not self._holds or self._checks.may_pass(verdict)
            if verdict is None:
                unit.reason = "moderation_unavailable"
        self._advance()

    def _advance(self) -> None:
        """Let out what is next in order, as far as that is known."""
        if self._is_closed:
            return
        end = self._shown
        while self._units and self._units[0].may_pass is not None:
            unit = self._units.popleft()
            if not unit.may_pass:
                self._let_out(end)
                self._end(unit.reason)
                return
            end = max(end, unit.end)
        self._let_out(end)
        self._moved.set()

    def _let_out(self, end: int) -> None:
        if not self._holds or end <= self._shown:
            return
        held = self.held
        text, rest = held[: end - self._shown], held[end - self._shown :]
        self._pieces = [rest] if rest else []
        self._shown = end
        self._show(text)

    def _end(self, reason: Reason) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._changed.set()
        self._moved.set()
        if self._holds:
            self._stop(reason)

    def _begin(self, shown: str) -> None:
        self._splitter = SentenceSplitter("")
        self._pieces.clear()
        self._shown = len(shown)
        # Checks that are under way find their units gone, and let nothing out.
        self._units: deque[_Unit] = deque()
        self._unasked: deque[_Unit] = deque()
        self._splitter.push(shown)

    def _add(self, sentences: Sequence[Sentence]) -> None:
        for sentence in sentences:
            unit = _Unit(sentence.text, sentence.end)
            self._unasked.append(unit)
            if self._holds:
                self._units.append(unit)
        if sentences:
            self._changed.set()

    def _next_batch(self) -> list[_Unit]:
        return [self._unasked.popleft() for _ in range(min(BATCH, len(self._unasked)))]
