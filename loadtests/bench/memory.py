"""`python -m loadtests.bench.memory`: what a turn and a reader take, and what they leave behind.

Resident memory is measured while so many are there at once; what is left once they have gone is
counted by type (`loadtests.bench.held`), so that a machine's allocator has no part in it.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import msgspec

from loadtests.bench import client, measure, readers
from loadtests.bench.exchange import get
from loadtests.bench.held import Held
from loadtests.bench.instructions import serving_in_lockstep
from loadtests.bench.lockstep import Lockstep
from loadtests.bench.processes import Child, Command, Cores, free_port, running
from loadtests.bench.targets import CHATSTREAM

_LOOK_S = 30.0
_SETTLE_S = 2.0
_TURNS_READ, _BEFORE = 10, 20
_AT_ONCE, _TOKENS = 4, 10
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Left:
    """What turns leave behind.

    Attributes:
        garbage: Objects of each turn that wait for a collection.
        kept: Objects that are there afterwards and were not before, by type, of all the turns.
        tasks: The same of tasks.
        descriptors: The same of files and sockets.
    """

    garbage: float
    kept: dict[str, int]
    tasks: int
    descriptors: int


async def count_left(turns: int, *, warm_up: int) -> Left:
    """Count what ended turns leave in the embedded server, each read by a guest of its own.

    Logs of ended turns are not kept here: they are meant to be, up to `REPLAY_MAX_BYTES`.

    Raises:
        BenchError, ConnectionError, TimeoutError: It did not start, or did not answer.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = Path(folder) / "held.json"
        wrapped = (sys.executable, "-m", "loadtests.bench.held", str(found), "server")
        settings = {"REPLAY_MAX_BYTES": "0"}
        async with serving_in_lockstep(wrapped, Path(folder), settings) as (server, model, port):
            await _run(model, port, warm_up)
            await _held(server, found)
            before = await _held(server, found)
            await _run(model, port, turns)
            after = await _held(server, found)
    kept = {name: count - before.objects.get(name, 0) for name, count in after.objects.items()}
    return Left(
        after.garbage / turns,
        {name: count for name, count in kept.items() if count > 0},
        after.tasks - before.tasks,
        after.descriptors - before.descriptors,
    )


async def _run(model: Lockstep, port: int, turns: int) -> None:
    for _ in range(turns // _AT_ONCE):
        await model.run(port, turns=_AT_ONCE, tokens=_TOKENS)
    await anyio.sleep(0.2)  # the last ones are put away


async def _held(server: Child, found: Path) -> Held:
    server.signal(signal.SIGUSR1)
    with anyio.fail_after(_LOOK_S):
        while (held := _taken(found)) is None:  # noqa: ASYNC110  # another process writes it
            await anyio.sleep(0.01)
    return held


def _taken(found: Path) -> Held | None:
    """Return what was written down, once; None where it has not been yet."""
    if not found.exists():
        return None
    held = msgspec.json.decode(found.read_bytes(), type=Held)
    found.unlink()
    return held


async def reader_kb(bench: measure.Bench, count: int) -> float:
    """Return the kilobytes by which a further reader of a running turn makes the server grow."""
    model = measure.Workload(1, 1).model(_SETTLE_S + count / 100)
    async with measure.serving(bench, CHATSTREAM, model) as (server, port):
        guest, load = await readers.new_guest(port), client.Load()
        turns = []
        for number in range(_TURNS_READ):
            answer = await guest.ask(port, "Tell me about streaming, please.", f"turn-{number}")
            if answer is None:
                raise measure.BenchError("nobody listens")
            turns.append(readers.turn_of(answer))
        headers = {"cookie": guest.cookie, "accept": "text/event-stream"}
        asked = [get(f"{readers.TURNS}/{turn_id}/events", headers) for turn_id in turns]
        async with _reading(port, asked, _BEFORE, load):
            before = server.resident_bytes()
            async with _reading(port, asked, count, load):
                after = server.resident_bytes()
        if load.failed:
            raise measure.BenchError(f"{len(load.failed)} failed, first: {load.failed[0]}")
    return (after - before) / count / 1024


@asynccontextmanager
async def _reading(
    port: int, asked: list[bytes], count: int, load: client.Load
) -> AsyncGenerator[None, None]:
    opened: list[client.StreamClient] = []
    try:
        for number in range(count):
            opened.append(await client.connect(port, asked[number % len(asked)], load))
            await anyio.sleep(0.002)
        await anyio.sleep(_SETTLE_S)
        yield
    finally:
        for each in opened:
            each.close()


async def _measure(streams: int, turns: int) -> None:
    cores, port = Cores.split(), free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        simulate = (sys.executable, "-m", "loadtests.llm_simulator", "--port", str(port))
        output = Path(folder) / "simulator.log"
        async with running(Command(simulate, {}), cores.load, output) as simulator:
            await measure.ready(simulator, f"http://127.0.0.1:{port}/healthz")
            bench = measure.Bench(simulator, port, cores)
            turn = await measure.memory(bench, CHATSTREAM, streams)
            print(f"KB for a live turn with its reader, {streams} at once: {turn:6.1f}")
            reader = await reader_kb(bench, streams)
            print(f"KB for a further reader,            {streams} at once: {reader:6.1f}")
    left = await count_left(turns, warm_up=max(40, turns // 5))
    print(f"of {turns} turns that have ended: tasks {left.tasks}, descriptors {left.descriptors}")
    print(f"objects of each that wait for the garbage collector: {left.garbage:.1f}")
    for name, count in sorted(left.kept.items(), key=lambda each: -each[1])[:_SHOWN]:
        print(f"{count:8d} more  {name}")


def main() -> int:
    """Measure, and print."""
    options = argparse.ArgumentParser(prog="python -m loadtests.bench.memory")
    options.add_argument("--streams", type=int, default=500, help="at once (%(default)s)")
    options.add_argument("--turns", type=int, default=1000, help="that end (%(default)s)")
    given = options.parse_args()
    anyio.run(_measure, given.streams, given.turns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
