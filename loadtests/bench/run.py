"""One run: every target in every round, and what fails is left out and named."""

import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Literal, Self

import msgspec

from loadtests.bench import ceiling, correctness, measure, peers, targets
from loadtests.bench.cluster import running_model, running_redis
from loadtests.bench.measure import Bench, BenchError, Workload
from loadtests.bench.processes import Cores, pin
from loadtests.bench.results import Results
from loadtests.bench.targets import Target

TARGETS = {
    one.name: one
    for one in (
        targets.DIRECT,
        targets.NGINX,
        targets.CHATSTREAM,
        targets.WITH_REDIS,
        targets.SPEAKING,
        peers.NODE_RELAY,
        targets.TUTORIAL,
        peers.AI_SDK,
        peers.LITELLM,
    )
}
"""All that can be measured, in the order of the tables."""

Measurement = Callable[[Target], Awaitable[None]]
Part = Literal["steady", "idle", "memory", "sustained"]
PARTS: tuple[Part, ...] = ("steady", "idle", "memory", "sustained")

_FAILURES = (BenchError, correctness.NotTheTextError, OSError, TimeoutError)
_TOLD_CHARS = 300
_PROBE_S = 3.0
_GUESS_PER_S = 10_000.0
_BUSY = 0.9  # of a core: more is hardly ever sustained


class Plan(msgspec.Struct, frozen=True):
    """What is to be measured, of which targets; times in seconds."""

    targets: Sequence[str]
    rounds: int = 3
    window_s: float = 5.0
    requests: int = 60
    memory_streams: int = 1_000
    workloads: Sequence[Workload] = (Workload(200, 40), Workload(1_000, 10))
    parts: Sequence[Part] = PARTS

    @classmethod
    def quick(cls, names: Sequence[str]) -> Self:
        """Return the plan of a first look: two or three minutes."""
        return cls(
            names,
            rounds=1,
            window_s=2.0,
            requests=30,
            memory_streams=200,
            workloads=(Workload(200, 40),),
            parts=("steady", "idle", "memory"),
        )


async def run(plan: Plan) -> Results:
    """Measure.

    Raises:
        BenchError: There is nothing to measure, or the simulator does not start.
    """
    results, cores = Results(versions=peers.versions()), Cores.split()
    chosen = []
    for name in plan.targets:
        why = TARGETS[name].missing()
        if why:
            results.left_out[name] = why
            print(f"{name} is left out: {why}", file=sys.stderr)
        else:
            chosen.append(TARGETS[name])
    if not chosen:
        raise BenchError("no target is there")
    pin(cores.load)
    async with stand(cores, chosen) as bench:
        await _Run(bench, plan, results).all(chosen)
    return results


@asynccontextmanager
async def stand(cores: Cores, chosen: Sequence[Target]) -> AsyncGenerator[Bench, None]:
    """Run the simulator, and Redis where a target needs it, on the core of the load."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        model, model_port = await stack.enter_async_context(running_model(folder, cores.load))
        if targets.WITH_REDIS not in chosen:
            yield Bench(model, model_port, cores)
            return
        redis, redis_port = await stack.enter_async_context(running_redis(folder, cores.load))
        yield Bench(model, model_port, cores, redis, redis_port)


class _Run:
    def __init__(self, bench: Bench, plan: Plan, results: Results) -> None:
        self._bench = bench
        self._plan = plan
        self._results = results
        self._began_at = perf_counter()

    async def all(self, chosen: Sequence[Target]) -> None:
        """Measure all targets."""
        once: dict[Part, Measurement] = {"memory": self._memory, "sustained": self._ceiling}
        often: dict[Part, Measurement] = {"steady": self._steady, "idle": self._idle}
        for target in chosen:
            await self._try(target, "correctness", self._check)
        for number in range(self._plan.rounds):
            # Turned round each time, so that no target always runs on the warmest machine.
            for target in chosen[:: -1 if number % 2 else 1]:
                await self._measure(target, often, f", round {number + 1}/{self._plan.rounds}")
        for target in chosen:
            await self._measure(target, once)

    async def _measure(
        self, target: Target, measurements: dict[Part, Measurement], which: str = ""
    ) -> None:
        for part, measurement in measurements.items():
            # Nothing is between where there is no server: it has neither memory nor added time.
            if part in self._plan.parts and (target.command or part in {"steady", "sustained"}):
                await self._try(target, f"{part}{which}", measurement)

    async def _try(self, target: Target, what: str, part: Measurement) -> None:
        """Do a part, a second time where it fails; then the run goes on without the target."""
        if target.name in self._results.left_out:
            return
        why = ""
        for attempt in (1, 2):
            at_s = perf_counter() - self._began_at
            print(f"{at_s:5.0f} s  {target.name}: {what}", file=sys.stderr)
            try:
                await part(target)
            except* _FAILURES as failed:
                why = f"{what}: {_told(failed)}"
                print(f"{target.name}, attempt {attempt}: {why}", file=sys.stderr)
            else:
                return
        self._results.left_out[target.name] = why

    async def _check(self, target: Target) -> None:
        async with measure.serving(self._bench, target, correctness.MODEL) as (_, port):
            self._results.delivered[target.name] = await correctness.check(target, port)

    async def _steady(self, target: Target) -> None:
        window_s, samples = self._plan.window_s, list[measure.Steady]()
        for workload in self._plan.workloads:
            samples.append(await measure.steady(self._bench, target, workload, window_s))
        for workload, sample in zip(self._plan.workloads, samples, strict=True):
            self._results.add_steady(workload, target.name, sample)

    async def _idle(self, target: Target) -> None:
        sample = await measure.idle(self._bench, target, self._plan.requests)
        self._results.idle.setdefault(target.name, []).append(sample)

    async def _memory(self, target: Target) -> None:
        streams = self._plan.memory_streams
        self._results.memory_kb[target.name] = await measure.memory(self._bench, target, streams)

    async def _ceiling(self, target: Target) -> None:
        probe = ceiling.prober(self._bench, target, min(_PROBE_S, self._plan.window_s))
        self._results.ceiling[target.name] = await ceiling.search(self._guess(target), probe)

    def _guess(self, target: Target) -> float:
        """Return what a core may do, from what a token has cost."""
        for workload in self._results.steady:
            own_us = self._results.cpu_us(workload, target.name) or 0.0
            if target.command is None:  # the load shares its core with the simulator
                client_us = self._results.median(
                    workload, target.name, lambda one: one.load_us_per_token
                )
                own_us += client_us or 0.0
            if own_us:
                return _BUSY * 1e6 / own_us
        return _GUESS_PER_S


def _told(failed: BaseException) -> str:
    """Return what the first of some failures says, on one line."""
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return " ".join(str(failed).split())[-_TOLD_CHARS:] or type(failed).__name__
