"""`python -m loadtests.bench.scaling`: what a second worker adds.

Two workers share a Redis; history is in SQLite, of each its own. Each has as many paced streams as
the one that is measured alone: where a token then costs each of them as much CPU, nothing that they
share holds them up, and two cores carry twice as much. What the clock says is shown beside it; with
two cores these are the load's as well, which takes what the workers do not.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import anyio

from loadtests.bench import command
from loadtests.bench.cluster import Worker, chatstream, open_streams, running_model, running_redis
from loadtests.bench.figures import Row
from loadtests.bench.measure import BenchError, Streams, Workload
from loadtests.bench.processes import free_port
from loadtests.bench.targets import CHATSTREAM, Setup

TARGET = 1.8

_RATE = 40
_SETTLE_S = 1.5
_END_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Streams of each worker; `too_many` are more than one can do, all together."""

    rounds: int = 5
    window_s: float = 5.0
    streams: int = 100
    too_many: int = 900

    def share(self, streams: int) -> Workload:
        """Return so many streams at 40 tokens a second."""
        return Workload(streams, _RATE)


@dataclass(frozen=True, slots=True)
class Window:
    """What some workers did together."""

    cpu_s: float
    tokens: int
    seconds: float

    @property
    def us_per_token(self) -> float:
        """CPU of the workers."""
        return self.cpu_s / self.tokens * 1e6

    @property
    def per_s(self) -> float:
        """Tokens delivered."""
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """Windows of one worker, and of two; `most`: of each the one with more than it can do."""

    one: list[Window] = field(default_factory=list)
    two: list[Window] = field(default_factory=list)
    most: list[Window] = field(default_factory=list)

    def rows(self) -> list[Row]:
        """Return the figures."""
        one, two = (
            statistics.median(each.us_per_token for each in windows)
            for windows in (self.one, self.two)
        )
        factor = statistics.median(
            2 * alone.us_per_token / both.us_per_token
            for alone, both in zip(self.one, self.two, strict=True)
        )
        rows = [
            Row("one worker", f"{one:.1f} us/token"),
            Row("each of two", f"{two:.1f} us/token"),
            Row("two can do, by CPU", f"x {factor:.2f}", f">= x {TARGET}", factor >= TARGET),
        ]
        if self.most:
            alone, both = self.most
            told = (
                f"{alone.per_s:,.0f}, {both.per_s:,.0f} tokens/s, x {both.per_s / alone.per_s:.2f}"
            )
            rows.append(Row("one, two, by the clock, the load on the same cores", told))
        return rows


async def measure(plan: Plan) -> Seen:
    """Measure in alternate windows.

    Raises:
        BenchError: Something is not installed, does not start, or breaks off.
        TimeoutError: Turns do not end that nobody reads any more.
    """
    seen, share = Seen(), plan.share(plan.streams)
    async with _two_workers(share.model(plan.window_s)) as stand:
        for number in range(plan.rounds):
            print(f"round {number + 1}/{plan.rounds}", file=sys.stderr)
            both = ((stand.workers[:1], seen.one), (stand.workers, seen.two))
            for workers, into in both[:: -1 if number % 2 else 1]:
                into.append(await _window(stand, workers, share, plan.window_s))
    if plan.too_many:
        for count in (1, 2):
            print(f"more than one can do, for {count}", file=sys.stderr)
            share = plan.share(plan.too_many // count)
            async with _two_workers(share.model(plan.window_s)) as stand:
                workers = stand.workers[:count]
                seen.most.append(await _window(stand, workers, share, plan.window_s))
    return seen


@dataclass(frozen=True, slots=True)
class _Stand:
    workers: Sequence[Worker]
    model: str
    model_port: int


@asynccontextmanager
async def _two_workers(model: str) -> AsyncGenerator[_Stand, None]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        _, model_port = await stack.enter_async_context(running_model(folder, None))
        _, redis_port = await stack.enter_async_context(running_redis(folder, None))
        workers = []
        for number in range(2):
            place, port = folder / f"worker-{number}", free_port()
            place.mkdir()
            command_ = chatstream(
                Setup(port, model_port, model, place),
                REDIS_URL=f"redis://127.0.0.1:{redis_port}",
                ABANDON_AFTER_S="0.5",  # turns of a window end with it
            )
            workers.append(Worker(command_, port, place, None))
            stack.push_async_callback(workers[-1].kill)
            await workers[-1].start()
        yield _Stand(workers, model, model_port)


async def _window(
    stand: _Stand, workers: Sequence[Worker], each: Workload, window_s: float
) -> Window:
    async with AsyncExitStack() as stack:
        opened = [Streams(CHATSTREAM, stand.model, worker.port, each) for worker in workers]
        for streams in opened:
            await stack.enter_async_context(streams.open())
        await anyio.sleep(_SETTLE_S)
        began = _reading(workers, opened)
        await anyio.sleep(window_s)
        ended = _reading(workers, opened)
    for streams in opened:
        streams.check()
    with anyio.fail_after(_END_S):
        while await open_streams(stand.model_port):  # noqa: ASYNC110  other processes
            await anyio.sleep(0.2)
    cpu_s, tokens, seconds = (after - before for before, after in zip(began, ended, strict=True))
    if not tokens:
        raise BenchError("no token came within the window")
    return Window(cpu_s, int(tokens), seconds)


def _reading(workers: Sequence[Worker], opened: Sequence[Streams]) -> tuple[float, int, float]:
    cpu_s = sum(worker.cpu_s() for worker in workers)
    return cpu_s, sum(streams.load.tokens for streams in opened), perf_counter()


async def _rows(told: argparse.Namespace) -> list[Row]:
    return (await measure(Plan(told.rounds, told.window, told.streams, told.too_many))).rows()


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.scaling", __doc__)
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--window", type=float, default=5.0, help="seconds (%(default)s)")
    parser.add_argument("--streams", type=int, default=100, help="of each (%(default)s)")
    parser.add_argument("--too-many", type=int, default=900, help="streams, 0: not (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(command.run("What a second worker adds", _parser(), _rows))
