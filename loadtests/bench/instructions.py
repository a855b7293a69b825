"""`python -m loadtests.bench.instructions`: what the server executes for a token, counted.

Not timed: the same on a machine that is busy. Tokens come in lockstep (`loadtests.bench.lockstep`);
the difference of a long and a short answer is divided by the tokens between them, so that what a
turn costs once drops out, and so does what is not done for every token.

`--machine` counts machine instructions, of C code too, and of turns (valgrind's callgrind).
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import anyio
import msgspec

from loadtests.bench.counted import Function
from loadtests.bench.lockstep import Lockstep
from loadtests.bench.measure import ready
from loadtests.bench.processes import Child, Command, free_port, running

_READY_S = 120.0  # under valgrind a start takes twenty times as long
_COUNTED_S = 60.0
_SHOWN = 40
_TURNS, _SHORT, _LONG = 4, 10, 110
_TURNS_OF_ONE = 10
_MACHINE_LONG = 510  # by the clock something is done all the time: the more tokens, the less of it
_IDLE_S = 4.0


@dataclass(frozen=True, slots=True)
class PerToken:
    """Bytecode instructions for each token, by function: those that every token passes."""

    executed: dict[str, float]

    @property
    def total(self) -> float:
        """Of all functions."""
        return sum(self.executed.values())


@dataclass(frozen=True, slots=True)
class Machine:
    """Machine instructions."""

    per_token: float
    per_turn: float


async def count_bytecode() -> PerToken:
    """Count what the embedded server executes for a token.

    Raises:
        BenchError, ConnectionError, TimeoutError: It did not start, or did not answer.
    """
    async with counted_server() as counted:
        return await counted.per_token()


@dataclass(frozen=True, slots=True)
class CountedServer:
    """The embedded server, counting its bytecode when told to, and the model behind it."""

    server: Child
    model: Lockstep
    port: int
    found: Path

    async def per_token(self) -> PerToken:
        """Count by the difference of long answers and short ones.

        Raises:
            ConnectionError, TimeoutError: It did not answer.
        """
        counts = []
        for tokens in (_SHORT, _LONG):
            self.begin()
            await self.model.run(self.port, turns=_TURNS, tokens=tokens)
            self.end()
            counts.append(await self.counts())
        short, long = counts
        tokens = _TURNS * (_LONG - _SHORT)
        executed = {
            name: (each.executed - short[name].executed) / tokens
            for name, each in long.items()
            # What is done now and then, by the clock, is not the token's.
            if name in short and each.entered - short[name].entered > tokens / 2
        }
        return PerToken(executed)

    async def per_token_between(self, first: int, last: int) -> PerToken:
        """Count while one answer's tokens come, from one number to another.

        Raises:
            ConnectionError, TimeoutError: It did not answer.
        """
        hooks = {first: self.begin, last: self.end}
        await self.model.run(self.port, turns=1, tokens=last + _SHORT, hooks=hooks)
        tokens = last - first
        return PerToken(
            {
                name: each.executed / tokens
                for name, each in (await self.counts()).items()
                if each.entered > tokens / 2
            }
        )

    def begin(self) -> None:
        """Have it count from now on, from zero."""
        self.server.signal(signal.SIGUSR1)

    def end(self) -> None:
        """Have it count no more."""
        self.server.signal(signal.SIGUSR2)

    async def counts(self) -> dict[str, Function]:
        """Return what was counted, by the functions' names.

        Raises:
            TimeoutError: It does not say.
        """
        with anyio.fail_after(_COUNTED_S):
            while not (counted := _taken(self.found)):  # noqa: ASYNC110  another process writes it
                await anyio.sleep(0.01)
        return {each.name: each for each in counted}


@asynccontextmanager
async def counted_server() -> AsyncGenerator[CountedServer, None]:
    """Run a server that can count, for the length of the block; it has answered twice.

    Raises:
        BenchError, ConnectionError, TimeoutError: It did not start, or did not answer.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = Path(folder) / "counted.json"
        wrapped = ("-m", "loadtests.bench.counted", str(found), "server")
        async with serving_in_lockstep((sys.executable, *wrapped), Path(folder)) as (
            server,
            model,
            port,
        ):
            await model.run(port, turns=2, tokens=_SHORT)
            yield CountedServer(server, model, port, found)


def _taken(found: Path) -> list[Function]:
    """Return what was counted, once; nothing where it has not been written down yet."""
    if not found.exists():
        return []
    counted = msgspec.json.decode(found.read_bytes(), type=list[Function])
    found.unlink()
    return counted


async def count_machine() -> Machine:
    """Count machine instructions for a token, and for a turn of one token.

    What the server does by the clock is counted while it idles, and taken off.

    Raises:
        BenchError, ConnectionError, TimeoutError: It did not start, or did not answer.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "callgrind.out"
        wrapped = ("valgrind", "--tool=callgrind", "--instr-atstart=no")
        command = (*wrapped, f"--callgrind-out-file={out}", sys.executable, "-m", "server")
        async with serving_in_lockstep(command, Path(folder)) as (server, model, port):
            await model.run(port, turns=2, tokens=_SHORT)
            _control(server, "--instr=on")
            await model.run(port, turns=1, tokens=_SHORT)
            sections = _Sections(server, out)
            sections.end()
            await anyio.sleep(_IDLE_S)
            idle, idle_s = sections.end()
            costs = []
            several = ((_TURNS, _SHORT), (_TURNS, _MACHINE_LONG))
            for turns, tokens in ((1, 1),) * _TURNS_OF_ONE + several:
                await model.run(port, turns=turns, tokens=tokens)
                count, seconds = sections.end()
                costs.append(count - idle / idle_s * seconds)
    *turns_of_one, short, long = costs
    return Machine(
        per_token=(long - short) / _TURNS / (_MACHINE_LONG - _SHORT),
        per_turn=sum(turns_of_one) / len(turns_of_one),
    )


class _Sections:
    """What was counted between one call and the next."""

    def __init__(self, server: Child, out: Path) -> None:
        self._server = server
        self._out = out
        self._number = 0
        self._began_at = time.monotonic()

    def end(self) -> tuple[int, float]:
        """Return the instructions, and the seconds."""
        seconds = time.monotonic() - self._began_at
        self._number += 1
        _control(self._server, "--dump=section")
        dumped = self._out.with_name(f"{self._out.name}.{self._number}").read_text("utf-8")
        self._began_at = time.monotonic()
        found = re.search(r"^totals: (\d+)$", dumped, re.MULTILINE)
        return int(found[1]) if found else 0, seconds


def _control(server: Child, what: str) -> None:
    command = ["callgrind_control", what, str(server.pid)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own words


@asynccontextmanager
async def serving_in_lockstep(
    arguments: tuple[str, ...], folder: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncGenerator[tuple[Child, Lockstep, int], None]:
    """Run the embedded server for the length of the block, beside a model in lockstep.

    Yields the server, the model, and the server's port.
    """
    model, port = Lockstep(), free_port()
    async with model.serving():
        environment = {
            "PORT": str(port),
            "DATA_DIR": str(folder / "data"),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1",
            "OPENAI_API_KEY": "none",
            "OPENAI_MODEL": "lockstep",
            "MAX_RESPONSE_CHARS": "1000000",
            "RATE_LIMIT_ENABLED": "false",
            "LOG_LEVEL": "warning",
            "REQUEST_TIMEOUT_S": "100",
            "FIRST_TOKEN_TIMEOUT_S": "100",
            "INTER_TOKEN_TIMEOUT_S": "100",
            "CONNECT_TIMEOUT_S": "50",
            "PYTHONHASHSEED": "0",
            **settings,
        }
        command = Command(arguments, environment)
        async with running(command, None, folder / "output.log") as server:
            await ready(server, f"http://127.0.0.1:{port}/health/ready", within_s=_READY_S)
            yield server, model, port


def main() -> int:
    """Count, and print."""
    options = argparse.ArgumentParser(prog="python -m loadtests.bench.instructions")
    options.add_argument("--machine", action="store_true", help="machine instructions, by valgrind")
    if options.parse_args().machine:
        if shutil.which("valgrind") is None:
            print("instructions: valgrind is not installed", file=sys.stderr)
            return 1
        machine = anyio.run(count_machine)
        print(f"machine instructions per token {machine.per_token:10,.0f}")
        print(f"                     per turn  {machine.per_turn:10,.0f}")
        return 0
    found = anyio.run(count_bytecode)
    print(f"bytecode instructions per token: {found.total:.0f}")
    for name, executed in sorted(found.executed.items(), key=lambda each: -each[1])[:_SHOWN]:
        print(f"{executed:8.1f}  {name[-80:]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
