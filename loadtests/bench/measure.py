"""The measurements: CPU per delivered token, pace, memory per open stream, time to first token.

Each runs against a fresh server, so that none pays for another's garbage.
"""

import random
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx

from loadtests.bench import client
from loadtests.bench.figures import quantile
from loadtests.bench.pace import Pace, pace
from loadtests.bench.processes import Child, Cores, free_port, running
from loadtests.bench.targets import SIMULATOR_REQUEST, Setup, Target

_START_S = 60.0
_STREAM_S = 10.0  # longest wait for a first token
_LATE_S = 4.0  # for those of many streams: then the server is saturated, which is a result
_RAMP_S = 2.0
_OPENED_PER_S = 250
_TTFT_S = 0.05  # the simulator's
_SETTLE_S = 1.5
_SPARE_S = 60.0  # a saturated server takes its time: no answer may end before it is measured
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

    @property
    def title(self) -> str:
        """The workload in words."""
        return f"{self.streams:,} x {self.rate:g} tokens/s"

    @property
    def offered_per_s(self) -> float:
        """Tokens."""
        return self.streams * self.rate

    @property
    def ramp_s(self) -> float:
        """In which time its streams are opened: 250 a second where they are many."""
        return max(_RAMP_S, self.streams / _OPENED_PER_S)

    def model(self, window_s: float) -> str:
        """Return a model whose answers outlast the measurement."""
        tokens = int(self.rate * (self.ramp_s + _SETTLE_S + window_s + _SPARE_S))
        return f"sim:ttft={_TTFT_S:g},rate={self.rate:g},tokens={tokens},mark=1"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share. `beside`: a server that the measured one uses, such as Redis."""

    simulator: Child
    simulator_port: int
    cores: Cores
    beside: Child | None = None
    redis_port: int = 0


@dataclass(frozen=True, slots=True)
class Steady:
    """One steady window.

    `ttft_s`: p50 and p99 of the streams' first tokens while they were opened, the model's own wait
    taken off.
    """

    cpu_us_per_token: float
    delivered_per_s: float
    offered_per_s: float
    simulator_us_per_token: float
    load_us_per_token: float
    beside_us_per_token: float = 0.0
    pace: Pace = field(default_factory=Pace)
    ttft_s: tuple[float, float] = (0.0, 0.0)


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
    model = workload.model(window_s)
    async with AsyncExitStack() as stack:
        servers, opened = [], []
        for target in targets:
            server, port = await stack.enter_async_context(serving(bench, target, model))
            streams = Streams(target, model, port, workload)
            await stack.enter_async_context(streams.open())
            servers.append(server)
            opened.append(streams)
        await anyio.sleep(_SETTLE_S)
        pairs = list(zip(servers, opened, strict=True))
        before = [_Reading.take(server, bench, streams) for server, streams in pairs]
        await anyio.sleep(window_s)
        after = [_Reading.take(server, bench, streams) for server, streams in pairs]
    for streams in opened:
        streams.check()
    return [
        end.since(begun, streams) for begun, end, streams in zip(before, after, opened, strict=True)
    ]


async def memory(bench: Bench, target: Target, streams: int) -> float:
    """Return the kilobytes by which an open stream (1 token a second) makes the server grow."""
    workload = Workload(streams, 1)
    model = workload.model(_RAMP_S)
    async with serving(bench, target, model) as (server, port):
        first = Streams(target, model, port, Workload(_WARM_UP_REQUESTS, 1))
        then = Streams(target, model, port, workload)
        async with first.open():
            before = server.resident_bytes()
            async with then.open():
                await anyio.sleep(_SETTLE_S)
                after = server.resident_bytes()
        first.check()
        then.check()
    return (after - before) / streams / 1024


async def idle(bench: Bench, target: Target, requests: int) -> Idle:
    """Measure the time to the first token beside the simulator's own, one request at a time."""
    direct, through = [], []
    async with serving(bench, target, _SHORT) as (_, port):
        asked, direct_asked = target.request(_SHORT), SIMULATOR_REQUEST(_SHORT)
        for number in range(-_WARM_UP_REQUESTS, requests):
            seconds = await _first_token_s(port, asked, target.mark)
            direct_seconds = await _first_token_s(bench.simulator_port, direct_asked)
            if number >= 0:
                through.append(seconds)
                direct.append(direct_seconds)
    return Idle(direct, through)


class Streams:
    """The streams of a workload on one server."""

    def __init__(self, target: Target, model: str, port: int, workload: Workload) -> None:
        self.workload = workload
        self.load = client.Load(gap_s=1 / workload.rate)
        self._target = target
        self._model = model
        self._port = port
        self._clients: list[client.StreamClient] = []

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Hold them open; in the block each has had its first token, if the server keeps up.

        They start at random times: evenly spaced starts would make their tokens come in clumps.

        Raises:
            BenchError: None comes, or one is refused.
        """
        count, load = self.workload.streams, self.load
        try:
            with anyio.move_on_after(self.workload.ramp_s + _LATE_S):
                await self._open_all()
                while load.started < count and not load.failed:  # noqa: ASYNC110  many
                    await anyio.sleep(0.02)
            if load.failed or not load.started:
                raise BenchError(f"{load.started} of {count} streams started: {load.failed[:1]}")
            yield  # also where some wait for their first token: a saturated server is a result
        finally:
            for one in self._clients:
                one.close()

    async def _open_all(self) -> None:
        phases = random.Random(self.workload.streams)
        async with anyio.create_task_group() as tasks:
            for number in range(self.workload.streams):
                after_s = phases.uniform(0, self.workload.ramp_s)
                tasks.start_soon(self._open_one, number, after_s)

    async def _open_one(self, number: int, after_s: float) -> None:
        await anyio.sleep(after_s)
        asked = self._target.request_of(number, self._model)
        try:
            self._clients.append(
                await client.connect(self._port, asked, self.load, self._target.mark)
            )
        except OSError as exc:
            self.load.failed.append(str(exc))

    def check(self) -> None:
        """Raise BenchError where one has failed meanwhile."""
        failed = self.load.failed
        if failed:
            raise BenchError(f"{self._target.name}: {len(failed)} failed, first: {failed[0]}")

    def pace(self) -> Pace:
        """Return the pace of what was recorded."""
        return pace(((one.late, one.earliest) for one in self._clients), self.load.gap_s)

    def ttft_s(self) -> tuple[float, float]:
        """Return p50 and p99 of the first tokens; one that has not come is as late as the last."""
        there = [one.first_token for one in self._clients if one.first_token.done()]
        waits = [max(0.0, each.result() - _TTFT_S) for each in there if not each.exception()]
        waits += [max(waits, default=0.0)] * (self.workload.streams - len(waits))
        return quantile(waits, 50), quantile(waits, 99)


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    server_s: float
    simulator_s: float
    load_s: float
    beside_s: float
    tokens: int

    @classmethod
    def take(cls, server: Child, bench: Bench, streams: Streams) -> "_Reading":
        streams.load.is_recording = not streams.load.is_recording
        return cls(
            time.perf_counter(),
            server.cpu_s(),
            bench.simulator.cpu_s(),
            time.process_time(),
            bench.beside.cpu_s() if bench.beside else 0.0,
            streams.load.tokens,
        )

    def since(self, before: "_Reading", streams: Streams) -> Steady:
        tokens = self.tokens - before.tokens
        if not tokens:
            raise BenchError("no token came within the window")
        return Steady(
            cpu_us_per_token=(self.server_s - before.server_s) / tokens * 1e6,
            delivered_per_s=tokens / (self.at - before.at),
            offered_per_s=streams.workload.offered_per_s,
            simulator_us_per_token=(self.simulator_s - before.simulator_s) / tokens * 1e6,
            load_us_per_token=(self.load_s - before.load_s) / tokens * 1e6,
            beside_us_per_token=(self.beside_s - before.beside_s) / tokens * 1e6,
            pace=streams.pace(),
            ttft_s=streams.ttft_s(),
        )


@asynccontextmanager
async def serving(
    bench: Bench, target: Target, model: str
) -> AsyncGenerator[tuple[Child, int], None]:
    """Run a fresh server for the length of the block; yield it and its port.

    Raises:
        BenchError: It does not start.
    """
    if target.command is None:  # nothing between: the simulator is its own server
        yield bench.simulator, bench.simulator_port
        return
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        setup = Setup(port, bench.simulator_port, model, Path(folder), bench.redis_port)
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


async def _first_token_s(port: int, asked: bytes, mark: bytes = client.MARK) -> float:
    stream = await client.connect(port, asked, client.Load(), mark)
    try:
        with anyio.fail_after(_STREAM_S):
            seconds = await stream.first_token
            while stream.tokens < _SHORT_TOKENS:  # noqa: ASYNC110  no part of what is measured
                await anyio.sleep(_PAUSE_S)
    finally:
        stream.close()
    await anyio.sleep(_PAUSE_S)  # what the server still does for it belongs to no other request
    return seconds
