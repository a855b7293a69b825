"""The producing side: frames go to Redis behind the readers here, in batches; leases are renewed.

A token costs one dictionary entry. A pass sends what has come since the last one, of all turns of
this process in one script call (one a turn in a cluster). What Redis cannot take now stays in
memory, where it is anyway for the readers here, and is sent when it is back.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import structlog

from storage.errors import StorageError
from storage.redis import RedisConnection, Script, ask_all
from streaming.cursor import Cursor
from streaming.event_log.memory import MemoryEventLog, MemoryLog
from streaming.event_log.redis.keys import (
    RUNNING,
    WAKE,
    commands_of,
    lease_of,
    log_of,
    readers_of,
)
from streaming.events import Event

log = structlog.get_logger(__name__)

LEASE_S = 5.0
RENEW_EVERY_S = 1.5
"""Three renewals fit into a lease: one may be lost, one late."""

FLUSH_EVERY_S = 0.05
FLUSH_ENTRIES = 32
"""So many entries of one turn do not wait for the rest of that time."""

MAX_BATCH_BYTES = 64 * 1024
MAX_BATCH_ENTRIES = 1000
"""Of one turn in one call; what is more follows at once."""

_TURNS_PER_CALL = 200
_RETRY_S = 0.25
_APPEND = Script(Path(__file__).with_name("append.lua"))

OnCommand = Callable[[str, bytes], bool]
"""Told of a command for a turn; False: the turn is not running yet, tell it again."""
OnRead = Callable[[str, float], None]
OnRepeated = Callable[[], None]


class RedisWriter:
    """The holder of a log that other processes read: memory first, Redis behind."""

    __slots__ = (
        "_logs",
        "_memory",
        "_outbox",
        "asks_who_reads",
        "epoch",
        "flushed",
        "is_closed",
        "is_listed",
        "is_lost",
        "keys",
        "log",
        "on_lost",
    )

    def __init__(
        self,
        log: MemoryLog,
        logs: MemoryEventLog,
        outbox: "Outbox",
        *,
        epoch: int,
        on_lost: Callable[[], None],
    ) -> None:
        self.log = log
        self.epoch = epoch
        self.keys = tuple(of(log.turn_id) for of in (lease_of, log_of, commands_of, readers_of))
        self._logs = logs
        self._memory = logs.hold(log, epoch)
        self._outbox = outbox
        self.on_lost = on_lost
        self.flushed = log.last_seq
        self.asks_who_reads = True
        self.is_listed = False
        self.is_closed = False
        self.is_lost = False

    @property
    def cursor(self) -> Cursor:
        """Epoch held, and the last seq given out."""
        return self._memory.cursor

    def holds(self, cursor: Cursor) -> bool:
        """Whether the cursor's entry is in the log, and was written in the cursor's epoch."""
        return self.log.holds(cursor)

    def append(self, event: Event) -> int:
        """Number the event, show it here, and note it for the others."""
        seq = self._memory.append(event)
        self._outbox.note(self, seq - self.flushed)
        return seq

    def close(self) -> None:
        """Let the log expire here; what is not sent yet still is."""
        self.is_closed = True
        self._memory.close()
        self._outbox.note(self, FLUSH_ENTRIES)

    def abandon(self) -> None:
        """Leave the log to whoever has it now; readers here are sent there."""
        self._outbox.drop(self.log.turn_id)
        self._logs.forget(self.log.turn_id)
        self.log.abandon()

    @property
    def is_done(self) -> bool:
        """Whether nothing remains to be sent, ever."""
        return self.is_closed and self.flushed >= self.log.last_seq


class Outbox:
    """Sends what turns of this process have written, and holds their leases.

    Args:
        connection: To Redis.
        worker_id: Whose leases they are.
        keep_s: How long logs stay in Redis after their last entry.
        on_command: Told of commands that other processes left for turns held here.
        on_read: Told for how many seconds yet turns held here are known to be read elsewhere.
        on_repeated: Told of entries that Redis had already, as its answer had been lost.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        worker_id: str,
        keep_s: float,
        on_command: OnCommand,
        on_read: OnRead,
        on_repeated: OnRepeated,
    ) -> None:
        self._connection = connection
        self._worker_id = worker_id
        self._keep_ms = kept_ms(keep_s)
        self._on_command = on_command
        self._on_read = on_read
        self._on_repeated = on_repeated
        self._held: dict[str, RedisWriter] = {}
        self._dirty: dict[RedisWriter, None] = {}
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._unlisted: set[str] = set()
        self._obeyed: list[tuple[str, bytes]] = []
        self.is_down = False

    def hold(self, writer: RedisWriter) -> None:
        """Keep a turn's lease from now on, until its log is closed and sent."""
        self._held[writer.log.turn_id] = writer

    def holds(self, turn_id: str) -> bool:
        """Whether a turn's lease is kept here."""
        return turn_id in self._held

    def note(self, writer: RedisWriter, waiting: int) -> None:
        """Note that a turn has entries to send; its first ones go at once."""
        if writer.is_lost:
            return
        self._dirty[writer] = None
        if waiting >= FLUSH_ENTRIES or writer.flushed == 0:
            self._due.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self._fire)

    def look(self, turn_id: str) -> None:
        """Ask Redis for commands to a turn that is held here, and who reads it elsewhere."""
        if (writer := self._held.get(turn_id)) is not None:
            writer.asks_who_reads = True
            self._dirty[writer] = None
            self._due.set()

    def drop(self, turn_id: str) -> None:
        """Keep a turn's lease no longer, nor send anything of it."""
        if (writer := self._held.pop(turn_id, None)) is not None:
            writer.is_lost = True
            self._dirty.pop(writer, None)

    async def run(self) -> None:
        """Send and renew until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew)
            while True:
                await self._due.wait()
                self._due.clear()
                await self._pass_guarded()

    async def settle(self) -> None:
        """Wait until everything that was written is sent; whoever waits bounds it."""
        while any(writer.flushed < writer.log.last_seq for writer in self._held.values()):
            self._due.set()
            await anyio.sleep(FLUSH_EVERY_S / 2)

    async def _renew(self) -> None:
        while True:
            await anyio.sleep(RENEW_EVERY_S)
            self._dirty.update(dict.fromkeys(self._held.values()))
            for writer in self._held.values():
                writer.asks_who_reads = True
                writer.is_listed = False  # its place in the list is renewed, too
            if self._dirty or self._unlisted:
                self._due.set()

    def _fire(self) -> None:
        self._timer = None
        self._due.set()

    async def _pass_guarded(self) -> None:
        try:
            await self._pass()
        except StorageError as error:
            if not self.is_down:
                self.is_down = True
                log.warning("event_log.redis_lost", reason=str(error))
            await anyio.sleep(_RETRY_S)
            self._due.set()
            return
        if self.is_down:
            self.is_down = False
            log.info("event_log.redis_back")

    async def _pass(self) -> None:
        size = 1 if self._connection.is_cluster else _TURNS_PER_CALL
        for writers in _chunks(list(self._dirty), size):
            await self._send(writers)
        if self._unlisted:  # Redis was lost between a turn's last entry and its leaving the list
            await self._list((), 0)

    async def _send(self, writers: Sequence[RedisWriter]) -> None:
        keys: list[str] = []
        arguments: list[str | bytes | int] = [
            self._worker_id,
            round(LEASE_S * 1000),
            self._keep_ms,
            WAKE,
        ]
        for writer in writers:
            keys += writer.keys
            arguments += _batch(writer)
            writer.asks_who_reads = False
            # What is appended from here on is dirty anew.
            self._dirty.pop(writer, None)
        try:
            now_ms, *answers = await self._connection.run(_APPEND, keys, arguments)
        except StorageError:
            self._dirty.update(dict.fromkeys(writers))
            for writer in writers:
                writer.asks_who_reads = True
            raise
        for writer, answer in zip(writers, answers, strict=True):
            self._take_answer(writer, answer)
        await self._list(writers, now_ms)

    def _take_answer(self, writer: RedisWriter, answer: Sequence[Any]) -> None:
        status, number, read_ms, *commands = answer
        turn_id = writer.log.turn_id
        if status == b"fenced":
            log.warning("event_log.fenced", turn_id=turn_id, epoch=number)
            self.drop(turn_id)
            writer.is_lost = True
            writer.on_lost()
            return
        writer.flushed = min(number, writer.log.last_seq)
        self._take_status(writer, status)
        if read_ms >= 0:
            self._on_read(turn_id, read_ms / 1000)
        for command in commands:
            if self._on_command(turn_id, command):
                self._obeyed.append((turn_id, command))
        if writer.flushed < writer.log.last_seq:
            self.note(writer, FLUSH_ENTRIES if status == b"gap" else 0)
        elif writer.is_closed:
            self.drop(turn_id)
            self._unlisted.add(turn_id)

    def _take_status(self, writer: RedisWriter, status: bytes) -> None:
        if status == b"gap":  # Redis has lost entries, so maybe also the list of running turns
            writer.is_listed = False
        elif status == b"repeated":
            self._on_repeated()

    async def _list(self, writers: Iterable[RedisWriter], now_ms: int) -> None:
        """Keep the list that reapers look at, and strike off commands that were obeyed."""
        new = [writer for writer in writers if not writer.is_listed and not writer.is_done]
        commands: list[tuple[str | bytes | int, ...]] = []
        if new:
            until = now_ms + round(LEASE_S * 1000)
            scored = [part for writer in new for part in (until, writer.log.turn_id)]
            commands.append(("ZADD", RUNNING, *scored))
        unlisted = list(self._unlisted)
        if unlisted:
            commands.append(("ZREM", RUNNING, *unlisted))
        obeyed = list(self._obeyed)
        commands += [("LREM", commands_of(turn_id), 1, command) for turn_id, command in obeyed]
        if not commands:
            return
        async with self._connection.call() as client:
            await ask_all(client, commands)
        for writer in new:
            writer.is_listed = True
        self._unlisted.difference_update(unlisted)
        del self._obeyed[: len(obeyed)]


def kept_ms(keep_s: float) -> int:
    """Return for how many ms a turn's keys are kept: while it runs, too, so longer than a lease."""
    return round(1000 * max(keep_s, 2 * LEASE_S))


def _batch(writer: RedisWriter) -> tuple[str | int | bytes, ...]:
    """Return the arguments of one turn: what is to be appended, of one epoch, as much as fits."""
    held, start = writer.log, writer.flushed - writer.log.base
    before = held.epochs[start - 1] if start > 0 else 0
    written = held.epochs[start] if start < len(held.frames) else 0
    frames = held.frames[-1:] if start + 1 == len(held.frames) else _some(writer, start, written)
    first, last = writer.flushed + 1, writer.flushed + len(frames)
    is_last = int(writer.is_closed and last == held.last_seq)
    place = (held.turn_id, writer.epoch, held.base, written, before)
    return (*place, first, last, is_last, int(writer.asks_who_reads), b"".join(frames))


def _some(writer: RedisWriter, start: int, written: int) -> list[bytes]:
    held, size = writer.log, 0
    frames: list[bytes] = []
    # Slices: what was sent before must not be walked past again with each batch.
    some = slice(start, start + MAX_BATCH_ENTRIES)
    for frame, epoch in zip(held.frames[some], held.epochs[some], strict=True):
        size += len(frame)
        if epoch != written or (frames and size > MAX_BATCH_BYTES):
            break
        frames.append(frame)
    return frames


def _chunks(items: list[RedisWriter], size: int) -> Iterable[list[RedisWriter]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
