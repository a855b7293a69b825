"""The engine on a stage: real log, real store, real runner, a model that follows a script."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
from anyio.lowlevel import checkpoint
from httpx_sse import EventSource, ServerSentEvent
from hypothesis import settings

from history.base import Conversations, History, Messages, Turns
from history.errors import HistoryError, HistoryUnavailableError
from history.model import (
    Checkpoint,
    Idempotency,
    NewTurn,
    TurnEnd,
    TurnRecord,
    TurnSeal,
    TurnStatus,
)
from history.sqlite import SqliteHistory
from metrics.turns import TurnMetrics
from storage.sqlite import SqliteDatabase
from streaming.cache.memory import MemoryCache
from streaming.cursor import START, Cursor, parse_id
from streaming.event_log.base import EventLog, EventReader, Wake
from streaming.event_log.memory import MemoryEventLog
from streaming.keeper import RecordKeeper
from streaming.llm.base import Prompt, PromptMessage, TokenSource
from streaming.llm.choice import SourceChoice
from streaming.moderation.base import Policy
from streaming.moderation.checks import Checks
from streaming.operators import Operators, TurnWatcher
from streaming.runner import RunnerLimits, TurnRunner
from streaming.speech.base import Speaker
from streaming.speech.maker import AudioMaker
from streaming.speech.turn_speech import SpeechLimits, SpeechSpec, Studio
from streaming.turn import Deadlines, LiveTurn, OnBreak, TurnSpec
from tests.history.factories import OWNER, a_first_turn
from tests.support.sources import a_chain

WAIT_S = 10.0
"""Bound of every wait; what is waited for comes within milliseconds, also on a busy machine."""

PATIENT = Deadlines(first_token_s=60, inter_token_s=60, turn_s=60)

properties = settings(deadline=None, derandomize=True)
"""For tests over drawn values: the same ones everywhere, however busy the machine is."""

TERMINAL = {"turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted"}


@dataclass(frozen=True, slots=True)
class Told:
    """An event as a reader gets it."""

    cursor: Cursor
    name: str
    data: dict[str, Any]


def decode(frames: bytes) -> list[ServerSentEvent]:
    """Return the events in some frames, as a decoder that is not ours sees them."""
    response = httpx.Response(
        200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=frames
    )
    return list(EventSource(response).iter_sse())


def told(turn_id: str, frames: bytes) -> list[Told]:
    """Return the entries in some frames."""
    return [
        Told(parse_id(turn_id, event.id), event.event, json.loads(event.data))
        for event in decode(frames)
    ]


async def follow(log: EventLog, turn_id: str, cursor: Cursor = START) -> list[Told]:
    """Return all that a reader is told after a cursor, to the end."""
    reader = log.attach(turn_id, cursor)
    frames = b""
    with anyio.fail_after(WAIT_S):
        while not reader.at_end:
            frames += reader.take(1 << 20)
            if not reader.at_end:
                assert await reader.wait() is not Wake.LEAVE, "sent away before the end"
    reader.close()
    return told(turn_id, frames)


async def wait_for_entry(reader: EventReader, seq: int) -> None:
    """Wait until a reader can have an entry."""
    with anyio.fail_after(WAIT_S):
        while reader.cursor.seq < seq:
            if not reader.take(1):
                await reader.wait()


class FaultyTurns:
    """The record of turns behind a line that can be cut.

    Attributes:
        fault: Raised instead of any later write, while it is set.
        only: The turn whose end fails; None: every write does.
        gate: What an end waits for before it is written, while it is set.
        at_gate: Set when an end waits there.
        attempted: Set by each write that is tried; replace it to wait for another.
        rounds: The checkpoints written, one list a call.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.fault: Exception | None = None
        self.only: str | None = None
        self.gate: anyio.Event | None = None
        self.at_gate = anyio.Event()
        self.attempted = anyio.Event()
        self.rounds: list[Sequence[Checkpoint]] = []
        self.ends: list[TurnEnd] = []

    async def begin(self, turn: NewTurn) -> tuple[TurnRecord, bool]:
        return await self._turns.begin(turn)

    async def begun_with(
        self, owner_id: str, key: Idempotency, *, at: datetime
    ) -> TurnRecord | None:
        return await self._turns.begun_with(owner_id, key, at=at)

    async def find(self, turn_id: str) -> TurnRecord:
        return await self._turns.find(turn_id)

    async def get(self, owner_id: str, turn_id: str) -> TurnRecord:
        return await self._turns.get(owner_id, turn_id)

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> frozenset[str]:
        self._may_fail(None)
        self.rounds.append(checkpoints)
        return await self._turns.checkpoint(checkpoints)

    async def seal(self, seal: TurnSeal) -> None:
        self._may_fail(seal.turn_id)
        await self._turns.seal(seal)

    async def end(self, end: TurnEnd) -> TurnRecord:
        self._may_fail(end.turn_id)
        if self.gate is not None:
            self.at_gate.set()
            await self.gate.wait()
        self.ends.append(end)
        try:
            return await self._turns.end(end)
        except HistoryError:
            # Python 3.11 traces nothing that an error resumes; after this rest it does again.
            await checkpoint()
            raise

    async def find_running(self, *, silent_since: datetime | None) -> Sequence[TurnRecord]:
        return await self._turns.find_running(silent_since=silent_since)

    def open_gate(self) -> None:
        """Let ends through that wait at the gate."""
        if self.gate is not None:
            self.gate.set()

    def _may_fail(self, turn_id: str | None) -> None:
        self.attempted.set()
        if self.fault is not None and self.only in {None, turn_id}:
            raise self.fault


class UnreachableHistory:
    """A record that cannot be reached while `turns.fault` is set."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.conversations: Conversations = history.conversations
        self.messages: Messages = history.messages
        self.turns = FaultyTurns(history.turns)

    def cut(self) -> None:
        """Let every write fail from now on."""
        self.turns.fault = HistoryUnavailableError("cut")

    def mend(self) -> None:
        """Let writes through again."""
        self.turns.fault = None

    async def open(self) -> None:
        await self._history.open()

    async def sweep(self, now: datetime) -> None:
        await self._history.sweep(now)

    async def check(self) -> None:
        await self._history.check()

    async def verify_indexes(self) -> list[str]:
        return await self._history.verify_indexes()

    async def close(self) -> None:
        await self._history.close()


@dataclass
class Stage:
    """Everything one process has to run turns."""

    history: UnreachableHistory
    source: TokenSource
    deadlines: Deadlines = PATIENT
    max_live: int = 1000
    abandon_after_s: float = 0
    speakers: Sequence[Speaker] = ()
    speech_limits: SpeechLimits = field(default_factory=SpeechLimits)
    metrics: TurnMetrics = field(default_factory=TurnMetrics)
    sources: SourceChoice | None = None
    checks: Checks | None = None
    watchers: Sequence[TurnWatcher] = ()
    log: EventLog = field(
        default_factory=lambda: MemoryEventLog(
            replay_window_s=60, max_bytes=1 << 30, clock=anyio.current_time
        )
    )

    def __post_init__(self) -> None:
        self.keeper = RecordKeeper(self.history, self.metrics)
        self.runner = TurnRunner(
            keeper=self.keeper,
            event_log=self.log,
            sources=self.sources or a_chain(self.source, metrics=self.metrics),
            operators=Operators(self.metrics, self.watchers),
            limits=RunnerLimits(self.deadlines, self.max_live, self.abandon_after_s),
            studio=a_studio(self.speakers, self.metrics, self.speech_limits),
            checks=self.checks,
        )

    async def start(
        self,
        *,
        streaming: bool = True,
        max_chars: int = 100_000,
        speech: SpeechSpec | None = None,
        on_break: OnBreak = "continue",
        moderation: Policy = "off",
    ) -> LiveTurn:
        """Begin a turn in a conversation of its own, and start it."""
        new_turn = a_first_turn(streaming=streaming)
        await self.history.turns.begin(new_turn)
        spec = spec_of(new_turn, max_chars=max_chars)
        spec = replace(spec, speech=speech, on_break=on_break, moderation=moderation)
        return self.runner.start(spec)

    async def record(self, turn: LiveTurn) -> TurnRecord:
        """Return what is stored of a turn."""
        return await self.history.turns.get(OWNER, turn.spec.turn_id)

    async def follow(self, turn: LiveTurn, cursor: Cursor = START) -> list[Told]:
        """Return all that a reader of a turn is told after a cursor, to the end."""
        return await follow(self.log, turn.spec.turn_id, cursor)

    async def ended(self, turn: LiveTurn) -> list[Told]:
        """Return all that was told of a turn, which must have ended as every turn does."""
        events = await self.follow(turn)
        with anyio.fail_after(WAIT_S):
            await turn.ended.wait()
        await self.check_end(turn, events)
        return events

    async def check_end(self, turn: LiveTurn, events: Sequence[Told]) -> None:
        """Hold a turn to the invariants of an end that is stored."""
        record = await self.record(turn)
        last = events[-1]
        numbers = [event.cursor.seq for event in events]
        assert numbers == list(range(1, len(events) + 1))
        assert events[0].name == "turn.started"
        assert [event.name for event in events if event.name in TERMINAL] == [last.name]
        assert record.status == last.name.removeprefix("turn.")
        assert (record.epoch, record.last_seq) == (last.cursor.epoch, last.cursor.seq)
        assert record.text == last.data["text"]
        assert record.end == last.data
        assert last.data["stored"] is True
        await self._check_message(record)
        if last.name == "turn.completed" and turn.spec.streaming:
            (done,) = [event for event in events if event.name == "text.done"]
            after = {event.name for event in events[events.index(done) + 1 : -1]}
            assert after <= {"speech.chunk", "speech.failed"}
            assert done.data["text"] == record.text == deltas(events)
        if not turn.spec.streaming:
            assert len(events) == 2
        assert self.runner.find(turn.spec.turn_id) is None

    async def _check_message(self, record: TurnRecord) -> None:
        message = await self.history.messages.get(OWNER, record.message_id)
        assert (message.text, message.status) == (record.text, record.status)
        conversation = await self.history.conversations.get(OWNER, record.conversation_id)
        assert conversation.active_turn_id is None
        assert record.status is not TurnStatus.RUNNING


def deltas(events: Sequence[Told]) -> str:
    """Return the deltas, joined."""
    return "".join(event.data["text"] for event in events if event.name == "text.delta")


def spec_of(turn: NewTurn, *, max_chars: int = 100_000) -> TurnSpec:
    """Return the specification of a turn that has begun."""
    return TurnSpec(
        turn_id=turn.turn_id,
        owner_id=turn.owner_id,
        conversation_id=turn.conversation_id,
        message_id=turn.message_id,
        chatbot_id=turn.chatbot_id,
        model=turn.model,
        prompt=Prompt((PromptMessage("user", turn.text or ""),), turn.model),
        streaming=turn.streaming,
        max_response_chars=max_chars,
        received_at=anyio.current_time(),
    )


def a_studio(
    speakers: Sequence[Speaker], metrics: TurnMetrics, limits: SpeechLimits | None = None
) -> Studio:
    """Return a studio with these engines; none means that speech is off."""
    maker = AudioMaker(
        speakers=speakers,
        cache=MemoryCache(max_bytes=1 << 24, ttl_s=3600, clock=anyio.current_time),
        metrics=metrics,
        max_parallel=16,
        timeout_s=10,
        first_timeout_s=5,
    )
    return Studio(maker, metrics, limits or SpeechLimits(), anyio.current_time)


@asynccontextmanager
async def opened_history(tmp_path: Path) -> AsyncGenerator[UnreachableHistory, None]:
    """Open a store for the length of the block."""
    # Far above what a call takes: a busy machine must not fail a test that is not about deadlines.
    history = SqliteHistory(SqliteDatabase(tmp_path / "chat.db", timeout_s=20))
    await history.open()
    try:
        yield UnreachableHistory(history)
    finally:
        await history.close()


@asynccontextmanager
async def on_stage(
    tmp_path: Path, source: TokenSource, **options: Any
) -> AsyncGenerator[Stage, None]:
    """Run turns for the length of the block."""
    async with opened_history(tmp_path) as history:
        stage = Stage(history, source, **options)
        async with stage.runner.running():
            try:
                yield stage
            finally:  # a test that fails meanwhile must not leave an end waiting for ever
                history.turns.open_gate()
