"""What the commands of this package that print rows have in common."""

import argparse
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import anyio

from loadtests.bench.figures import Row, machine, table
from loadtests.bench.measure import BenchError

Rows = Callable[[argparse.Namespace], Awaitable[list[Row]]]


def parser(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a parser that tells what the module is for."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=(doc or "").partition(": ")[2].partition("\n")[0]
    )


def run(title: str, options: argparse.ArgumentParser, rows: Rows) -> int:
    """Measure and print; return 1 where a target was missed or nothing could be measured."""
    told = options.parse_args()
    if not sys.platform.startswith("linux"):
        print("bench: CPU is read from /proc, which only Linux has", file=sys.stderr)
        return 1
    load_before = os.getloadavg()[0]
    found: list[Row] = []
    try:
        anyio.run(_measure, rows, told, found, backend_options={"use_uvloop": True})
    except* (BenchError, OSError, TimeoutError) as failed:
        print(f"bench: {_first(failed)}", file=sys.stderr)
    if not found:
        return 1
    print(table(title, found))
    print(machine(load_before))
    return 1 if any(row.is_held is False for row in found) else 0


def _first(failed: BaseException) -> BaseException:
    """Return the first of what failed side by side: the others say the same."""
    return _first(failed.exceptions[0]) if isinstance(failed, BaseExceptionGroup) else failed


async def _measure(rows: Rows, told: argparse.Namespace, found: list[Row]) -> None:
    """Measure; stop early, with all children, when told to."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_signal, tasks.cancel_scope)
        found += await rows(told)
        tasks.cancel_scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
