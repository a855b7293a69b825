"""Several workers on one Redis and one MongoDB wire server, with the simulator behind them.

Nothing is in front of the workers: whoever reads chooses where.
"""

import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import anyio
import msgspec

from loadtests.bench.exchange import fetch, get
from loadtests.bench.measure import BenchError, ready
from loadtests.bench.processes import Child, Command, Cores, free_port, running
from loadtests.bench.targets import Setup, embedded

ANYWHERE = Cores(None, None)

_START_S = 30.0
_STOP_S = 60.0
_LAG = re.compile(r'^chat_event_loop_lag_seconds_bucket\{le="(.+)"\} (\S+)$', re.MULTILINE)
_SETTINGS: Mapping[str, str] = {
    "SESSION_SECRET": "s" * 40,
    "ADMIN_TOKEN": "a" * 40,
    "TTS_ENGINE": "off",
}


class Worker:
    """One server process at a time, on a port and a folder of its own.

    Args:
        command: How it is started.
        port: Where it listens.
        folder: For what it writes.
        core: Where it runs; None leaves it to the kernel.
    """

    def __init__(self, command: Command, port: int, folder: Path, core: int | None) -> None:
        self.port = port
        self._command = command
        self._folder = folder
        self._core = core
        self._starts = 0
        self._running = AsyncExitStack()
        self._child: Child | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            BenchError: It is not, in time.
        """
        self._starts += 1
        log = self._folder / f"output-{self._starts}.log"
        self._child = await self._running.enter_async_context(
            running(self._command, self._core, log)
        )
        await ready(self._child, f"http://127.0.0.1:{self.port}/health/ready")

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used since its start."""
        return 0.0 if self._child is None else self._child.cpu_s()

    async def kill(self) -> None:
        """End it at once."""
        await self._running.aclose()

    async def restart(self) -> tuple[float, float]:
        """Ask it to stop, wait until it has, start it again; return the seconds that both took.

        Raises:
            BenchError: It did not stop in good order, or is not ready in time.
        """
        if self._child is None:
            raise BenchError("a worker that does not run cannot be restarted")
        began = perf_counter()
        self._child.signal(signal.SIGTERM)
        with anyio.fail_after(_STOP_S):
            status = await self._child.status()
        stopped = perf_counter()
        if status:
            raise BenchError(f"the worker ended with {status}:\n{self._child.last_words()}")
        await self.kill()
        await self.start()
        return stopped - began, perf_counter() - stopped


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that runs."""

    workers: Sequence[Worker]
    model_port: int

    @property
    def ports(self) -> list[int]:
        """Where the workers listen."""
        return [worker.port for worker in self.workers]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many workers, the simulator's model that they ask, and their settings."""

    workers: int
    model: str
    settings: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def running_cluster(wanted: Wanted) -> AsyncGenerator[Cluster, None]:
    """Run workers and all that they need until the block ends; all are ready when it begins.

    Raises:
        BenchError: Something is not installed, or does not start.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        _, model_port = await stack.enter_async_context(running_model(folder, None))
        _, redis_port = await stack.enter_async_context(running_redis(folder, None))
        mongo_port = await stack.enter_async_context(_running_mongo(folder))
        workers = []
        for number in range(wanted.workers):
            place = folder / f"worker-{number}"
            place.mkdir()
            port = free_port()
            command = chatstream(
                Setup(port, model_port, wanted.model, place),
                REDIS_URL=f"redis://127.0.0.1:{redis_port}",
                MONGODB_URI=f"mongodb://127.0.0.1:{mongo_port}/chat",
                **wanted.settings,
            )
            workers.append(Worker(command, port, place, None))
            stack.push_async_callback(workers[-1].kill)
        for worker in workers:
            await worker.start()
        yield Cluster(workers, model_port)


def chatstream(setup: Setup, **settings: str) -> Command:
    """Return how a worker is started, with settings beside the benchmark's own."""
    plain = embedded(setup)
    return Command(plain.arguments, {**plain.environment, **_SETTINGS, **settings})


@asynccontextmanager
async def running_model(folder: Path, core: int | None) -> AsyncGenerator[tuple[Child, int], None]:
    """Run the simulator; yield it and its port.

    Raises:
        BenchError: It does not start.
    """
    port = free_port()
    command = (sys.executable, "-m", "loadtests.llm_simulator", "--port", str(port))
    async with running(Command(command, {}), core, folder / "model.log") as child:
        await ready(child, f"http://127.0.0.1:{port}/healthz")
        yield child, port


@asynccontextmanager
async def running_redis(folder: Path, core: int | None) -> AsyncGenerator[tuple[Child, int], None]:
    """Run a Redis that keeps nothing on disk; yield it and its port.

    Raises:
        BenchError: It is not installed, or does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise BenchError("redis-server is not installed")
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no")
    command = Command((program, *options, "--dir", str(folder)), {})
    async with running(command, core, folder / "redis.log") as child:
        await _listening(child, port)
        yield child, port


@asynccontextmanager
async def _running_mongo(folder: Path) -> AsyncGenerator[int, None]:
    port, place = free_port(), folder / "mongo"
    place.mkdir()
    arguments = [sys.executable, "-m", "nx_27017.nx_27017", "--host", "127.0.0.1"]
    arguments += ["--port", str(port), "--data-dir", str(place / "data")]
    arguments += ["--log-file", str(place / "log"), "--pid-file", str(place / "pid")]
    async with running(Command(tuple(arguments), {}), None, folder / "mongo.log") as child:
        await _listening(child, port)
        yield port


async def _listening(child: Child, port: int) -> None:
    with anyio.move_on_after(_START_S):
        while not child.has_ended:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
            except OSError:
                await anyio.sleep(0.05)
            else:
                return
    raise BenchError(f"port {port} is not served:\n{child.last_words()}")


async def upstream_calls(model_port: int) -> int:
    """Return how often the simulator was asked for an answer so far."""
    return (await _stats(model_port)).requests


async def open_streams(model_port: int) -> int:
    """Return how many answers the simulator is giving."""
    return (await _stats(model_port)).open


class _Stats(msgspec.Struct):
    requests: int
    open: int


async def _stats(model_port: int) -> _Stats:
    answer = await fetch(model_port, get("/_stats", {}))
    if answer is None:
        raise BenchError("the simulator is gone")
    return msgspec.json.decode(answer.body, type=_Stats)


async def lags(ports: Sequence[int]) -> dict[float, float]:
    """Return how often the workers' loops were late by so many seconds at most, since the start."""
    found: dict[float, float] = {}
    for port in ports:
        answer = await fetch(port, get("/metrics", {}))
        if answer is not None:
            for bound, count in _LAG.findall(answer.body.decode("utf-8")):
                found[float(bound)] = found.get(float(bound), 0.0) + float(count)
    return found


def worst_lag(before: Mapping[float, float], after: Mapping[float, float]) -> float:
    """Return the histogram's bound that no loop was later than meanwhile, in seconds."""
    grown = {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}
    most = max(grown.values(), default=0.0)
    return next((bound for bound, count in grown.items() if count >= most), 0.0)
