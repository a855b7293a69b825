"""Workers that are lost: all at once, while they leave, under hundreds of turns, for their memory.

Everything that readers see here is judged by the invariants of `tests.chaos` as well.
"""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path

import anyio
import httpx
import pytest

from tests.chaos.cluster import Worker
from tests.chaos.guests import Model, Turn
from tests.chaos.scene import WAIT_S, Scene, played
from tests.support.machine import memory_limited

pytestmark = pytest.mark.services

SHORT = Model("short", "sim:tokens=60,rate=20,ttft=0.1", 60)
MANY = 200
SLOW = Model("slow", "sim:tokens=150,rate=5,ttft=0.1", 150)
"""Two hundred of them are a thousand tokens a second: what the readers of a test can follow."""

SOME = 40
STEADY = Model("steady", "sim:tokens=80,rate=5,ttft=0.1", 80)
NARROW_BYTES_PER_S = 100_000
"""Of a link to Redis: some turns are handed over in a tenth of a second, and some are not."""

LITTLE_BYTES = 65_536
"""Of memory, beside what a worker has: too little for its next few words."""


@asynccontextmanager
async def read(
    scene: Scene, turns: Sequence[Turn], *workers: Worker, deltas: int = 10
) -> AsyncIterator[None]:
    """Read each turn on each worker while the block runs, and on to its end."""
    with anyio.fail_after(2 * WAIT_S):
        async with anyio.create_task_group() as readers:
            for turn, worker in product(turns, workers):
                readers.start_soon(partial(scene.guest.follow, turn, worker=worker))
            await scene.until_shown(turns[-1], deltas, readers=len(workers))
            yield


async def started(scene: Scene, model: Model, worker: Worker, count: int) -> list[Turn]:
    """Start turns on a worker, some at a time."""
    turns: list[Turn] = []

    async def start() -> None:
        while len(turns) < count:
            turns.append(await scene.start(model, worker))

    async with anyio.create_task_group() as starts:
        for _ in range(10):
            starts.start_soon(start)
    return turns


@pytest.mark.fault(2)
@pytest.mark.long
async def test_all_workers_killed_at_once_go_on_with_their_turns_when_they_are_back(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, SHORT) as (scene, judged):
        turns = [await scene.start(SHORT, worker) for worker in (scene.a, scene.b)]
        async with read(scene, turns, scene.a, scene.b):
            for worker in (scene.a, scene.b):
                worker.signal(signal.SIGKILL)
                scene.fault("kill", worker)

        judgement = judged()
        for turn in turns:
            stored = judgement.stored(turn)
            assert (stored.name, stored.epoch) == ("completed", 2)
        assert await scene.calls() == 4
        assert [worker.exits for worker in (scene.a, scene.b)] == [[-signal.SIGKILL]] * 2


@pytest.mark.fault(4)
@pytest.mark.long
async def test_a_worker_with_two_hundred_turns_leaves_without_a_reset(tmp_path: Path) -> None:
    async with played(tmp_path, SLOW) as (scene, judged):
        turns = await started(scene, SLOW, scene.a, MANY)
        async with read(scene, turns, scene.a):
            scene.a.signal(signal.SIGTERM)
            await scene.until(lambda: bool(scene.a.exits))
            scene.fault("drain", scene.a)

        judgement = judged()
        assert scene.a.exits == [0]
        assert judgement.resets() == 0
        assert {judgement.stored(turn).name for turn in turns} == {"completed"}
        assert {judgement.stored(turn).epoch for turn in turns} == {2}


@pytest.mark.fault(6)
@pytest.mark.long
async def test_a_worker_killed_while_it_hands_over_costs_no_reader_a_word(tmp_path: Path) -> None:
    async with played(tmp_path, STEADY, drain_timeout_s=0.1) as (scene, judged):
        turns = await started(scene, STEADY, scene.a, SOME)
        async with read(scene, turns, scene.a):
            scene.a.redis.to_server.bytes_per_s = NARROW_BYTES_PER_S
            scene.a.signal(signal.SIGTERM)
            await scene.until(lambda: "drain.started" in scene.a.log())
            await anyio.sleep(0.2)
            scene.a.signal(signal.SIGKILL)
            scene.fault("kill", scene.a)
            await scene.a.redis.heal()

        judgement = judged()
        assert scene.a.exits == [-signal.SIGKILL]
        assert "drain.ended" not in scene.a.log()
        assert {judgement.stored(turn).name for turn in turns} == {"completed"}
        assert {judgement.stored(turn).epoch for turn in turns} == {2}


async def keep_busy(scene: Scene, worker: Worker) -> None:
    """Ask a worker for what it refuses, and needs some memory to read, until it is gone."""
    with anyio.fail_after(WAIT_S), suppress(httpx.HTTPError):
        while not worker.exits:
            url = f"{worker.url}/api/v1/turns"
            await scene.guest.http.post(url, json={"nonsense": "x" * 50_000}, timeout=5)
    await scene.until(lambda: bool(worker.exits))


@pytest.mark.fault(46)
@pytest.mark.long
async def test_a_worker_that_the_kernel_kills_for_its_memory_costs_no_reader_a_word(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, SHORT) as (scene, judged):
        turn = await scene.start(SHORT, scene.a)
        async with read(scene, [turn], scene.a, scene.b):
            assert scene.a.server is not None
            with memory_limited(scene.a.server.process.pid, limit_bytes=LITTLE_BYTES):
                await keep_busy(scene, scene.a)
            scene.fault("kill", scene.a)

        stored = judged().stored(turn)
        assert scene.a.exits == [-signal.SIGKILL]
        assert (stored.name, stored.epoch) == ("completed", 2)
