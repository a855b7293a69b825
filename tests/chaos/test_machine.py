"""Whatever happens to the processes that share turns, what readers saw passes judgement."""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from random import Random

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.chaos.invariants import Finding, judge
from tests.chaos.machine import CALM, LOSES_HISTORY, LOSES_REDIS, Machine
from tests.chaos.records import Recorder
from tests.chaos.stores import LeaseWatch
from tests.chaos.view import View
from tests.streaming.harness import opened_history
from tests.support.redis import RedisServer, running_redis

pytestmark = pytest.mark.services

STEPS = 40
RUNS_EACH = 60
"""Of `--runs`, one in so many: a run takes a second or two."""

SETTLE_S = 30.0
NUMBERS = count()

programs = st.sampled_from([LOSES_HISTORY, LOSES_REDIS]).flatmap(
    lambda faults: st.lists(st.sampled_from([*CALM, *faults]), min_size=5, max_size=STEPS)
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.takeover.SILENT_AFTER_S", 0.3)


@pytest.mark.fault(53)
@settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=programs, seed=st.integers(0, 1 << 31))
async def test_no_program_of_faults_shows_a_reader_anything_but_one_answer(
    server: RedisServer, tmp_path: Path, program: Sequence[str], seed: int
) -> None:
    findings = await play(server, tmp_path, Random(seed), program)  # noqa: S311  # no secret

    assert findings == []


@pytest.mark.fault(53)
@pytest.mark.long
async def test_whatever_happens_to_processes_their_readers_see_one_answer(
    server: RedisServer, tmp_path: Path, runs: int
) -> None:
    for seed in range(max(1, runs // RUNS_EACH)):
        rng = Random(seed)  # noqa: S311  # which steps, no secret
        faults = LOSES_HISTORY if seed % 2 == 0 else LOSES_REDIS
        program = rng.choices([*CALM, *faults], k=STEPS)

        assert await play(server, tmp_path, rng, program) == [], f"seed {seed}"


async def play(
    server: RedisServer, folder: Path, rng: Random, program: Sequence[str]
) -> list[Finding]:
    """Do all steps, heal everything, and return what is wrong with what was seen."""
    folder = folder / str(next(NUMBERS))
    folder.mkdir()
    with server.client() as client:
        client.flushall()
    with Recorder(folder / "history.jsonl") as recorder:
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
            for step in program:
                await machine.do(step)
            with anyio.fail_after(SETTLE_S):
                await machine.heal()
            await machine.record_stored()
        return judge(View(recorder.operations))
