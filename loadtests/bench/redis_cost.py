"""`python -m loadtests.bench.redis_cost`: CPU per token of a worker whose log is in Redis.

The same worker without Redis runs beside it, in the same windows and on the same core, with as many
streams: what disturbs the machine disturbs both. The simulator, the clients and redis-server share
the other core.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.bench import command, measure
from loadtests.bench.cluster import chatstream, running_model, running_redis
from loadtests.bench.figures import Row
from loadtests.bench.processes import Cores, on_core
from loadtests.bench.targets import CHATSTREAM, Target


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of one window each; so many streams at such a pace for each worker."""

    rounds: int = 5
    window_s: float = 5.0
    streams: int = 100
    rate: float = 40.0

    @property
    def workload(self) -> measure.Workload:
        """What the worker has to do."""
        return measure.Workload(self.streams, self.rate)


@dataclass(frozen=True, slots=True)
class Seen:
    """One window of each round: without Redis, and with it."""

    off: list[measure.Steady]
    on: list[measure.Steady]

    def rows(self, plan: Plan) -> list[Row]:
        """Return the figures."""
        pairs = [
            (on.cpu_us_per_token, off.cpu_us_per_token)
            for on, off in zip(self.on, self.off, strict=True)
        ]
        added = [on - off for on, off in pairs]
        more, ratio = statistics.median(added), statistics.median(on / off for on, off in pairs)
        what = f"{plan.workload.streams} x {plan.workload.rate:g} tokens/s"
        return [
            Row(f"{what}: worker without Redis", _spread(self.off)),
            Row(f"{what}: worker with Redis", _spread(self.on)),
            Row(
                "added, median of the rounds",
                f"{more:.1f} us/token [{min(added):.1f}..{max(added):.1f}]; x {ratio:.2f}",
            ),
            Row(
                "redis-server itself",
                f"{statistics.median(one.beside_us_per_token for one in self.on):.1f} us/token",
            ),
            Row(
                "delivered without, with",
                ", ".join(
                    f"{statistics.median(one.delivered_per_s for one in each):.0f}"
                    for each in (self.off, self.on)
                )
                + " tokens/s",
            ),
        ]


def with_redis(port: int) -> Target:
    """Return the server with its log in a Redis, alone on it: history stays in SQLite."""
    return replace(
        without_redis(),
        name="with Redis",
        command=lambda setup: chatstream(setup, REDIS_URL=f"redis://127.0.0.1:{port}"),
    )


def without_redis() -> Target:
    """Return the server with its log in memory only, otherwise set up the same."""
    return replace(CHATSTREAM, name="without Redis", command=chatstream)


async def run(plan: Plan) -> Seen:
    """Measure both, started in another order each time."""
    cores = Cores.split()
    seen = Seen([], [])
    async with on_one_redis(cores) as (bench, redis_port):
        off, on = without_redis(), with_redis(redis_port)
        for number in range(plan.rounds):
            print(f"round {number + 1}/{plan.rounds}", file=sys.stderr)
            turn = -1 if number % 2 else 1
            pair = await measure.side_by_side(
                bench, [off, on][::turn], plan.workload, plan.window_s
            )
            seen.off.append(pair[::turn][0])
            seen.on.append(pair[::turn][1])
    return seen


@asynccontextmanager
async def on_one_redis(cores: Cores) -> AsyncGenerator[tuple[measure.Bench, int], None]:
    """Run a simulator and a Redis beside this process; yield them and the latter's port.

    All three are on the core of the load until the block ends.

    Raises:
        measure.BenchError: One of them does not start.
    """
    with on_core(cores.load), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with (
            running_model(folder, cores.load) as (model, model_port),
            running_redis(folder, cores.load) as (redis, redis_port),
        ):
            yield measure.Bench(model, model_port, cores, beside=redis), redis_port


def _median(samples: list[measure.Steady]) -> float:
    return statistics.median(one.cpu_us_per_token for one in samples)


def _spread(samples: list[measure.Steady]) -> str:
    used = [one.cpu_us_per_token for one in samples]
    return f"{_median(samples):.1f} us/token [{min(used):.1f}..{max(used):.1f}]"


async def _rows(told: argparse.Namespace) -> list[Row]:
    plan = Plan(told.rounds, told.window, told.streams, told.rate)
    return (await run(plan)).rows(plan)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.redis_cost", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--window", type=float, default=5.0, help="seconds (%(default)s)")
    parser.add_argument("--streams", type=int, default=100, help="of each (%(default)s)")
    parser.add_argument("--rate", type=float, default=40, help="tokens/s (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(command.run("Cost of the log in Redis", _parser(), _rows))
