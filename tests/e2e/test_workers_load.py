"""Many readers and all workers at once, as the load tests have them: whole texts, no call more.

How fast it is, `make bench-workers` tells; here only what has to hold on any machine.
"""

import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from loadtests.bench import rolling, storm
from tests.chaos.cluster import Cluster, Worker, running_cluster
from tests.support.chat import until

pytestmark = [pytest.mark.services, pytest.mark.long]

RESTART_S = 60.0


def ports_of(cluster: Cluster) -> Sequence[int]:
    """Return where the workers listen."""
    return [worker.port for worker in cluster.workers]


async def restarted(worker: Worker) -> tuple[float, float]:
    """Ask a worker to stop, and wait until it serves again."""
    began, starts, exits = monotonic(), worker.starts, len(worker.exits)
    worker.signal(signal.SIGTERM)
    await until(lambda: len(worker.exits) > exits, within_s=RESTART_S)
    stopped = monotonic()
    await until(lambda: worker.starts > starts, within_s=RESTART_S)
    return stopped - began, monotonic() - stopped


@pytest.mark.fault(10)
async def test_readers_that_all_come_back_at_once_get_the_rest_and_the_model_is_not_asked(
    tmp_path: Path,
) -> None:
    plan = storm.Plan(turns=25, readers_each=4, storms=2, rate=20, tokens=400, between_s=0.5)
    settings = {"openai_model": plan.model}
    async with running_cluster(tmp_path, workers=2, models={}, **settings) as cluster:
        seen = await storm.weather(plan, ports_of(cluster), cluster.simulator.port)

    assert seen.faults == []
    assert seen.resets == 0
    assert seen.calls == (plan.turns, plan.turns)
    assert [len(back) for back in seen.back_s] == [plan.readers] * plan.storms


@pytest.mark.fault(5)
async def test_workers_restarted_one_by_one_under_load_fail_no_request_and_lose_no_word(
    tmp_path: Path,
) -> None:
    plan = rolling.Plan(starts_per_s=4, rounds=1, drain_s=2)
    settings = {"openai_model": plan.model, "drain_timeout_s": plan.drain_s}
    async with running_cluster(tmp_path, workers=2, models={}, **settings) as cluster:
        restarts = [partial(restarted, worker) for worker in cluster.workers]
        seen = await rolling.roll(plan, ports_of(cluster), cluster.simulator.port, restarts)
        exits = [worker.exits for worker in cluster.workers]

    assert exits == [[0], [0]]
    assert seen.failed == []
    assert seen.lost == []
    assert seen.starts > 0
    assert seen.byes > 0
    assert sum(reader.resets for reader in seen.readers) == 0
