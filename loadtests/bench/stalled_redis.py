"""`python -m loadtests.bench.stalled_redis`: the first token while Redis stands still now and then.

One worker without Redis, with it, and with one that is stopped for 200 ms at random moments
(SIGSTOP), in interleaved rounds of the same random arrivals. Turns go on beside: each is left by
its reader after the first token and runs to its end.
"""

import argparse
import random
import signal
import statistics
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

import anyio

from loadtests.bench import client, command, measure
from loadtests.bench.figures import Row, quantile, spread
from loadtests.bench.processes import Child, Cores
from loadtests.bench.redis_cost import on_one_redis, with_redis, without_redis
from loadtests.bench.targets import Target

NOISE, NOISE_S = 1.25, 0.005
"""By so much, or so many seconds, interleaved rounds differ without any cause."""

_TTFT_S = 0.05
_MODEL = f"sim:ttft={_TTFT_S:g},rate=40,tokens=40,mark=1"
_WARM_UP = 20
_FIRST_TOKEN_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of so many requests each, with each of three kinds of Redis."""

    rounds: int = 4
    requests: int = 400
    per_s: float = 20.0
    stall_s: float = 0.2
    every_s: float = 1.0


@dataclass(slots=True)
class Sample:
    """Seconds to the first token by round, the model's own wait taken off.

    `stalled_s`: of the requests in whose time Redis stood still.
    """

    rounds_s: list[list[float]] = field(default_factory=list)
    stalled_s: list[float] = field(default_factory=list)
    stalls: int = 0

    @property
    def all_s(self) -> list[float]:
        """All rounds together."""
        return [seconds for each in self.rounds_s for seconds in each]

    @property
    def p99_s(self) -> float:
        """The median of the rounds: one in which the machine was busy does not decide."""
        return statistics.median(quantile(each, 99) for each in self.rounds_s)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run came to, by kind."""

    without: Sample
    undisturbed: Sample
    stalled: Sample

    def rows(self, plan: Plan) -> list[Row]:
        """Return the figures."""
        none, calm, stalled = (
            each.p99_s for each in (self.without, self.undisturbed, self.stalled)
        )
        bound = max(NOISE * calm, calm + NOISE_S)
        count = len(self.without.all_s)
        touched = f"  {len(self.stalled.stalled_s)} of them met one of its {self.stalled.stalls}"
        return [
            Row(f"TTFT of {count} requests without Redis", spread(self.without.all_s)),
            Row("with Redis", spread(self.undisturbed.all_s)),
            Row(f"with stalls of {1e3 * plan.stall_s:g} ms", spread(self.stalled.all_s)),
            Row(touched, spread(self.stalled.stalled_s)),
            Row(
                "p99, median of the rounds: none, Redis, stalls",
                f"{1e3 * none:.1f}, {1e3 * calm:.1f}, {1e3 * stalled:.1f} ms",
                f"stalls < {1e3 * bound:.1f} ms",
                stalled <= bound,
            ),
        ]


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    target: Target
    sample: Sample
    is_stalled: bool = False


async def run(plan: Plan) -> Seen:
    """Measure all three, in another order each time."""
    cores = Cores.split()
    seen = Seen(Sample(), Sample(), Sample())
    async with on_one_redis(cores) as (bench, redis_port):
        kinds = [
            _Kind("without Redis", without_redis(), seen.without),
            _Kind("with Redis", with_redis(redis_port), seen.undisturbed),
            _Kind("with a stalled Redis", with_redis(redis_port), seen.stalled, is_stalled=True),
        ]
        for number in range(plan.rounds):
            turned = number % len(kinds)
            for kind in kinds[turned:] + kinds[:turned]:
                print(f"round {number + 1}/{plan.rounds}: {kind.name}", file=sys.stderr)
                await _one_round(bench, kind, plan, number)
    return seen


async def _one_round(bench: measure.Bench, kind: _Kind, plan: Plan, seed: int) -> None:
    redis = bench.beside
    if redis is None:
        raise measure.BenchError("there is no Redis to stall")
    times: list[tuple[float, float]] = []
    async with measure.serving(bench, kind.target, _MODEL) as (_, port):
        asked = kind.target.request(_MODEL)
        async with _stalls(redis, plan, seed, is_wanted=kind.is_stalled) as stalls:
            await _requests(port, asked, plan, (seed, times))
    waits = [ended - began - _TTFT_S for began, ended in times[_WARM_UP:]]
    kind.sample.rounds_s.append(waits)
    kind.sample.stalls += len(stalls)
    kind.sample.stalled_s += [
        wait
        for wait, (began, ended) in zip(waits, times[_WARM_UP:], strict=True)
        if any(began < stop and ended > start for start, stop in stalls)
    ]


async def _requests(
    port: int, asked: bytes, plan: Plan, into: tuple[int, list[tuple[float, float]]]
) -> None:
    """Send requests at random moments, the same for each kind; note when each had its token."""
    seed, times = into
    arrivals = random.Random(seed)
    load = client.Load()

    async def one() -> None:
        began = perf_counter()
        stream = await client.connect(port, asked, load)
        try:
            with anyio.fail_after(_FIRST_TOKEN_S):
                await stream.first_token
            times.append((began, perf_counter()))
        finally:
            stream.close()

    async with anyio.create_task_group() as tasks:
        for _ in range(_WARM_UP + plan.requests):
            await anyio.sleep(arrivals.expovariate(plan.per_s))
            tasks.start_soon(one)
    if load.failed:
        raise measure.BenchError(f"{len(load.failed)} requests failed, first: {load.failed[0]}")


@asynccontextmanager
async def _stalls(
    redis: Child, plan: Plan, seed: int, *, is_wanted: bool
) -> AsyncGenerator[list[tuple[float, float]], None]:
    """Stop Redis now and then while the block runs; yield from when to when, as it grows."""
    moments = random.Random(-1 - seed)
    seen: list[tuple[float, float]] = []

    async def stall() -> None:
        while True:
            await anyio.sleep(moments.expovariate(1 / plan.every_s))
            began = perf_counter()
            redis.signal(signal.SIGSTOP)
            try:
                await anyio.sleep(plan.stall_s)
            finally:
                redis.signal(signal.SIGCONT)
                seen.append((began, perf_counter()))

    async with anyio.create_task_group() as tasks:
        if is_wanted:
            tasks.start_soon(stall)
        yield seen
        tasks.cancel_scope.cancel()


async def _rows(told: argparse.Namespace) -> list[Row]:
    plan = Plan(told.rounds, told.requests, told.per_s, told.stall, told.every)
    return (await run(plan)).rows(plan)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.stalled_redis", __doc__)
    parser.add_argument("--rounds", type=int, default=4, help="interleaved rounds (%(default)s)")
    parser.add_argument("--requests", type=int, default=400, help="of a round (%(default)s)")
    parser.add_argument("--per-s", type=float, default=20.0, help="requests (%(default)s)")
    parser.add_argument("--stall", type=float, default=0.2, help="seconds (%(default)s)")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(command.run("A Redis that stalls", _parser(), _rows))
