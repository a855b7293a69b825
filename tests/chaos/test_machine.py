"""Whatever happens to the processes that share turns, what readers saw passes judgement."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import anyio
import pytest

from tests.chaos.invariants import judge
from tests.chaos.machine import Machine
from tests.chaos.records import Recorder
from tests.chaos.stores import LeaseWatch
from tests.chaos.view import View
from tests.streaming.harness import opened_history
from tests.support.redis import RedisServer, running_redis

pytestmark = [pytest.mark.services, pytest.mark.long]

STEPS = 40
RUNS_EACH = 60
"""Of `--runs`, one in so many: a run takes a second or two."""

SETTLE_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.mark.fault(53)
async def test_whatever_happens_to_processes_their_readers_see_one_answer(
    server: RedisServer, tmp_path: Path, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.takeover.SILENT_AFTER_S", 0.3)
    for seed in range(max(1, runs // RUNS_EACH)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with Recorder(folder / "history.jsonl") as recorder:
            await play(server, folder, recorder, seed)

        findings = judge(View(recorder.operations))

        assert findings == [], f"seed {seed}: {recorder.path}"


async def play(server: RedisServer, folder: Path, recorder: Recorder, seed: int) -> None:
    """Do so many steps, heal everything, and record what is stored."""
    rng = Random(seed)  # noqa: S311  # which steps, no secret
    with server.client() as client:
        client.flushall()
    async with (
        opened_history(folder) as history,
        anyio.create_task_group() as tasks,
        AsyncExitStack() as links,
    ):
        links.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(LeaseWatch(server.port, recorder).run)
        machine = Machine(server.port, history, recorder, rng=rng, tasks=tasks, links=links)
        for _ in range(2):
            await machine.add_process()
        await machine.start()
        steps = machine.steps(loses_history=seed % 2 == 0)
        for _ in range(STEPS):
            await rng.choice(steps)()
        with anyio.fail_after(SETTLE_S):
            await machine.heal()
        await machine.record_stored()
