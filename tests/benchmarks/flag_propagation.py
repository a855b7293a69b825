"""`python -m tests.benchmarks.flag_propagation`: how soon processes serve a changed flag.

Processes with a `FlagClient` each follow a redis-server of their own; this one changes a flag. What
is timed runs from before the editor is called, which reads the rules and then writes, until the
last process's `decide` gives the new value. A thread in each process looks for it without a pause
but for 0.3 ms of sleep, so that figures are up to about 0.4 ms too high. All clocks are the
machine's one monotonic clock.

Then the same with announcements that nobody hears, as if they were lost.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from flags.changes.editor import FlagEditor, Request
from flags.client import Fallbacks, FlagClient
from flags.model import Author, Ruleset
from flags.store.redis import RedisFlagStore, store
from tests.benchmarks.tables import percentile
from tests.support.redis import running_redis

_KEY = "bench"
_LOOK_S = 0.0003
_SETTLE_S = 3.0  # more than a lost announcement may cost
_REQUEST = Request(Author("bench"))

Seen = list[tuple[int, int]]
"""Values as they were first given, and when, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many changes, and how far apart."""

    changes: int
    least_s: float
    most_s: float


def main() -> int:
    """Measure and print the table; return the exit status."""
    arguments = _parser().parse_args()
    if arguments.follow:
        anyio.run(_follow, arguments.follow)
        return 0
    usual = Pace(arguments.changes, 0.02, 0.05)
    rare = Pace(arguments.lost, 0.1, 0.6)
    _print(f"| {arguments.processes} processes, ms | changes | p50 | p95 | p99 | max |")
    _print("|---|---|---|---|---|---|")
    measured = _measured(arguments.processes, usual)
    _print(_row("each process", usual, [each for pair in measured for each in pair]))
    _print(_row("the last process", usual, [max(pair) for pair in measured]))
    # Writers announce elsewhere; the followers are other processes and listen where they did.
    store.CHANNEL = "nobody-listens"  # type: ignore[attr-defined]  # a loss cannot be asked for
    measured = _measured(arguments.processes, rare)
    _print(_row("the last process, announcements lost", rare, [max(pair) for pair in measured]))
    return 0


def _measured(processes: int, pace: Pace) -> list[list[int]]:
    """Return for each change the nanoseconds until each process served it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(running_redis(folder)).url
        anyio.run(_change, url, 0)
        followers = [stack.enter_context(_follower(url)) for _ in range(processes)]
        written = anyio.run(_write, url, pace)
        seen = [_told(follower) for follower in followers]
    return [[_first(each, value) - at for each in seen] for value, at in written]


def _first(seen: Seen, value: int) -> int:
    """Return when a process first gave a value, or a later one: it may have missed one."""
    return min(at for given, at in seen if given >= value)


async def _write(url: str, pace: Pace) -> Seen:
    """Give the flag 1, 2, 3, ...; return when each was begun."""
    dice = random.Random(4)  # noqa: S311  # seeded, so that a run can be repeated
    begun: Seen = []
    redis = RedisFlagStore(url)
    editor = FlagEditor(redis)
    for value in range(1, pace.changes + 1):
        await anyio.sleep(dice.uniform(pace.least_s, pace.most_s))
        begun.append((value, time.monotonic_ns()))
        await editor.put_flag(_KEY, _definition(value), _REQUEST)
    await anyio.sleep(_SETTLE_S)
    await redis.close()
    return begun


async def _change(url: str, value: int) -> None:
    redis = RedisFlagStore(url)
    await FlagEditor(redis).put_flag(_KEY, _definition(value), _REQUEST)
    await redis.close()


def _definition(value: int) -> dict[str, object]:
    rollout = {"percentage": 100, "serve": "now"}
    return {"type": "number", "variants": {"now": value}, "off_variant": "now", "rollout": rollout}


async def _follow(url: str) -> None:
    """Be one of the processes: follow until standard input ends, then tell what was seen when."""
    redis = RedisFlagStore(url)
    client = FlagClient(redis, Fallbacks(Ruleset()))
    await client.open()
    seen: Seen = []
    is_over = threading.Event()
    looking = threading.Thread(target=_look, args=(client, seen, is_over))
    looking.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.run)
        _print("following")
        await anyio.to_thread.run_sync(sys.stdin.read)
        tasks.cancel_scope.cancel()
    is_over.set()
    looking.join()
    _print(json.dumps(seen))


def _look(client: FlagClient, seen: Seen, is_over: threading.Event) -> None:
    last = -1
    while not is_over.wait(_LOOK_S):
        value = client.decide(_KEY, "user", default=-1).value
        if isinstance(value, int) and value != last:
            seen.append((value, time.monotonic_ns()))
            last = value


@contextmanager
def _follower(url: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.benchmarks.flag_propagation", "--follow", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            _line(process, "following")
            yield process
        finally:
            process.kill()


def _told(process: "subprocess.Popen[str]") -> Seen:
    """End a process and return what it saw."""
    assert process.stdin
    process.stdin.close()
    return [(value, at) for value, at in json.loads(_line(process, "["))]


def _line(process: "subprocess.Popen[str]", beginning: str) -> str:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(beginning):
            return line
    raise RuntimeError("a process ended without a word")


def _row(name: str, pace: Pace, taken_ns: Sequence[int]) -> str:
    taken_us = [each // 1000 for each in taken_ns]
    figures = [percentile(taken_us, percent) for percent in (50, 95, 99)] + [max(taken_us)]
    shown = " | ".join(f"{figure / 1e3:.2f}" for figure in figures)
    return f"| {name} | {pace.changes} | {shown} |"


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.flag_propagation")
    parser.add_argument("--changes", type=int, default=500, help="that are announced")
    parser.add_argument("--lost", type=int, default=60, help="changes whose announcement is lost")
    parser.add_argument("--processes", type=int, default=4, help="that follow")
    parser.add_argument("--follow", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
