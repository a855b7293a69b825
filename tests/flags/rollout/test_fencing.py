"""Many leaders at once on a real Redis: who wakes too late writes nothing, and no stage twice."""

import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import anyio
import pytest
from redis import Redis

from flags.changes.editor import FlagEditor
from flags.client import Fallbacks, FlagClient
from flags.errors import FencedError
from flags.model import AuditEntry, Ruleset
from flags.rollout.batches import Arm, Batch
from flags.rollout.controller import Intervals, RolloutController
from flags.rollout.decided import replayed
from flags.rollout.model import Plan, State
from flags.rollout.operations import RolloutOperator
from flags.rollout.store.base import RolloutStore, Sight
from flags.rollout.store.redis import RedisRolloutStore
from flags.rollout.tally import Tally
from flags.store.base import Commit, Committed, Fence, FlagStore
from flags.store.redis import RedisFlagStore
from tests.flags.factories import asked_by
from tests.support.redis import RedisServer, running_redis
from tests.support.rollout_stores import PATIENCE_S, some

pytestmark = pytest.mark.services

FLAG = "streaming"
LEASE_S = 0.15
STAGES = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 100.0)
PLAN = Plan(stages=STAGES, bake_s=0.0, final_bake_s=0.0, beta=0.5)
QUICK = Intervals(flush_s=0.02, tick_s=0.01, busy_tick_s=0.01, renew_s=0.03, follow_s=0.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


class Ledger:
    """Which tokens were given out and written behind, and at which versions of the rules."""

    def __init__(self, direct: Redis) -> None:
        self._direct = direct
        self.given: dict[int, int] = {}
        self.written: list[tuple[int, int]] = []
        self.refused = 0

    def give(self, token: int) -> None:
        # Read after it was given: whatever is written later is of a later version.
        self.given.setdefault(token, int(self._direct.get("{flags}:version") or 0))

    def stale_writes(self) -> Sequence[tuple[int, int]]:
        """Return the writes behind a token that were made when a higher one had been given out."""
        return [
            (token, version)
            for token, version in self.written
            if any(token < other and version > at for other, at in self.given.items())
        ]


class PausingRollouts:
    """A worker's rollouts; between looking and deciding the whole worker stops now and then."""

    def __init__(self, store: RolloutStore, ledger: Ledger, dice: random.Random) -> None:
        self._store = store
        self._ledger = ledger
        self._dice = dice
        self._asleep = anyio.Lock()
        self.pauses = 0

    async def add(self, flag: str, batch: Batch, *, version: int) -> None:
        async with self._asleep:
            pass
        await self._store.add(flag, batch, version=version)

    async def see(self, flag: str, epoch: int) -> Sight:
        sight = await self._store.see(flag, epoch)
        if self._dice.random() < 0.2:
            self.pauses += 1
            async with self._asleep:
                await anyio.sleep(self._dice.uniform(1, 3) * LEASE_S)
        return sight

    async def lead(self, worker: str) -> Fence | None:
        async with self._asleep:
            pass
        fence = await self._store.lead(worker)
        if fence is not None:
            self._ledger.give(fence.token)
        return fence

    async def keep(self, flag: str, evidence: bytes, report: bytes, fence: Fence) -> None:
        try:
            await self._store.keep(flag, evidence, report, fence)
        except FencedError:
            self._ledger.refused += 1
            raise

    async def leave(self, flags: frozenset[str], worker: str) -> None:
        await self._store.leave(flags, worker)

    async def close(self) -> None:
        await self._store.close()


class WatchedFlags(RedisFlagStore):
    """Flags whose writes behind a fence are noted."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        super().__init__(url, timeout_s=PATIENCE_S)
        self.ledger = ledger

    async def commit(self, commit: Commit) -> Committed:
        try:
            committed = await super().commit(commit)
        except FencedError:
            self.ledger.refused += 1
            raise
        if commit.fence is not None and committed.held:
            self.ledger.written.append((commit.fence.token, committed.version))
        return committed


class Worker:
    """All that one process has of its own."""

    def __init__(self, url: str, ledger: Ledger, name: str) -> None:
        store = RedisRolloutStore(url, timeout_s=PATIENCE_S, lease_s=LEASE_S)
        self.rollouts = PausingRollouts(store, ledger, random.Random(name))  # noqa: S311  # seeded
        self.flags = WatchedFlags(url, ledger)
        self.client = FlagClient(self.flags, Fallbacks(Ruleset()))
        self.controller = RolloutController(
            self.rollouts,
            FlagEditor(self.flags),
            self.client,
            tallies={FLAG: Tally(name)},
            worker=name,
            intervals=QUICK,
        )

    async def run(self) -> None:
        await self.client.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.client.run)
            tasks.start_soon(self.controller.run)

    async def close(self) -> None:
        await self.rollouts.close()
        await self.flags.close()


async def traffic(store: RolloutStore, flags: FlagStore) -> None:
    """Have requests go well in both arms, whichever epoch it is."""
    for number in count(1):
        rules = await flags.read()
        epoch = rules.flags[FLAG].epoch
        counted = {(epoch, arm): some(*[0.1] * 200) for arm in Arm}
        await store.add(FLAG, Batch("busy", number, counted), version=rules.version)
        await anyio.sleep(0.01)


async def all_changes(flags: FlagStore) -> Sequence[AuditEntry]:
    return list(reversed(await flags.history(f"rollout:{FLAG}", limit=1000)))


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))]
)
async def test_leaders_that_sleep_beyond_their_lease_write_nothing_and_promote_nothing_twice(
    server: RedisServer, seed: int
) -> None:
    direct = server.client()
    ledger = Ledger(direct)
    workers = [Worker(server.url, ledger, f"{seed}:{number}") for number in range(5)]
    flags, busy = WatchedFlags(server.url, ledger), RedisRolloutStore(server.url)
    editor = FlagEditor(flags)
    await editor.put_flag(FLAG, {}, asked_by())
    await RolloutOperator(editor).start(FLAG, PLAN, asked_by())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(traffic, busy, flags)
        for worker in workers:
            tasks.start_soon(worker.run)
        with anyio.fail_after(60):
            while (await flags.read()).rollouts[FLAG].state is not State.COMPLETED:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()

    changes = await all_changes(flags)
    for worker in workers:
        await worker.close()
    await flags.close()
    await busy.close()
    direct.close()
    promoted = [entry for entry in changes if entry.action == "promote"]
    assert [entry.after["stage"] for entry in promoted if entry.after] == [*range(1, len(STAGES))]
    assert ledger.stale_writes() == []
    assert len(ledger.written) == len(changes) - 1
    assert all(replayed(entry).is_same for entry in changes[1:])
    # And all this was put to the test.
    assert sum(each.rollouts.pauses for each in workers) >= 3
    assert len(ledger.given) >= 2
