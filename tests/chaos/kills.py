"""`python -m tests.chaos.kills --kills 200`: workers are killed in mid-answer, under readers.

Each time some turns are under way, most of them on the worker that is killed, each with a reader on
every worker; what comes of it is judged, and told in the figures of `docs/reliability.md`.
"""

import argparse
import random
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import structlog

from tests.chaos.cluster import Cluster, Worker, running_cluster
from tests.chaos.figures import spread
from tests.chaos.guests import Chances, Guest, Model
from tests.chaos.invariants import judge, shown_text
from tests.chaos.lag import LagWatch
from tests.chaos.records import Operation, Recorder
from tests.chaos.stores import LeaseWatch, record_stored
from tests.chaos.view import ReaderView, View

log = structlog.get_logger(__name__)

TOKENS, RATE = 120, 40.0
ANSWER_S = TOKENS / RATE + 0.2
MODEL = Model("default", f"sim:tokens={TOKENS},rate={RATE:g},ttft=0.2", TOKENS)
ON_VICTIM = 0.7
CALM = Chances(repeat=0, cancel=0, cut=0, leave=0, same_conversation=0)
_ROUND_S = 60.0
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    kills: int
    workers: int
    turns: int
    seed: int


async def run(plan: Plan, folder: Path, recorder: Recorder) -> None:
    """Kill, wait until everything has ended and all workers are back, and again."""
    rng = random.Random(plan.seed)  # noqa: S311  # where to strike, no secret
    models = {MODEL.chatbot_id: MODEL.name}
    async with running_cluster(
        folder, workers=plan.workers, models=models, max_takeovers=2
    ) as cluster:
        guests = [
            Guest(
                f"guest {n}",
                cluster.workers,
                recorder,
                rng=random.Random(rng.random()),  # noqa: S311
                chances=CALM,
            )
            for n in range(plan.turns)
        ]
        lag = LagWatch(cluster.workers)
        async with anyio.create_task_group() as watch:
            watch.start_soon(LeaseWatch(cluster.redis.port, recorder).run)
            watch.start_soon(lag.run)
            for guest in guests:
                await watch.start(_present, guest)
            for number in range(plan.kills):
                await _strike(cluster, guests, rng, recorder)
                log.info("kills.done", kills=number + 1, of=plan.kills)
            watch.cancel_scope.cancel()
        record_stored(cluster, recorder)
        stats = await cluster.simulator.stats()
        recorder.add("model", "calls", seq=stats["requests"])
        print(f"{'timers of the event loops':28} {lag.figures()}")  # noqa: T201


async def _present(
    guest: Guest, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    async with guest.here():
        task_status.started()
        await anyio.sleep_forever()


async def _strike(
    cluster: Cluster, guests: Sequence[Guest], rng: random.Random, recorder: Recorder
) -> None:
    victim = rng.choice(cluster.workers)
    others = [worker for worker in cluster.workers if worker is not victim]
    starts = victim.starts
    with anyio.fail_after(_ROUND_S):
        async with anyio.create_task_group() as tasks:
            for guest in guests:
                where = victim if rng.random() < ON_VICTIM else rng.choice(others)
                tasks.start_soon(_have_turn, guest, where, cluster)
            await anyio.sleep(rng.uniform(0.0, ANSWER_S))
            victim.signal(signal.SIGKILL)
            recorder.add("nemesis", "fault", name="kill", worker=victim.name)
        while victim.starts == starts:  # noqa: ASYNC110  another process
            await anyio.sleep(0.05)


async def _have_turn(guest: Guest, where: Worker, cluster: Cluster) -> None:
    await guest.have_turn(MODEL, worker=where, readers=len(cluster.workers))


def hit_readers(view: View) -> Iterator[tuple[Operation, ReaderView]]:
    """Yield the readers whose turn was taken over, each with the kill that caused it."""
    granted = {each.turn: each.t_mono for each in view.leases if each.epoch > 1}
    for reader in view.readers:
        if (taken_at := granted.get(reader.turn)) is not None:
            kills = [fault for fault in view.faults if fault.t_mono < taken_at]
            if kills:
                yield kills[-1], reader


def pause_s(kill: Operation, reader: ReaderView) -> float:
    """Return how long after a kill a reader learnt that its turn goes on: a new epoch, or a reset.

    What it got before that had been on its way when the worker died.
    """
    news = (each for each in reader.entries if each.epoch > 1 or each.name == "turn.reset")
    return next((each.t_mono - kill.t_mono for each in news if each.t_mono > kill.t_mono), 0.0)


def figures(view: View) -> str:
    """Return what is told in the documentation."""
    hit = list(hit_readers(view))
    turns = {reader.turn for _, reader in hit}
    done = [view.stored[turn].name == "completed" for turn in turns]
    equal = [
        shown_text(reader) == view.stored[reader.turn].text
        for reader in view.readers
        if reader.turn in view.stored
    ]
    resets = [len(reader.resets) for _, reader in hit]
    pauses = [pause_s(kill, reader) for kill, reader in hit]
    every = [each.name == "completed" for each in view.stored.values()]
    rows = [
        ("kill -9", f"{len(view.faults)}"),
        ("turns; taken over", f"{len(every)}; {len(turns)}"),
        ("text shown equals stored", f"{_share(equal)} of {len(equal)} readers"),
        ("completed by themselves", f"{_share(every)}; of those taken over {_share(done)}"),
        (
            "resets per kill and reader",
            f"{max(resets, default=0)} at most; {_share_of_resets(resets)}",
        ),
        ("until the text goes on", spread(pauses)),
        ("under 8 s", f"{_share([pause < 8 for pause in pauses])}"),
        ("model asked", f"{sum(each.seq for each in view.calls)} times"),
    ]
    return "\n".join(f"{name:28} {value}" for name, value in rows)


def _share(claims: Sequence[bool]) -> str:
    return f"{100 * sum(claims) / max(1, len(claims)):.2f} %"


def _share_of_resets(resets: Sequence[int]) -> str:
    return f"{_share([count > 0 for count in resets])} of readers had one"


def main() -> int:
    """Run as told on the command line; return 1 where an invariant is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=10, help="under way at each kill")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    plan = Plan(told.kills, told.workers, told.turns, told.seed)
    with Recorder(folder / "history.jsonl") as recorder:
        anyio.run(run, plan, folder, recorder)
    view = View(recorder.operations)
    findings = judge(view)
    print(figures(view))  # noqa: T201
    for finding in findings[:_SHOWN]:
        print(f"BROKEN {finding.invariant}: {finding.detail}")  # noqa: T201
    print(f"{'seed; history':28} {plan.seed}; {recorder.path}")  # noqa: T201
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
