"""Processes that share turns, all of them in this one: what may happen to them, step by step.

The engine is real (log, leases, runner, takeovers, record, Redis); what is left out is HTTP and the
kill itself: a killed process is one whose links to Redis and to the record are cut first.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from history.errors import HistoryError
from history.model import TurnRecord, TurnStatus
from storage.redis import RedisConnection, ask
from streaming.cursor import START, Cursor
from streaming.ending import last_covered, terminal_from_record
from streaming.errors import CursorLostError, LogNotFoundError, LogUnavailableError
from streaming.event_log.base import EventReader, Wake
from streaming.event_log.redis.keys import RUNNING, lease_of
from streaming.event_log.replay import snapshot
from streaming.events import Event, TurnReset
from streaming.frames import FrameEncoder, reset_frame
from streaming.llm.base import Finish, Prompt
from streaming.turn import Cancelled
from tests.chaos.records import TERMINAL, Recorder, digest_of
from tests.streaming.event_log.workers import Worker
from tests.streaming.harness import UnreachableHistory, decode
from tests.streaming.sites import Site
from tests.support.fault_proxy import FaultProxy, running_proxy

WORDS = 40
_PACE_S = 0.004
_MAX_BYTES = 400
_AWAY_S = 0.01
CALM = ("start", "cancel", "look", "pass time", "look", "pass time")
LOSES_HISTORY = ("kill", "lose history")
LOSES_REDIS = ("kill", "part", "run out", "empty redis")
"""What may happen. Not all of it in one run: with the record and Redis gone at once, an end that
was told is known to its process only."""

_TEXTUAL = frozenset({"text.delta", "turn.reset", *TERMINAL})


class Teller:
    """A model that says the same words to everybody, and goes on exactly where it is asked to."""

    default_model = "teller"

    def __init__(self) -> None:
        self.asked = 0

    @staticmethod
    def words() -> list[str]:
        """Return what it says."""
        return [f"Word {number} of what is told. " for number in range(WORDS)]

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        self.asked += 1
        said = 0
        for word in self.words():
            said += len(word)
            if said > len(prompt.prefix):
                await anyio.sleep(_PACE_S)
                yield word
        yield Finish("stop", input_tokens=1, output_tokens=WORDS)

    async def close(self) -> None:
        """Has nothing to release."""


@dataclass(eq=False)
class Process:
    """One process that may be cut off, and killed; then another one takes its place."""

    site: Site
    history: UnreachableHistory
    redis: FaultProxy
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_parted: bool = False

    async def part(self) -> None:
        """Cut it off from Redis."""
        self.is_parted = True
        await self.redis.refuse()
        self.redis.cut()

    async def join(self) -> None:
        """Let it find Redis again."""
        self.is_parted = False
        await self.redis.heal()


class Machine:
    """Some processes, their turns and readers, and all that can be done to them.

    Args:
        port: Of Redis.
        history: What they share.
        recorder: Told of everything.
        rng: Decides.
        tasks: Where everything runs.
        links: Closes what is opened on the way; left before `tasks`.
    """

    def __init__(
        self,
        port: int,
        history: UnreachableHistory,
        recorder: Recorder,
        *,
        rng: Random,
        tasks: anyio.abc.TaskGroup,
        links: AsyncExitStack,
    ) -> None:
        self._port = port
        self._redis = RedisConnection(f"redis://127.0.0.1:{port}", timeout_s=5.0)
        self._links = links
        self._links.push_async_callback(self._redis.close)
        self._record = history
        self._recorder = recorder
        self._rng = rng
        self._tasks = tasks
        self._made = 0
        self._read = 0
        self._reading = 0
        self.teller = Teller()
        self.processes: list[Process] = []
        self.turns: list[str] = []

    async def do(self, step: str) -> None:
        """Do one step, named as in `CALM`, `LOSES_HISTORY` or `LOSES_REDIS`."""
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "start": self.start,
            "cancel": self._cancel,
            "look": self._look_somewhere,
            "pass time": self._pass_time,
            "kill": self._kill,
            "lose history": self._lose_history,
            "part": self._part,
            "run out": self._run_some_out,
            "empty redis": self._empty_redis,
        }
        await steps[step]()

    async def add_process(self) -> Process:
        """Start one more process."""
        self._made += 1
        history = UnreachableHistory(self._record)
        redis = await self._links.enter_async_context(running_proxy(self._port))
        worker = Worker(f"redis://127.0.0.1:{redis.port}", f"process {self._made}")
        self._links.push_async_callback(worker.connection.close)
        process = Process(Site(worker, history, self.teller), history, redis)
        self._tasks.start_soon(process.site.worker.live)
        await self._tasks.start(self._run, process)
        self.processes.append(process)
        return process

    async def _run(self, process: Process, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with process.scope:
            await process.site.run(task_status=task_status)

    async def start(self) -> None:
        """Start a turn, with readers on some processes."""
        process = self._any()
        try:
            turn = await process.site.start(started_at=datetime.now(UTC))
        except HistoryError:
            return
        turn_id = turn.spec.turn_id
        self.turns.append(turn_id)
        whole = "".join(Teller.words())
        self._recorder.add("owner", "post", turn=turn_id, key=turn_id, text=whole, status=201)
        self._recorder.add("store", "message", turn=turn_id, key=turn_id)
        for _ in range(self._rng.randint(1, 2)):
            self._read += 1
            self._tasks.start_soon(self._follow, turn_id, f"reader {self._read}")

    async def _kill(self) -> None:
        """Kill a process; another one comes in its place.

        Not one that has lost the record: an end that it told as not stored is gone with it.
        """
        process = self._any()
        if process.history.turns.fault is not None or process.site.keeper.unstored_count:
            return
        self._fault("kill")
        self.processes.remove(process)
        process.history.cut()
        await process.part()
        process.site.worker.pause()
        process.scope.cancel()
        await self.add_process()

    async def _part(self) -> None:
        """Part a process from Redis, or let it find it again."""
        process = self._any()
        self._fault("part")
        await (process.join() if process.is_parted else process.part())

    async def _lose_history(self) -> None:
        """Part a process from the record, or let it find it again."""
        process = self._any()
        self._fault("history")
        if process.history.turns.fault is None:
            process.history.cut()
        else:
            process.history.mend()

    async def _empty_redis(self) -> None:
        """Let Redis lose everything."""
        self._fault("empty")
        await self._ask("FLUSHALL")

    async def _run_some_out(self) -> None:
        """Let a lease run out, whoever has it."""
        if self.turns:
            self._fault("run out")
            await self._run_out(self._rng.choice(self.turns))

    async def _look_somewhere(self) -> None:
        """Let a process look for turns to take over."""
        await self._look(self._any())

    async def _cancel(self) -> None:
        """Let an owner stop a turn, where it runs; rarely."""
        if self.turns and self._rng.random() < 0.2:
            turn_id = self._rng.choice(self.turns)
            for process in self.processes:
                await process.site.runner.cancel(turn_id, Cancelled("user"), wait_s=0)

    async def _pass_time(self) -> None:
        """Let things happen."""
        await anyio.sleep(self._rng.uniform(0.0, 0.05))

    async def heal(self) -> None:
        """Mend everything, and wait until every turn has ended and every reader knows."""
        for process in self.processes:
            process.history.mend()
            await process.join()
        while self._reading or await self._is_any_running():
            for turn_id in self.turns:
                if not any(each.site.runner.find(turn_id) for each in self.processes):
                    await self._run_out(turn_id)
            for process in self.processes:
                await self._look(process)
            await anyio.sleep(_AWAY_S)

    async def record_stored(self) -> None:
        """Note what is stored, and how often the model was asked."""
        for turn_id in self.turns:
            record = await self._record.turns.find(turn_id)
            self._recorder.add(
                "store",
                "turn",
                turn=turn_id,
                name=record.status.value,
                text=record.text,
                epoch=record.epoch,
                seq=record.last_seq,
            )
        self._recorder.add("model", "calls", seq=self.teller.asked)

    async def _is_any_running(self) -> bool:
        found = [await self._record.turns.find(turn_id) for turn_id in self.turns]
        return any(_is_running(each) for each in found)

    async def _look(self, process: Process) -> None:
        for look in (process.site.takeovers.look, process.site.takeovers.look_for_silent):
            try:
                await look()
            except (HistoryError, LogUnavailableError):
                continue

    async def _run_out(self, turn_id: str) -> None:
        if await self._ask("ZSCORE", RUNNING, turn_id) is not None:
            await self._ask("HSET", lease_of(turn_id), "until", 1)
            await self._ask("ZADD", RUNNING, 1, turn_id)

    async def _ask(self, *command: str | int) -> object:
        async with self._redis.call() as client:
            answer: object = await ask(client, *command)
        return answer

    def _any(self) -> Process:
        return self._rng.choice(self.processes)

    def _fault(self, name: str) -> None:
        self._recorder.add("machine", "fault", name=name)

    async def _follow(self, turn_id: str, name: str) -> None:
        """Read a turn to its end, now here, now there."""
        reader = _Follower(name, turn_id, self._recorder)
        self._reading += 1
        while not reader.is_ended:
            process = self._any()
            with anyio.move_on_after(self._rng.uniform(0.02, 0.3)):
                await reader.attach(process.site)
            await anyio.sleep(_AWAY_S)
        self._reading -= 1


class _Follower:
    """A reader of one turn: attaches as the server lets it, and records what it gets."""

    def __init__(self, name: str, turn_id: str, recorder: Recorder) -> None:
        self._name = name
        self._turn_id = turn_id
        self._recorder = recorder
        self._cursor = START
        self.is_ended = False

    async def attach(self, site: Site) -> None:
        """Read until sent away, or to the end."""
        log, turn_id = site.worker.log, self._turn_id
        try:
            record = await site.history.turns.find(turn_id)
            if site.runner.find(turn_id) is None:
                await log.reach(turn_id, self._cursor, is_running=_is_running(record))
        except (HistoryError, LogNotFoundError, LogUnavailableError):
            record = await site.history.turns.find(turn_id)
        self._opened()
        try:
            reader = log.attach(turn_id, self._cursor)
        except LogNotFoundError:
            self._take_record(record)
            return
        except CursorLostError:
            if not _is_running(record):
                self._take_record(record)
                return
            if (found := self._reset(site)) is None:
                return
            reader = found
        try:
            await self._read(reader)
        finally:
            reader.close()

    def _opened(self) -> None:
        epoch, seq = (self._cursor.epoch, self._cursor.seq) if self._cursor.seq else (0, 0)
        details = {"turn": self._turn_id, "epoch": epoch, "seq": seq, "status": 200}
        self._recorder.add(self._name, "open", **details)  # type: ignore[arg-type]  # of an open

    def _reset(self, site: Site) -> EventReader | None:
        """Begin anew with what the process has, as the server does."""
        held = site.worker.log.find(self._turn_id)
        if held is None or (found := snapshot(held)) is None:
            return None
        covers, state = found
        live = site.runner.find(self._turn_id)
        text = state.draft.text if live is None else live.draft.text
        self._take(reset_frame(self._turn_id, covers, TurnReset(text, "cursor_lost", 0, 0)))
        return site.worker.log.attach(self._turn_id, covers)

    def _take_record(self, record: TurnRecord) -> None:
        """Take the rest from the record, where it has ended."""
        if _is_running(record):
            return
        covers, end = last_covered(record), Cursor(record.epoch, record.last_seq)
        if self._cursor != end:
            reset = TurnReset(record.text, "log_expired", 0, 0)
            self._take(reset_frame(self._turn_id, covers, reset))
            terminal: Event = terminal_from_record(record)
            self._take(FrameEncoder(self._turn_id).encode(end.epoch, end.seq, terminal))
        self.is_ended = True

    async def _read(self, reader: EventReader) -> None:
        while not reader.at_end:
            batch = reader.take(_MAX_BYTES)
            self._take(batch)
            if batch:
                await checkpoint()
            elif await reader.wait() is Wake.LEAVE:
                return
        self.is_ended = True

    def _take(self, frames: bytes) -> None:
        for event in decode(frames):
            epoch, _, seq = event.id.rpartition(".")[2].partition("-")
            self._cursor = Cursor(int(epoch), int(seq))
            data = event.json()
            self._recorder.add(
                self._name,
                "event",
                turn=self._turn_id,
                epoch=int(epoch),
                seq=int(seq),
                name=event.event,
                text=data["text"] if event.event in _TEXTUAL else "",
                digest=digest_of(event.event, event.data),
            )


def _is_running(record: TurnRecord) -> bool:
    return record.status is TurnStatus.RUNNING
