"""Everything that a controller works with, in memory, and traffic as a test says it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import anyio

from flags.changes.editor import FlagEditor
from flags.client import Fallbacks, FlagClient
from flags.errors import FlagStoreUnavailableError
from flags.model import Ruleset
from flags.rollout.batches import Arm, Batch, Counted
from flags.rollout.controller import Intervals, OnTransition, RolloutController
from flags.rollout.model import GuardedRollout, Plan
from flags.rollout.operations import RolloutOperator
from flags.rollout.store.base import Sight
from flags.rollout.store.memory import MemoryRolloutStore
from flags.rollout.store.memory.store import _Lease  # what another process would write
from flags.rollout.tally import Tally
from flags.store.base import Commit, Committed, Fence
from tests.flags.factories import a_flag, a_ruleset, asked_by
from tests.flags.support import MemoryStore
from tests.support.rollout_stores import some

FLAG = "streaming"
PLAN = Plan(stages=(1.0, 25.0, 100.0), bake_s=10.0, final_bake_s=10.0, beta=0.05)
QUICK = Intervals(flush_s=0.02, tick_s=0.02, busy_tick_s=0.02, renew_s=0.05, follow_s=0.02)

Told = tuple[str, int, int]
"""Action, stage before, stage after."""


class LossyFlags(MemoryStore):
    """Flags whose answers to some writes are lost, though the writes hold; or the writes are."""

    lose_answers = 0
    lose_writes = 0

    async def commit(self, commit: Commit) -> Committed:
        if self.lose_writes:
            self.lose_writes -= 1
            raise FlagStoreUnavailableError("the write was lost")
        committed = await super().commit(commit)
        if self.lose_answers:
            self.lose_answers -= 1
            raise FlagStoreUnavailableError("the answer was lost")
        return committed


class FaultyRollouts(MemoryRolloutStore):
    """Rollouts that can be away, for everything or for what is kept."""

    is_away = False
    is_broken = False
    lose_answers = 0
    keeps = True
    added = 0

    async def add(self, flag: str, batch: Batch, *, version: int) -> None:
        self._reach()
        await super().add(flag, batch, version=version)
        self.added += 1
        if self.lose_answers:
            self.lose_answers -= 1
            raise FlagStoreUnavailableError("the answer was lost")

    async def see(self, flag: str, epoch: int) -> Sight:
        self._reach()
        if self.is_broken:
            raise RuntimeError("a bug")
        return await super().see(flag, epoch)

    async def lead(self, worker: str) -> Fence | None:
        self._reach()
        return await super().lead(worker)

    async def keep(self, flag: str, evidence: bytes, report: bytes, fence: Fence) -> None:
        self._reach()
        if not self.keeps:
            raise FlagStoreUnavailableError("nothing is kept")
        await super().keep(flag, evidence, report, fence)

    def take_lease(self, worker: str) -> None:
        """Have another worker lead, as if the lease had run out."""
        self._token += 1
        self._lease = _Lease(worker, self._token, float("inf"))

    def _reach(self) -> None:
        if self.is_away:
            raise FlagStoreUnavailableError("rollouts are away")


class World:
    """A flag, its rollout, and time that passes when a test says so."""

    def __init__(self) -> None:
        self.flags = LossyFlags(a_ruleset(a_flag()))
        self.now = 1_800_000_000.0
        self.rollouts = FaultyRollouts(clock=lambda: self.now)
        self.editor = FlagEditor(self.flags)
        self.operator = RolloutOperator(self.editor)
        self.told: list[Told] = []
        self.clients: list[FlagClient] = []
        self._numbers = count(1)

    def controller(
        self,
        worker: str = "w1",
        *,
        tally: Tally | None = None,
        on_transition: OnTransition | None = None,
    ) -> RolloutController:
        """Return the controller of another worker."""
        self.clients.append(FlagClient(self.flags, Fallbacks(Ruleset())))
        return RolloutController(
            self.rollouts,
            self.editor,
            self.clients[-1],
            tallies={FLAG: tally or Tally(worker)},
            worker=worker,
            intervals=QUICK,
            on_transition=on_transition or self._told,
        )

    def _told(self, _key: str, before: GuardedRollout, after: GuardedRollout, action: str) -> None:
        self.told.append((action, before.stage, after.stage))

    @asynccontextmanager
    async def running(self, *controllers: RolloutController) -> AsyncIterator[None]:
        """Run controllers and all clients."""
        for client in self.clients:
            await client.open()
        async with anyio.create_task_group() as tasks:
            for client in self.clients:
                tasks.start_soon(client.run)
            for controller in controllers:
                tasks.start_soon(controller.run)
            yield
            tasks.cancel_scope.cancel()

    async def start(self, plan: Plan = PLAN) -> None:
        """Begin a rollout."""
        await self.operator.start(FLAG, plan, asked_by())

    async def requests(
        self, on: int = 100, off: int = 100, *, failing: Sequence[str] = (), ttft_s: float = 0.2
    ) -> None:
        """Have a worker count requests of the present epoch; `failing` are users with the flag."""
        epoch = (await self.flags.read()).flags[FLAG].epoch
        counted: dict[tuple[int, Arm], Counted] = {
            (epoch, Arm.ON): some(*[ttft_s] * on, failures=[(user, 0.2) for user in failing]),
            (epoch, Arm.OFF): some(*[0.2] * off),
        }
        version = (await self.flags.read()).version
        await self.rollouts.add(FLAG, Batch("busy", next(self._numbers), counted), version=version)

    async def leader(self, worker: str = "w1") -> Fence:
        """Let a worker lead, whoever leads now."""
        self.now += 16
        fence = await self.rollouts.lead(worker)
        assert fence is not None
        return fence

    async def rollout(self) -> GuardedRollout:
        """Return how the rollout stands."""
        return (await self.flags.read()).rollouts[FLAG]

    async def percentage(self) -> float:
        """Return how many get the flag."""
        return (await self.flags.read()).flags[FLAG].rollout.percentage
