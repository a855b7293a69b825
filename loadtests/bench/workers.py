"""`python -m loadtests.bench.workers`: what many workers promise, in one table.

A reconnect storm, a rolling restart, a Redis that stalls, and what the log in Redis costs; each is
a command of its own with more to choose. Takes about eight minutes.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable

from loadtests.bench import command, redis_cost, rolling, stalled_redis, storm
from loadtests.bench.figures import Row

Part = Callable[[], Awaitable[list[Row]]]


async def _storm() -> list[Row]:
    plan = storm.Plan()
    return (await storm.measure(plan)).rows(plan)


async def _rolling() -> list[Row]:
    return (await rolling.measure(rolling.Plan())).rows()


async def _stalled() -> list[Row]:
    plan = stalled_redis.Plan()
    return (await stalled_redis.run(plan)).rows(plan)


async def _cost() -> list[Row]:
    plan = redis_cost.Plan()
    return (await redis_cost.run(plan)).rows(plan)


PARTS: dict[str, tuple[str, Part]] = {
    "storm": (f"Reconnect storm, {storm.Plan().readers} readers, two workers", _storm),
    "rolling": ("Rolling restart of two workers under load", _rolling),
    "stalled": ("A Redis that stalls, one worker", _stalled),
    "cost": ("The log in Redis, one worker", _cost),
}


async def _rows(told: argparse.Namespace) -> list[Row]:
    found: list[Row] = []
    for name in told.parts:
        title, part = PARTS[name]
        print(f"{title} ...", file=sys.stderr)
        found += [Row(title, ""), *await part()]
    return found


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.workers", __doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    return parser


if __name__ == "__main__":
    sys.exit(command.run("Many workers", _parser(), _rows))
