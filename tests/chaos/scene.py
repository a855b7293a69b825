"""A small cluster, a guest or two, and judgement at the end: for tests of one fault each."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import anyio

from tests.chaos.cluster import Cluster, Worker, running_cluster
from tests.chaos.guests import Chances, Guest, Model, Turn
from tests.chaos.invariants import judge
from tests.chaos.records import Operation, Recorder
from tests.chaos.stores import LeaseWatch, is_any_running, record_stored
from tests.chaos.view import View

CALM = Chances(repeat=0, cancel=0, cut=0, leave=0, same_conversation=0)
WAIT_S = 60.0
"""Bound of every wait: a takeover takes 5 to 7 s, on a busy machine an answer may take as long."""


@dataclass
class Scene:
    """What a test needs: workers `a` and `b`, a guest, and what was seen so far."""

    cluster: Cluster
    guest: Guest
    recorder: Recorder

    @property
    def a(self) -> Worker:
        """The first worker."""
        return self.cluster.workers[0]

    @property
    def b(self) -> Worker:
        """The second worker."""
        return self.cluster.workers[1]

    async def start(self, model: Model, worker: Worker) -> Turn:
        """Start a turn on a worker."""
        turn = await self.guest.ask(model, worker=worker)
        assert turn is not None
        return turn

    async def until_shown(self, turn: Turn, deltas: int, *, readers: int = 1) -> None:
        """Wait until so many readers have got so many deltas of a turn."""

        def is_shown() -> bool:
            count: dict[str, int] = {}
            for each in self.recorder.operations:
                if each.turn == turn.turn_id and each.name == "text.delta":
                    count[each.process] = count.get(each.process, 0) + 1
            return sum(shown >= deltas for shown in count.values()) >= readers

        await self.until(is_shown)

    async def until(self, claim: Callable[[], bool]) -> None:
        """Wait until something is so that happens elsewhere."""
        with anyio.fail_after(WAIT_S):
            while not claim():  # noqa: ASYNC110  it happens in another process
                await anyio.sleep(0.02)

    def fault(self, name: str, worker: Worker, took_s: float = 0.0) -> Operation:
        """Record a fault that is over now."""
        return self.recorder.add("test", "fault", name=name, worker=worker.name, took_s=took_s)

    async def calls(self) -> int:
        """Return how often the model was asked."""
        stats = await self.cluster.simulator.stats()
        return int(stats["requests"])


@dataclass
class Judged:
    """What a scene came to."""

    view: View

    def stored(self, turn: Turn) -> Operation:
        """Return a turn's record."""
        return self.view.stored[turn.turn_id]

    def resets(self) -> int:
        """Return how many resets there were, all readers together."""
        return sum(len(reader.resets) for reader in self.view.readers)


@asynccontextmanager
async def played(
    folder: Path, *models: Model, workers: int = 2, **settings: object
) -> AsyncGenerator[tuple[Scene, Callable[[], Judged]], None]:
    """Run a cluster until the block ends.

    The second value, called when all has been done, reads the stores and judges: it fails where any
    invariant is broken.
    """
    names: Mapping[str, str] = {model.chatbot_id: model.name for model in models}
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            running_cluster(folder / "cluster", workers=workers, models=names, **settings)
        )
        recorder = stack.enter_context(Recorder(folder / "history.jsonl"))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(LeaseWatch(cluster.redis.port, recorder).run)
        guest = Guest("guest", cluster.workers, recorder, rng=Random(1), chances=CALM)  # noqa: S311
        await stack.enter_async_context(guest.here())
        scene = Scene(cluster, guest, recorder)

        def judged() -> Judged:
            assert not is_any_running(cluster)
            record_stored(cluster, recorder)
            view = View(recorder.operations)
            findings = judge(view)
            assert not findings, "\n".join(f"{e.invariant}: {e.detail}" for e in findings)
            return Judged(view)

        yield scene, judged
