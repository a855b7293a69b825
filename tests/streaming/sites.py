"""Processes that share turns, several in one: each with its log, runner and eye on the others."""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

import anyio
import anyio.abc

from history.base import History
from history.model import TurnRecord
from metrics.turns import TurnMetrics
from streaming.cursor import Cursor
from streaming.errors import SpecificationError
from streaming.event_log.base import EventReader
from streaming.event_log.redis.keys import RUNNING, lease_of
from streaming.keeper import RecordKeeper
from streaming.llm.base import TokenSource
from streaming.moderation.base import Policy
from streaming.moderation.checks import Checks
from streaming.operators import Operators
from streaming.runner import RunnerLimits, TurnRunner
from streaming.speech.base import Speaker
from streaming.speech.turn_speech import SpeechLimits, SpeechSpec
from streaming.takeover import TakeoverLimits, Takeovers
from streaming.turn import LiveTurn, OnBreak, TurnSpec
from tests.history.factories import a_first_turn
from tests.streaming.event_log.workers import Worker, until
from tests.streaming.harness import PATIENT, WAIT_S, a_studio, spec_of
from tests.support.sources import a_chain

MAX_LIVE = 200
"""Turns of one site at once."""


class Site:
    """One process that shares turns: its log, its runner, and its eye on the others'.

    Attributes:
        on_break: What becomes of turns that are taken over here.
        moderation: The policy of turns that begin or are taken over here.
        refusal: Why none can be specified anew, if none can.
        broken: A turn that a bug keeps from being specified anew.
        taken: How many turns were taken over here.
    """

    def __init__(
        self,
        worker: Worker,
        history: History,
        source: TokenSource,
        *,
        abandon_after_s: float = 0,
        speakers: Sequence[Speaker] = (),
        speech_limits: SpeechLimits | None = None,
        checks: Checks | None = None,
    ) -> None:
        metrics = TurnMetrics()
        self.worker = worker
        self.history = history
        self.keeper = RecordKeeper(history, metrics)
        self.runner = TurnRunner(
            keeper=self.keeper,
            event_log=worker.log,
            sources=a_chain(source, metrics=metrics),
            operators=Operators(metrics),
            limits=RunnerLimits(PATIENT, max_live=MAX_LIVE, abandon_after_s=abandon_after_s),
            # As in a process: this clock can also be read outside of any task.
            studio=replace(a_studio(speakers, metrics, speech_limits), clock=monotonic),
            leases=worker.leases,
            checks=checks,
        )
        worker.on_command = self.runner.obey
        worker.on_read = self.runner.readership.read_elsewhere
        self.takeovers = Takeovers(
            history,
            worker.leases,
            self.runner,
            specify=self._specify,
            limits=TakeoverLimits(max_takeovers=2, max_age_s=900),
            on_taken=self._count_taken,
        )
        self.taken = 0
        self.may_specify = anyio.Event()
        self.may_specify.set()
        self.specifies = anyio.Event()
        self.on_break: OnBreak = "continue"
        self.moderation: Policy = "off"
        self.refusal: SpecificationError | None = None
        self.broken = ""

    def _count_taken(self) -> None:
        self.taken += 1

    async def _specify(self, record: TurnRecord) -> TurnSpec:
        self.specifies.set()
        await self.may_specify.wait()
        if self.refusal is not None:
            raise self.refusal
        if record.turn_id == self.broken:
            raise RuntimeError("a bug")
        return replace(
            spec_of(a_first_turn(streaming=record.streaming)),
            on_break=self.on_break,
            moderation=self.moderation,
            turn_id=record.turn_id,
            conversation_id=record.conversation_id,
            message_id=record.message_id,
        )

    async def start(
        self,
        *,
        speech: SpeechSpec | None = None,
        former_turn_id: str | None = None,
        **fields: object,
    ) -> LiveTurn:
        """Begin a turn, and start it here."""
        new_turn = a_first_turn(**fields)
        await self.history.turns.begin(new_turn)
        spec = replace(spec_of(new_turn), speech=speech, former_turn_id=former_turn_id)
        return self.runner.start(replace(spec, moderation=self.moderation))

    async def reader(self, turn_id: str, *, seq: int = 0) -> EventReader:
        """Attach to a turn that another process has begun."""
        await self.worker.log.reach(turn_id, Cursor(1, seq), is_running=True)
        return self.worker.log.attach(turn_id, Cursor(1, seq))

    async def share(self) -> None:
        """Wait until all that was written here is in Redis."""
        with anyio.fail_after(WAIT_S):
            await self.worker.log.settle()

    async def lose(self, turn_id: str) -> None:
        """Make Redis believe that a turn's holder has long been silent; and silence it."""
        self.worker.pause()
        await self.worker.redis("HSET", lease_of(turn_id), "until", 1)
        await self.worker.redis("ZADD", RUNNING, 1, turn_id)

    async def take(self) -> None:
        """Take a turn over as soon as there is one."""

        async def is_taken() -> bool:
            return await self.takeovers.look() > 0

        await until(is_taken)

    async def leased_until(self, turn_id: str) -> int:
        """Return until when a turn is held, in Redis's time."""
        told = await self.worker.redis("HGET", lease_of(turn_id), "until")
        assert isinstance(told, bytes)
        return int(told)

    async def record(self, turn_id: str) -> TurnRecord:
        """Return what is stored of a turn."""
        return await self.history.turns.find(turn_id)

    async def run(
        self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Run turns until cancelled."""
        async with self.runner.running():
            task_status.started()
            await anyio.sleep_forever()
