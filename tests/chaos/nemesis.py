"""What goes wrong, and when: drawn from a seed, done to a running cluster, recorded, and healed."""

import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

import anyio
import anyio.to_thread
import structlog

from tests.chaos.cluster import Cluster, Worker
from tests.chaos.records import Recorder
from tests.support.fault_proxy import FaultProxy

log = structlog.get_logger(__name__)

_RESTART_S = 30.0
Fault = Callable[[], Coroutine[Any, Any, None]]


class Nemesis:
    """Breaks a cluster, one fault after another; some are still at work when the next begins.

    Args:
        cluster: What to break.
        recorder: Told of each fault when it is over.
        rng: Decides.
        gap_s: Seconds between two faults, at least and at most.
    """

    def __init__(
        self,
        cluster: Cluster,
        recorder: Recorder,
        *,
        rng: random.Random,
        gap_s: tuple[float, float] = (2.0, 7.0),
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._rng = rng
        self._gap_s = gap_s
        self._busy: set[str] = set()
        self._faults: dict[str, Fault] = {
            "kill": self.kill,
            "pause": self.pause,
            "drain": self.drain,
            "redis.kill": self.kill_redis,
            "redis.stop": self.stop_redis,
            "redis.cut": partial(self._cut_off, "redis"),
            "redis.delay": partial(self._delay, "redis"),
            "redis.drop": partial(self._drop, "redis"),
            "mongo.stop": self.stop_mongo,
            "mongo.cut": partial(self._cut_off, "mongo"),
            "mongo.delay": partial(self._delay, "mongo"),
            "mongo.drop": partial(self._drop, "mongo"),
            "upstream.cut": self.cut_upstream,
        }

    async def rage(self, until: float, *, only: frozenset[str] = frozenset()) -> None:
        """Break things until a time; return when all of them have healed."""
        names = sorted(only) or sorted(self._faults)
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.sleep(self._rng.uniform(*self._gap_s))
                if monotonic() >= until:
                    return
                if (name := self._rng.choice(names)) in self._faults:
                    tasks.start_soon(self._faults[name])

    async def kill(self) -> None:
        """Kill a worker; it is started again."""
        await self._lose_worker("kill", signal.SIGKILL)

    async def drain(self) -> None:
        """Ask a worker to stop; it is started again."""
        await self._lose_worker("drain", signal.SIGTERM)

    async def pause(self) -> None:
        """Stop a worker in its tracks, and let it go on as if nothing had been."""
        worker = self._any_worker()
        pause_s = self._rng.uniform(2.0, 20.0)
        if worker is None:
            return
        async with self._told("pause", worker.name):
            if worker.signal(signal.SIGSTOP):
                await anyio.sleep(pause_s)
                worker.signal(signal.SIGCONT)

    async def kill_redis(self) -> None:
        """Kill Redis; it comes back empty."""
        away_s = self._rng.uniform(0.0, 4.0)
        async with self._alone("redis"), self._told("redis.kill"):
            self._cluster.redis.kill()
            await anyio.sleep(away_s)
            await anyio.to_thread.run_sync(self._cluster.redis.restart)

    async def stop_redis(self) -> None:
        """Stop Redis in its tracks."""
        async with self._alone("redis"), self._told("redis.stop"):
            self._cluster.redis.pause()
            await anyio.sleep(self._rng.uniform(0.5, 8.0))
            self._cluster.redis.resume()

    async def stop_mongo(self) -> None:
        """Stop MongoDB in its tracks."""
        async with self._alone("mongo"), self._told("mongo.stop"):
            self._cluster.mongo.pause()
            await anyio.sleep(self._rng.uniform(0.5, 8.0))
            self._cluster.mongo.resume()

    async def cut_upstream(self) -> None:
        """Cut the answers that a worker is getting."""
        worker = self._rng.choice(self._cluster.workers)
        count = worker.upstream.cut(is_reset=self._rng.random() < 0.5)
        self._recorder.add("nemesis", "fault", name="upstream.cut", worker=worker.name, seq=count)

    async def heal(self) -> None:
        """Mend whatever a cancelled fault has left."""
        self._cluster.mongo.resume()
        self._cluster.redis.resume()
        for worker in self._cluster.workers:
            worker.signal(signal.SIGCONT)
            for link in worker.links:
                await link.heal()

    async def _lose_worker(self, name: str, number: signal.Signals) -> None:
        worker = self._any_worker()
        if worker is None:
            return
        async with self._told(name, worker.name):
            starts = worker.starts
            if worker.signal(number):
                await _until_restarted(worker, starts)

    def _any_worker(self) -> Worker | None:
        """Return a worker that is up and not stopped by another fault."""
        free = [
            each
            for each in self._cluster.workers
            if each.server is not None and each.name not in self._busy
        ]
        return self._rng.choice(free) if free else None

    async def _cut_off(self, what: str) -> None:
        """Part one worker, or all, from what they share."""
        is_reset, away_s = self._rng.random() < 0.5, self._rng.uniform(0.5, 12.0)
        async with self._links(what, f"{what}.cut") as links:
            for link in links:
                await link.refuse()
                link.cut(is_reset=is_reset)
            await anyio.sleep(away_s)
            for link in links:
                await link.heal()

    async def _delay(self, what: str) -> None:
        delay_s, for_s = self._rng.uniform(0.05, 0.6), self._rng.uniform(1.0, 8.0)
        async with self._links(what, f"{what}.delay") as links:
            for link in links:
                link.to_client.delay_s = link.to_server.delay_s = delay_s / 2
            await anyio.sleep(for_s)
            for link in links:
                await link.heal()

    async def _drop(self, what: str) -> None:
        for_s = self._rng.uniform(0.2, 3.0)
        async with self._links(what, f"{what}.drop") as links:
            for link in links:
                link.drop()
            await anyio.sleep(for_s)
            for link in links:
                await link.heal()

    @asynccontextmanager
    async def _links(self, what: str, name: str) -> AsyncIterator[list[FaultProxy]]:
        """Take one worker's link, or those of all, for a fault that nothing else disturbs."""
        some = list(self._cluster.workers)
        if self._rng.random() < 0.7:
            some = [self._rng.choice(some)]
        links: list[FaultProxy] = [getattr(each, what) for each in some]
        whom = " ".join(each.name for each in some)
        async with self._alone(f"{what} links"), self._told(name, whom):
            yield links

    @asynccontextmanager
    async def _alone(self, what: str) -> AsyncIterator[None]:
        """Wait until no other fault is at work on the same thing."""
        while what in self._busy:  # noqa: ASYNC110  rare, and bounded by the other fault
            await anyio.sleep(0.1)
        self._busy.add(what)
        try:
            yield
        finally:
            self._busy.discard(what)

    @asynccontextmanager
    async def _told(self, name: str, worker: str = "") -> AsyncIterator[None]:
        """Record a fault once it is over, with its length."""
        began = monotonic()
        log.info("fault.began", fault=name, worker=worker)
        self._busy.add(worker)
        try:
            yield
        finally:
            self._busy.discard(worker)
            took_s = monotonic() - began
            self._recorder.add("nemesis", "fault", name=name, worker=worker, took_s=took_s)
            log.info("fault.ended", fault=name, worker=worker, took_s=round(took_s, 1))


async def _until_restarted(worker: Worker, starts: int) -> None:
    with anyio.move_on_after(_RESTART_S):
        while worker.starts == starts:  # noqa: ASYNC110  another process
            await anyio.sleep(0.05)
