"""The turns that run in this process: started, stopped, ended and drained.

One task a turn, all in one task group. Whatever happens to a turn, it ends in exactly one terminal
event, and the record is written before it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic

import anyio
import structlog
from anyio.abc import TaskGroup

from history.model import TurnEnd, TurnRecord, TurnStatus
from resilience.supervised import supervised
from streaming.beside import gate_of, speech_of
from streaming.commands import CancelTurn, FallSilent, PlaybackReported, decode
from streaming.ending import Ending
from streaming.errors import BusyError, DrainingError
from streaming.event_log.base import EventLog, EventWriter, Leases
from streaming.event_log.replay import Replayed
from streaming.events import TurnStarted
from streaming.keeper import CHECKPOINT_EVERY_S, RETRY_EVERY_S, RecordKeeper
from streaming.llm.choice import SourceChoice
from streaming.moderation.checks import Checks
from streaming.operators import Operators
from streaming.readership import Readership
from streaming.speaking import Speaking
from streaming.speech.turn_speech import Studio
from streaming.turn import (
    HANDED_OVER,
    TAKEN_OVER,
    Cancelled,
    Deadlines,
    Failed,
    Finished,
    Interrupted,
    LiveTurn,
    Outcome,
    TurnSpec,
)
from streaming.writing import TextWriting

log = structlog.get_logger(__name__)

EXPIRE_EVERY_S = 30.0
TELL_AGAIN_S = 0.25

HANDOVER_S = 3.0
"""To share what was written last, and give the lease back; else it runs out by itself."""

ADMITTED_LOOK_S = 0.02
"""How often a process that drains looks whether requests that it has admitted have begun."""

STOP_GRACE_S = 5.0
"""After the drain deadline: time to store what the interrupted turns have."""


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """Bounds of one process's turns.

    `max_live` turns run at once; `abandon_after_s` without a reader one is cancelled; 0: never.
    """

    deadlines: Deadlines
    max_live: int
    abandon_after_s: float = 0.0


class TurnRunner:  # noqa: PLR0904  # starting is admitted, commands are obeyed, leaving drains
    """Runs turns. `running()` must be entered before the first start.

    Args:
        keeper: Writes the record.
        event_log: Where events go.
        sources: The models.
        operators: Told of each turn; never of each token.
        limits: How long a turn may take, and how many may run.
        studio: What turns that are spoken share.
        leases: Who produces what, where several workers share the log.
        checks: Who judges what may be said, for turns whose policy asks for it.

    Attributes:
        readership: Who reads the turns; told by whoever opens a stream.
    """

    def __init__(  # noqa: PLR0913  # each is a neighbour of its own
        self,
        *,
        keeper: RecordKeeper,
        event_log: EventLog,
        sources: SourceChoice,
        operators: Operators,
        limits: RunnerLimits,
        studio: Studio,
        leases: Leases | None = None,
        checks: Checks | None = None,
    ) -> None:
        self._keeper = keeper
        self._event_log = event_log
        self._sources = sources
        self._operators = operators
        self._limits = limits
        self._studio = studio
        self._leases = leases
        self._checks = checks
        self._speaking = Speaking(keeper, leases)
        self.readership = Readership(
            event_log=event_log, leases=leases, abandon_after_s=limits.abandon_after_s
        )
        self._live: dict[str, LiveTurn] = {}
        self._admitted = 0
        self._tasks: TaskGroup | None = None
        self._leaving: Interrupted | None = None
        self.is_draining = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run turns and their duties inside the block; turns left at its end are interrupted."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for name, step, every_s in (
                ("checkpoint", self._checkpoint, CHECKPOINT_EVERY_S),
                ("store_ends", self._keeper.retry_ends, RETRY_EVERY_S),
                ("expire_logs", self._expire, EXPIRE_EVERY_S),
                ("tell_readers", self.readership.run, TELL_AGAIN_S),
            ):
                tasks.start_soon(partial(supervised, name, step, every_s=every_s, log=log))
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    def admit(self) -> None:
        """Refuse a new turn where none can be taken; ask before anything is stored.

        Raises:
            DrainingError: this process is shutting down.
            BusyError: as many turns run as may.
        """
        if self.is_draining:
            raise DrainingError
        if len(self._live) + self._admitted >= self._limits.max_live:
            raise BusyError

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Hold a place for a turn while it is planned and begun: a burst must not pass the bound.

        Raises:
            DrainingError, BusyError: as `admit`.
        """
        self.admit()
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    def start(self, spec: TurnSpec) -> LiveTurn:
        """Start producing a turn whose record has begun; its first event is in the log at once."""
        # Not `turn.lose` itself: the turn does not exist yet.
        writer = self._event_log.create(spec.turn_id, lambda: turn.lose())  # noqa: PLW0108
        turn = self._made(spec, writer)
        started = TurnStarted(
            spec.turn_id,
            spec.conversation_id,
            spec.message_id,
            spec.chatbot_id,
            spec.model,
            spec.streaming,
        )
        turn.writer.append(started)
        if turn.gate is not None:
            turn.gate.ask_about(spec.prompt.messages[-1].text)
        self._silence_former(spec)
        return self._set_going(turn)

    def resume(
        self, spec: TurnSpec, writer: EventWriter, state: Replayed, *, stop: Outcome | None = None
    ) -> LiveTurn:
        """Go on with a turn that was taken over.

        Args:
            spec: Made anew.
            writer: Holds its log.
            state: What the log holds, or the record where the log lost entries.
            stop: End it at once, for this cause.
        """
        turn = self._made(spec, writer)
        turn.draft, turn.is_continued = state.draft, state.draft.length > 0
        turn.is_text_told = state.is_text_done
        if turn.gate is not None:
            turn.gate.resume(state.draft.text)
        if turn.speech is not None:
            turn.speech.resume(state.draft, sentence=state.sentence, speech=state.speech)
        if state.is_text_done:
            stop = Finished("stop", None)
        if stop is not None:
            turn.stop(stop)
        elif turn.is_continued:
            self._operators.continued()
        return self._set_going(turn)

    def _made(self, spec: TurnSpec, writer: EventWriter) -> LiveTurn:
        turn = LiveTurn(spec, writer, self._operators.first_token)
        turn.speech = speech_of(turn, self._studio)
        turn.gate = gate_of(turn, self._checks)
        return turn

    def _set_going(self, turn: LiveTurn) -> LiveTurn:
        assert self._tasks is not None, "enter running() first"  # noqa: S101  # wiring error
        spec = turn.spec
        self._tasks.start_soon(self._run, turn, name=f"turn {spec.turn_id}")
        self._live[spec.turn_id] = turn  # nothing above may fail and leave it here for ever
        if self._leaving is not None:
            turn.stop(self._leaving)
        self._operators.began(spec)
        self.readership.watch(turn)
        return turn

    def find(self, turn_id: str) -> LiveTurn | None:
        """Return the turn if it runs here."""
        return self._live.get(turn_id)

    def is_ours(self, turn_id: str) -> bool:
        """Whether a turn runs here, or has ended here and its end is still to be stored."""
        return turn_id in self._live or self._keeper.unstored(turn_id) is not None

    @property
    def live_count(self) -> int:
        """Turns that run here."""
        return len(self._live)

    async def cancel(self, turn_id: str, cause: Cancelled, *, wait_s: float) -> None:
        """Stop a turn that runs here; the upstream is closed at once.

        Idempotent: a turn that is already ending ends as it was going to. Waits until it has ended,
        at most `wait_s` seconds.
        """
        turn = self._live.get(turn_id)
        if turn is None:
            return
        turn.stop(cause)
        with anyio.move_on_after(wait_s):
            await turn.ended.wait()

    def stop_streaming(self, cause: Cancelled) -> None:
        """Stop every turn that streams its answer here, as when streaming is killed at once."""
        for turn in list(self._live.values()):
            if turn.spec.streaming:
                turn.stop(cause)

    def obey(self, turn_id: str, data: bytes) -> bool:
        """Do what another process asks of a turn that runs here; False: it does not run yet."""
        turn, command = self._live.get(turn_id), decode(data)
        if turn is None:
            return False
        match command:
            case CancelTurn(by=by, seen=seen):
                turn.stop(Cancelled(by, seen))
            case PlaybackReported(played_s=played_s, buffered_s=buffered_s):
                if turn.speech is not None:
                    turn.speech.played(played_s=played_s, buffered_s=buffered_s)
            case FallSilent():
                # Not by way of `silence`: the record may have ended, and we not know of it yet.
                if turn.speech is not None:
                    turn.speech.cut()
            case None:  # of a later release
                pass
        return True

    def silence(self, conversation_id: str) -> None:
        """Cut speech that goes on in a conversation after its text: the turn is completed."""
        self._speaking.silence(conversation_id)

    def _silence_former(self, spec: TurnSpec) -> None:
        """Cut the speech of the turn that this one comes after; nobody waits for other workers."""
        assert self._tasks is not None, "enter running() first"  # noqa: S101  # wiring error
        self.silence(spec.conversation_id)
        if spec.former_turn_id is not None and spec.former_turn_id not in self._live:
            self._tasks.start_soon(self._speaking.silence_elsewhere, spec.former_turn_id)

    async def drain(self, timeout_s: float) -> None:
        """Take no new turns, let the running ones finish, interrupt what is left after `timeout_s`.

        Returns when every turn has ended and been stored, or could not be within a bounded grace.
        """
        self.is_draining = True
        log.info("drain.started", turns=len(self._live), timeout_s=timeout_s)
        for turn in self._live.values():
            if turn.speech is not None:
                turn.speech.hurry()
        with anyio.move_on_after(timeout_s):
            await self._until_idle()
        # Also for turns that were admitted before, and begin only now.
        self._leaving = Interrupted("shutdown" if self._leases is None else HANDED_OVER)
        for turn in list(self._live.values()):
            turn.stop(self._leaving)
        with anyio.move_on_after(STOP_GRACE_S):
            await self._until_idle()
            await self._keeper.settle()
        log.info("drain.ended", turns=len(self._live), unstored=self._keeper.unstored_count)

    async def _run(self, turn: LiveTurn) -> None:
        if turn.speech is None and turn.gate is None:
            await self._produce(turn)
            return
        async with anyio.create_task_group() as beside:
            for work in (turn.speech, turn.gate):
                if work is not None:
                    beside.start_soon(work.run)
            await self._produce(turn)

    async def _produce(self, turn: LiveTurn) -> None:
        # Cancelled from outside: where there are other workers, one of them goes on.
        outcome: Outcome = Interrupted("shutdown" if self._leases is None else TAKEN_OVER)
        try:
            writing = TextWriting(turn, self._sources, self._limits.deadlines, monotonic)
            outcome = await writing.run()
        except Exception:  # a bug must still end the turn it hit
            log.exception("turn.crashed", turn_id=turn.spec.turn_id)
            outcome = Failed("internal_error", "Something went wrong here; ask again.", True)
        finally:
            with anyio.CancelScope(shield=True):
                await self._finish(turn, turn.conclude(outcome))

    async def _finish(self, turn: LiveTurn, outcome: Outcome) -> None:
        """Tell the record, then the readers; or leave both to the worker that goes on."""
        if isinstance(outcome, Interrupted) and outcome.reason in {TAKEN_OVER, HANDED_OVER}:
            await self._leave(turn, outcome)
            return
        total_s = monotonic() - turn.spec.received_at
        if turn.speech is not None:
            turn.speech.complete_text() if isinstance(outcome, Finished) else turn.speech.cut()
        ending = Ending(turn, outcome, total_s=total_s, at=datetime.now(UTC))
        end = turn.end = ending.record()
        record = await self._keeper.store_end(end)
        if self._is_anothers(turn, record, end):
            await self._leave(turn, Interrupted(TAKEN_OVER))
            return
        last = ending.events_told(end, record)
        for event in await self._speaking.finish(turn, ending, last):
            turn.writer.append(event)
        turn.writer.close()
        self._forget(turn)
        self._operators.ended(turn, ending, total_s)

    def _is_anothers(self, turn: LiveTurn, record: TurnRecord | None, end: TurnEnd) -> bool:
        """Whether another worker goes on, or went on and ended it: readers are served there."""
        if record is None:
            return turn.is_lost
        is_elsewhere = record.status is TurnStatus.RUNNING or record.epoch > end.epoch
        return self._leases is not None and is_elsewhere

    async def _leave(self, turn: LiveTurn, outcome: Interrupted) -> None:
        """Leave a turn to another worker: nothing of it ends here."""
        if turn.speech is not None:
            turn.speech.cut()
        if self._leases is not None and outcome == Interrupted(HANDED_OVER):
            with anyio.move_on_after(HANDOVER_S):
                await self._keeper.checkpoint([turn])
                await self._event_log.settle()
                await self._leases.release(turn.spec.turn_id, turn.writer.cursor.epoch)
        turn.writer.abandon()
        self._forget(turn)
        self._operators.left(turn.spec, outcome.reason)

    def _forget(self, turn: LiveTurn) -> None:
        del self._live[turn.spec.turn_id]
        turn.note_ended()
        self.readership.forget(turn)

    async def _checkpoint(self) -> None:
        running = [turn for turn in self._live.values() if turn.end is None]
        await self._keeper.checkpoint(running)

    async def _expire(self) -> None:
        self._event_log.expire()

    async def _until_idle(self) -> None:
        while self._live or self._admitted:
            if self._live:
                await next(iter(self._live.values())).ended.wait()
            else:
                await anyio.sleep(ADMITTED_LOOK_S)
