"""The measurements: CPU per delivered token, memory per open stream, added time to first token.

Each runs against a fresh server, so that none pays for another's garbage.
"""

import random
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from loadtests.bench import client
from loadtests.bench.processes import Child, Cores, free_port, running
from loadtests.bench.targets import SIMULATOR_REQUEST, Setup, Target

_START_S = 30.0
_STREAM_S = 10.0  # longest wait for a first token
_RAMP_S = 2.0
_SETTLE_S = 1.5
_SPARE_S = 15.0
_PAUSE_S = 0.02
_WARM_UP_REQUESTS = 20
_SHORT = "sim:ttft=0,rate=0,tokens=4,mark=1"
_SHORT_TOKENS = 4


class BenchError(Exception):
    """A server did not start or did not answer as it should; the text says what it wrote."""


@dataclass(frozen=True, slots=True)
class Workload:
    """So many streams at such a pace."""

    streams: int
    rate: float

    def model(self, window_s: float) -> str:
        """Return a model whose answers outlast the measurement."""
        tokens = int(self.rate * (_RAMP_S + _SETTLE_S + window_s + _SPARE_S))
        return f"sim:ttft=0.05,rate={self.rate:g},tokens={tokens},mark=1"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share. `beside`: a server that the measured one uses, such as Redis."""

    simulator: Child
    simulator_port: int
    cores: Cores
    beside: Child | None = None


@dataclass(frozen=True, slots=True)
class Steady:
    """One steady window."""

    cpu_us_per_token: float
    delivered_per_s: float
    offered_per_s: float
    simulator_us_per_token: float
    load_us_per_token: float
    beside_us_per_token: float = 0.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Seconds to the first token, one request at a time, in the order measured."""

    direct_s: list[float]
    through_s: list[float]


async def steady(bench: Bench, target: Target, workload: Workload, window_s: float) -> Steady:
    """Measure CPU per token while all streams run."""
    return (await side_by_side(bench, [target], workload, window_s))[0]


async def side_by_side(
    bench: Bench, targets: Sequence[Target], workload: Workload, window_s: float
) -> list[Steady]:
    """Measure several servers in one window, on one core, each with its own streams.

    What disturbs the machine disturbs all alike. The simulator's CPU and the load's are those for
    all of them together.
    """
    model, load = workload.model(window_s), [client.Load() for _ in targets]
    async with AsyncExitStack() as stack:
        servers = []
        for target, own in zip(targets, load, strict=True):
            server, port = await stack.enter_async_context(serving(bench, target, model))
            streams = _streams(port, target.request(model), own, workload.streams)
            await stack.enter_async_context(streams)
            servers.append(server)
        await anyio.sleep(_SETTLE_S)
        pairs = list(zip(servers, load, strict=True))
        before = [_Reading.take(server, bench, own) for server, own in pairs]
        await anyio.sleep(window_s)
        after = [_Reading.take(server, bench, own) for server, own in pairs]
    for target, own in zip(targets, load, strict=True):
        if own.failed:
            raise BenchError(f"{target.name}: {len(own.failed)} failed, first: {own.failed[0]}")
    return [end.since(begun, workload) for begun, end in zip(before, after, strict=True)]


async def memory(bench: Bench, target: Target, streams: int) -> float:
    """Return the kilobytes by which an open stream (1 token a second) makes the server grow."""
    model = Workload(streams, 1).model(_RAMP_S)
    async with serving(bench, target, model) as (server, port):
        load = client.Load()
        asked = target.request(model)
        async with _streams(port, asked, load, _WARM_UP_REQUESTS):
            before = server.resident_bytes()
            async with _streams(port, asked, load, streams):
                await anyio.sleep(_SETTLE_S)
                after = server.resident_bytes()
        if load.failed:
            raise BenchError(f"{target.name}: {len(load.failed)} failed, first: {load.failed[0]}")
    return (after - before) / streams / 1024


async def idle(bench: Bench, target: Target, requests: int) -> Idle:
    """Measure the time to the first token beside the simulator's own, one request at a time."""
    direct, through = [], []
    async with serving(bench, target, _SHORT) as (_, port):
        asked, direct_asked = target.request(_SHORT), SIMULATOR_REQUEST(_SHORT)
        for number in range(-_WARM_UP_REQUESTS, requests):
            seconds = await _first_token_s(port, asked)
            direct_seconds = await _first_token_s(bench.simulator_port, direct_asked)
            if number >= 0:
                through.append(seconds)
                direct.append(direct_seconds)
    return Idle(direct, through)


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    server_s: float
    simulator_s: float
    load_s: float
    beside_s: float
    tokens: int

    @classmethod
    def take(cls, server: Child, bench: Bench, load: client.Load) -> "_Reading":
        return cls(
            time.perf_counter(),
            server.cpu_s(),
            bench.simulator.cpu_s(),
            time.process_time(),
            bench.beside.cpu_s() if bench.beside else 0.0,
            load.tokens,
        )

    def since(self, before: "_Reading", workload: Workload) -> Steady:
        tokens = self.tokens - before.tokens
        if not tokens:
            raise BenchError("no token came within the window")
        return Steady(
            cpu_us_per_token=(self.server_s - before.server_s) / tokens * 1e6,
            delivered_per_s=tokens / (self.at - before.at),
            offered_per_s=workload.streams * workload.rate,
            simulator_us_per_token=(self.simulator_s - before.simulator_s) / tokens * 1e6,
            load_us_per_token=(self.load_s - before.load_s) / tokens * 1e6,
            beside_us_per_token=(self.beside_s - before.beside_s) / tokens * 1e6,
        )


@asynccontextmanager
async def serving(
    bench: Bench, target: Target, model: str
) -> AsyncGenerator[tuple[Child, int], None]:
    """Run a fresh server for the length of the block; yield it and its port.

    Raises:
        BenchError: It does not start.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        setup = Setup(port, bench.simulator_port, model, Path(folder))
        log = Path(folder) / "output.log"
        async with running(target.command(setup), bench.cores.server, log) as server:
            await ready(server, f"http://127.0.0.1:{port}{target.ready_path}")
            yield server, port


async def ready(server: Child, url: str, *, within_s: float = _START_S) -> None:
    """Wait until a server answers 200.

    Raises:
        BenchError: It ended, or did not answer in time.
    """
    with anyio.move_on_after(within_s):
        while not server.has_ended:
            if await _answers(url):
                return
            await anyio.sleep(0.05)
    raise BenchError(f"{url} is not served:\n{server.last_words()}")


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient() as http:
            return (await http.get(url)).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def _streams(
    port: int, asked: bytes, load: client.Load, count: int
) -> AsyncGenerator[None, None]:
    """Hold streams open; inside the block each has had its first token, if the server keeps up.

    They start at random times: evenly spaced starts would make their tokens come in clumps.
    """
    clients: list[client.StreamClient] = []

    async def open_one(after_s: float) -> None:
        await anyio.sleep(after_s)
        try:
            clients.append(await client.connect(port, asked, load))
        except OSError as exc:
            load.failed.append(str(exc))

    phases = random.Random(count)
    target = load.started + count
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(open_one, phases.uniform(0, _RAMP_S))
        with anyio.move_on_after(_STREAM_S):
            while load.started < target and not load.failed:  # noqa: ASYNC110  a count of many
                await anyio.sleep(0.02)
        if load.failed or not load.started:
            raise BenchError(f"{load.started} of {target} streams started: {load.failed[:1]}")
        yield  # also where some wait for their first token: a saturated server is a result
    finally:
        for one in clients:
            one.close()


async def _first_token_s(port: int, asked: bytes) -> float:
    load = client.Load()
    stream = await client.connect(port, asked, load)
    try:
        with anyio.fail_after(_STREAM_S):
            seconds = await stream.first_token
            while stream.tokens < _SHORT_TOKENS:  # noqa: ASYNC110  no part of what is measured
                await anyio.sleep(_PAUSE_S)
    finally:
        stream.close()
    await anyio.sleep(_PAUSE_S)  # what the server still does for it belongs to no other request
    return seconds
