"""Processes that share turns, several in one: each with its log, runner and eye on the others."""

from dataclasses import replace

import anyio
import anyio.abc

from history.base import History
from history.model import TurnRecord
from metrics.turns import TurnMetrics
from streaming.cursor import Cursor
from streaming.event_log.base import EventReader
from streaming.event_log.redis.keys import RUNNING, lease_of
from streaming.keeper import RecordKeeper
from streaming.llm.base import TokenSource
from streaming.runner import RunnerLimits, TurnRunner
from streaming.takeover import TakeoverLimits, Takeovers
from streaming.turn import LiveTurn, TurnSpec
from tests.history.factories import a_first_turn
from tests.streaming.event_log.workers import Worker, until
from tests.streaming.harness import PATIENT, WAIT_S, a_studio, spec_of
from tests.support.sources import a_chain


class Site:
    """One process that shares turns: its log, its runner, and its eye on the others'."""

    def __init__(self, worker: Worker, history: History, source: TokenSource) -> None:
        metrics = TurnMetrics()
        self.worker = worker
        self.history = history
        self.keeper = RecordKeeper(history, metrics)
        self.runner = TurnRunner(
            keeper=self.keeper,
            event_log=worker.log,
            sources=a_chain(source, metrics=metrics),
            metrics=metrics,
            limits=RunnerLimits(PATIENT, max_live=100),
            studio=a_studio((), metrics),
            leases=worker.leases,
        )
        self.takeovers = Takeovers(
            history,
            worker.leases,
            self.runner,
            specify=self._specify,
            limits=TakeoverLimits(max_takeovers=2, max_age_s=900),
        )
        self.may_specify = anyio.Event()
        self.may_specify.set()
        self.specifies = anyio.Event()

    async def _specify(self, record: TurnRecord) -> TurnSpec:
        self.specifies.set()
        await self.may_specify.wait()
        return replace(
            spec_of(a_first_turn()),
            turn_id=record.turn_id,
            conversation_id=record.conversation_id,
            message_id=record.message_id,
        )

    async def start(self, **fields: object) -> LiveTurn:
        """Begin a turn, and start it here."""
        new_turn = a_first_turn(**fields)
        await self.history.turns.begin(new_turn)
        return self.runner.start(spec_of(new_turn))

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
