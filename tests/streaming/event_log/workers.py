"""Workers that share a log: each with its own memory, connection and lease, over one Redis."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import wraps
from time import monotonic

import anyio

from storage.errors import StorageError
from storage.redis import RedisConnection, ask
from streaming.cursor import START, Cursor
from streaming.event_log.base import EventReader, EventWriter, Taken, Wake
from streaming.event_log.memory import MemoryEventLog
from streaming.event_log.redis import RedisEventLog, RedisLeases
from streaming.event_log.redis.keys import lease_of
from streaming.events import TextDelta, TurnInterrupted, UsageData
from tests.support.redis import RedisServer

TURN = "turn_1"
END = TurnInterrupted("m", True, "", UsageData(None, None, "unknown"), "test")
WAIT_S = 15.0
"""Bound of every wait; a lease that runs out is the longest."""


class Worker:
    """One process's side of the log. It lives while `live()` runs; `pause` stops its tasks.

    Attributes:
        commands: What was asked of turns held here.
        read: For how long they were said to be read elsewhere.
        repeated: How often Redis was sent what it had.
        on_command: Told of the former, too.
        on_read: Told of the latter, too.
    """

    def __init__(self, url: str, name: str, *, keep_s: float = 60) -> None:
        self.commands: list[tuple[str, bytes]] = []
        self.read: list[tuple[str, float]] = []
        self.repeated = 0
        self.on_command: Callable[[str, bytes], bool] = lambda _turn_id, _command: True
        self.on_read: Callable[[str, float], None] = _nobody
        self.lost: list[str] = []
        self.connection = RedisConnection(url, timeout_s=1.0)
        memory = MemoryEventLog(replay_window_s=60, max_bytes=1 << 30, clock=monotonic)
        self.log = RedisEventLog(
            self.connection,
            memory,
            worker_id=name,
            keep_s=keep_s,
            on_command=self._commanded,
            on_read=self._was_read,
            on_repeated=self._has_repeated,
        )
        self.leases = RedisLeases(self.connection, self.log, worker_id=name, keep_s=keep_s)
        self._scope = anyio.CancelScope()

    def _commanded(self, turn_id: str, command: bytes) -> bool:
        self.commands.append((turn_id, command))
        return self.on_command(turn_id, command)

    def _has_repeated(self) -> None:
        self.repeated += 1

    def _was_read(self, turn_id: str, for_s: float) -> None:
        self.read.append((turn_id, for_s))
        self.on_read(turn_id, for_s)

    async def live(self) -> None:
        """Share and follow until paused."""
        self._scope = anyio.CancelScope()
        with self._scope:
            await self.log.run()

    def pause(self) -> None:
        """Stop in its tracks, as a process that is frozen or dead."""
        self._scope.cancel()

    async def take(self, *, epoch: int = 1, last_seq: int = 1) -> Taken:
        """Take the turn over as soon as it may be."""
        made: list[Taken] = []

        async def is_taken() -> bool:
            taken = await self.leases.take(
                TURN, epoch=epoch, last_seq=last_seq, on_lost=lambda: self.lost.append(TURN)
            )
            made.extend([taken] if taken else [])
            return bool(made)

        await until(is_taken)
        return made[0]

    async def reader(self, cursor: Cursor = START, *, is_running: bool = True) -> EventReader:
        """Attach to the turn, which may be another worker's."""
        await self.log.reach(TURN, cursor, is_running=is_running)
        return self.log.attach(TURN, cursor)

    async def redis(self, *command: str | int) -> object:
        """Ask Redis past the log."""
        async with self.connection.call() as client:
            answer: object = await ask(client, *command)
        return answer


@asynccontextmanager
async def workers(url: str, *names: str) -> AsyncIterator[list[Worker]]:
    """Run workers until the block ends."""
    made = [Worker(url, name) for name in names]
    async with anyio.create_task_group() as tasks:
        for worker in made:
            tasks.start_soon(worker.live)
        try:
            yield made
        finally:
            tasks.cancel_scope.cancel()
    for worker in made:
        await worker.connection.close()


async def read_to_end(reader: EventReader) -> tuple[list[str], bool]:
    """Return the ids a reader gets, and whether it was sent away before the end."""
    frames = b""
    with anyio.fail_after(WAIT_S):
        while not reader.at_end:
            batch = reader.take(1 << 16)
            frames += batch
            if not batch and await reader.wait() is Wake.LEAVE:
                return ids_of(frames), True
    return ids_of(frames), False


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(WAIT_S):
        while not await holds():  # noqa: ASYNC110  # what is waited for happens in Redis
            await anyio.sleep(0.02)


async def claim(holds: bool) -> bool:
    """Return a fact that is looked at between two awaits."""
    return holds


async def shared(worker: Worker, seq: int) -> None:
    """Wait until Redis, which may be away meanwhile, has a turn's entries up to a seq."""

    async def is_there() -> bool:
        last = None
        with suppress(StorageError):
            last = await worker.redis("HGET", lease_of(TURN), "last")
        return isinstance(last, bytes) and int(last) >= seq

    await until(is_there)


def ids_of(frames: bytes) -> list[str]:
    """Return the places of some frames, as `epoch-seq`."""
    lines = frames.decode().splitlines()
    return [line.rpartition(".")[2] for line in lines if line.startswith("id: ")]


def places(epoch: int, first: int, last: int) -> list[str]:
    """Return the places of a run of entries."""
    return [f"{epoch}-{seq}" for seq in range(first, last + 1)]


def say(writer: EventWriter, count: int) -> None:
    """Append as many deltas."""
    for _ in range(count):
        writer.append(TextDelta("word "))


def _nobody(*_: object) -> None:
    """Nobody wants to know."""


Test = Callable[..., Awaitable[None]]


def on_two_workers(test: Test) -> Test:
    """Give a test two workers over an empty Redis, as its argument `two`.

    No fixture: a task group must be left in the task that entered it.
    """
    signature = inspect.signature(test)

    @wraps(test)
    async def run(server: RedisServer, **arguments: object) -> None:
        with server.client() as client:
            client.flushall()
        async with workers(server.url, "a", "b") as two:
            if "server" in signature.parameters:
                arguments["server"] = server
            await test(two=two, **arguments)

    asked = [each for name, each in signature.parameters.items() if name not in {"two", "server"}]
    first = inspect.Parameter("server", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = signature.replace(parameters=[first, *asked])  # type: ignore[attr-defined]
    return run
