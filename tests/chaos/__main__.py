"""`python -m tests.chaos --seed S --minutes M --workers N`: faults for a while, then judgement.

Exit status 1 where an invariant is broken; the history stays in the folder that is printed.
"""

import argparse
import random
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import anyio
import structlog

from tests.chaos.cluster import Cluster, running_cluster
from tests.chaos.figures import summary
from tests.chaos.guests import Chances, Guest, Model, Turn
from tests.chaos.invariants import Finding, judge
from tests.chaos.lag import LagWatch
from tests.chaos.nemesis import Nemesis
from tests.chaos.records import Recorder
from tests.chaos.stores import LeaseWatch, is_any_running, record_stored
from tests.chaos.view import BREAKS_OFF, Bounds, View

_PACE = "tokens=120,rate=30,ttft=0.2"
_TOKENS = 120
MODELS = (
    Model("plain", f"sim:{_PACE}", _TOKENS),
    Model("exact", f"sim:{_PACE},continues=exact", _TOKENS),
    Model("again", f"sim:{_PACE},continues=again", _TOKENS),
    Model("sentence", f"sim:{_PACE},continues=sentence", _TOKENS, is_exact=False),
    Model("words", f"sim:{_PACE},continues=words,repeats=6", _TOKENS, is_exact=False),
    Model(f"{BREAKS_OFF}-cut", f"fault:cut:{_PACE},after=40,first=1", _TOKENS),
    Model(f"{BREAKS_OFF}-clean", f"fault:truncate:{_PACE},after=70,first=1", _TOKENS),
)
SETTLE_S = 90.0
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be run."""

    seed: int
    seconds: float
    workers: int = 2
    guests: int = 6
    only: frozenset[str] = frozenset()


async def run(what: Run, folder: Path, recorder: Recorder) -> None:
    """Let guests talk to workers that break; heal everything; record what is left."""
    rng = random.Random(what.seed)  # noqa: S311  # a schedule, no secret
    models = {model.chatbot_id: model.name for model in MODELS}
    async with running_cluster(folder, workers=what.workers, models=models) as cluster:
        nemesis = Nemesis(cluster, recorder, rng=random.Random(rng.random()))  # noqa: S311
        guests = [
            Guest(
                f"guest {n}",
                cluster.workers,
                recorder,
                rng=random.Random(rng.random()),  # noqa: S311
                chances=Chances(),
            )
            for n in range(what.guests)
        ]
        lag = LagWatch(cluster.workers)
        async with anyio.create_task_group() as watch:
            watch.start_soon(LeaseWatch(cluster.redis.port, recorder).run)
            watch.start_soon(lag.run)
            await _talk(what, guests, nemesis)
            await _settle(cluster)
            await _read_again(guests, recorder)
            watch.cancel_scope.cancel()
        record_stored(cluster, recorder)
        stats = await cluster.simulator.stats()
        recorder.add("model", "calls", seq=stats["requests"])
        print(f"{'timers of the event loops':26} {lag.figures()}")  # noqa: T201
        for worker in cluster.workers:
            for line in worker.faults():
                print(f"{worker.name} logged {line}")  # noqa: T201


async def _talk(what: Run, guests: list[Guest], nemesis: Nemesis) -> None:
    until = monotonic() + what.seconds

    async def converse(guest: Guest) -> None:
        async with guest.here():
            await guest.converse(MODELS, until)

    with anyio.move_on_after(what.seconds + SETTLE_S) as limit:
        async with anyio.create_task_group() as tasks:
            for guest in guests:
                tasks.start_soon(converse, guest)
            await nemesis.rage(until - what.seconds / 10, only=what.only)
            await nemesis.heal()
    if limit.cancelled_caught:
        print(f"not all guests were done {SETTLE_S:g} s after all was healed")  # noqa: T201


async def _settle(cluster: Cluster) -> None:
    """Wait until no record is running: nobody may be needed for that."""
    with anyio.move_on_after(SETTLE_S):
        while is_any_running(cluster):  # noqa: ASYNC110  other processes
            await anyio.sleep(0.5)


async def _read_again(guests: list[Guest], recorder: Recorder) -> None:
    """Let every owner read all turns once more, from the beginning: what is told now is final."""
    mine: dict[str, dict[str, None]] = {}
    for each in recorder.operations:
        if each.op == "post" and each.turn:
            mine.setdefault(each.process, {})[each.turn] = None
    with anyio.move_on_after(SETTLE_S):
        async with anyio.create_task_group() as tasks:
            for guest in guests:
                tasks.start_soon(
                    guest.read_all, [Turn(turn, "") for turn in mine.get(guest.name, {})]
                )


def report(recorder: Recorder, bounds: Bounds, *, seed: int) -> list[Finding]:
    """Print what a run came to; return what is wrong."""
    view = View(recorder.operations, bounds)
    findings = judge(view)
    print(f"{'seed':26} {seed}")  # noqa: T201
    print(summary(view))  # noqa: T201
    for finding in findings[:_SHOWN]:
        print(f"BROKEN {finding.invariant}: {finding.detail}")  # noqa: T201
    if len(findings) > _SHOWN:
        print(f"... and {len(findings) - _SHOWN} more")  # noqa: T201
    print(f"{'history':26} {recorder.path}")  # noqa: T201
    return findings


def main() -> int:
    """Run as told on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--guests", type=int, default=6)
    parser.add_argument("--only", default="", help="comma-separated faults; default: all")
    told = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    seed = secrets.randbelow(1 << 31) if told.seed is None else told.seed
    only = frozenset(filter(None, told.only.split(",")))
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    print(f"seed {seed}, {told.minutes:g} min, {told.workers} workers", flush=True)  # noqa: T201
    with Recorder(folder / "history.jsonl") as recorder:
        what = Run(seed, told.minutes * 60, told.workers, told.guests, only)
        anyio.run(run, what, folder, recorder)
    return 1 if report(recorder, Bounds(), seed=seed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
