"""`python -m loadtests.bench.open_streams`: 10,000 open streams, and 60 turns a second beside them.

Turns whose model says a word every few seconds are read by several readers each; meanwhile other
turns are started, read and ended. Every text is compared with the model's, and every reader looks
for gaps and repetitions. One embedded server, the simulator and this client share all cores. Takes
less than five minutes.
"""

import argparse
import resource
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import anyio.abc
import msgspec

from loadtests.bench import command
from loadtests.bench.cluster import ANYWHERE, chatstream, running_model
from loadtests.bench.correctness import deltas
from loadtests.bench.exchange import Exchange, connect, fetch, post
from loadtests.bench.figures import Row, spread
from loadtests.bench.measure import BenchError, ready
from loadtests.bench.processes import Child, free_port, running
from loadtests.bench.readers import TURNS, Guest, Reader, new_guest, turn_of
from loadtests.bench.targets import Setup, chat_completion
from loadtests.llm_simulator.prose import answer_text

TURN_KB, READER_KB = 50.0, 20.0

_CREATED, _OK = 201, 200
_GUESTS = 50
_ASKING = 8  # at once
_OPENED_PER_S = 250
_WARM_UP_TURNS = 20
_SHORT_TOKENS, _TTFT_S = 20, 0.05
_SHORT = f"sim:ttft={_TTFT_S:g},rate=40,tokens={_SHORT_TOKENS}"
_SHORT_S = 30.0
_SPARE_FILES = 500
_SETTLE_S = 5.0
_ALL_S = 420.0


@dataclass(frozen=True, slots=True)
class Plan:
    """So many streams, of so many turns; each turn says `tokens`, one every `gap_s` seconds."""

    streams: int = 10_000
    turns: int = 2_000
    per_s: float = 60.0
    seconds: float = 60.0
    tokens: int = 42
    gap_s: float = 4.0

    @property
    def readers_each(self) -> int:
        """Of a turn."""
        return max(1, self.streams // self.turns)

    @property
    def model(self) -> str:
        """The simulator's model of the slow turns."""
        return f"sim:ttft={_TTFT_S:g},rate={1 / self.gap_s:g},tokens={self.tokens}"

    @property
    def settings(self) -> dict[str, str]:
        """What the server must allow."""
        return {
            "MAX_LIVE_TURNS": str(self.turns + 1_000),
            "MAX_READERS": str(self.streams + 2_000),
            "TURN_TIMEOUT_S": str(_ALL_S),
            "RATE_LIMIT_ENABLED": "false",
        }


@dataclass(slots=True)
class Seen:
    """What a run came to. `faults`: what was lost, doubled, refused or another text, in words."""

    open_at_once: int = 0
    started: int = 0
    whole: int = 0
    resets: int = 0
    turn_kb: float = 0.0
    reader_kb: float = 0.0
    server_cores: float = 0.0
    model_s: list[float] = field(default_factory=list)
    alone_s: list[float] = field(default_factory=list)
    ttft_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def rows(self, plan: Plan) -> list[Row]:
        """Return the figures."""
        streams, wanted = plan.turns * plan.readers_each, round(plan.per_s * plan.seconds)
        return [
            Row(
                "streams open at once",
                f"{self.open_at_once:,}, of {plan.turns:,} turns",
                f"{streams:,}",
                self.open_at_once >= streams,
            ),
            Row(
                f"turns started beside them, {plan.per_s:g}/s",
                f"{self.started:,}",
                f">= {wanted:,}, less a tenth",
                self.started >= 0.9 * wanted,
            ),
            Row(
                "errors, tokens lost or doubled, other texts",
                str(len(self.faults)),
                "0",
                not self.faults,
            ),
            Row("texts whole", f"{self.whole:,} of {streams + self.started:,}"),
            Row("resets", str(self.resets), "0", not self.resets),
            Row("memory of a live turn with its reader", f"{self.turn_kb:.0f} KB"),
            Row("memory of a further reader", f"{self.reader_kb:.0f} KB"),
            Row("first token: of the model, asked directly", spread(self.model_s)),
            Row("first token, nothing else open", spread(self.alone_s)),
            Row("first token, all of it open", spread(self.ttft_s)),
            Row("cores that the server used meanwhile", f"{self.server_cores:.2f}"),
        ]


async def measure(plan: Plan) -> Seen:
    """Open all streams, start the others, read everything to its end.

    Raises:
        BenchError: The server or a turn does not start, or too few files may be open here.
        TimeoutError: It does not come to an end.
    """
    _allow_files(plan)
    with anyio.fail_after(_ALL_S):
        async with _serving(plan) as (server, port, model_port):
            crowd = _Crowd(plan, server, port, model_port)
            await crowd.run()
    return crowd.seen


def _allow_files(plan: Plan) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The server has a connection to the model for each turn beside those of its readers.
    needed = plan.streams + plan.turns + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchError(f"{needed} files must be open, and {hard} may be: raise `ulimit -n`")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))  # children have it too


@asynccontextmanager
async def _serving(plan: Plan) -> AsyncGenerator[tuple[Child, int, int], None]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        async with running_model(folder, ANYWHERE.load) as (_, model_port):
            own = chatstream(Setup(port, model_port, plan.model, folder), **plan.settings)
            async with running(own, ANYWHERE.server, folder / "server.log") as server:
                await ready(server, f"http://127.0.0.1:{port}/health/ready")
                await _add_chatbot(port, own.environment["ADMIN_TOKEN"])
                yield server, port, model_port


async def _add_chatbot(port: int, token: str) -> None:
    """Make a chatbot for the short turns, whose model is another one."""
    body = msgspec.json.encode({"name": "Short", "instructions": "Be short.", "model": _SHORT})
    headers = {"authorization": f"Bearer {token}"}
    asked = post("/api/v1/chatbots/short", headers, body).replace(b"POST", b"PUT", 1)
    answer = await fetch(port, asked)
    if answer is None or answer.status != _CREATED:
        raise BenchError(f"the chatbot was not made: {answer}")


class _Crowd:
    def __init__(self, plan: Plan, server: Child, port: int, model_port: int) -> None:
        self.seen = Seen()
        self._plan = plan
        self._server = server
        self._port = port
        self._model_port = model_port
        self._guests: list[Guest] = []
        self._readers: list[tuple[Reader, str]] = []

    async def run(self) -> None:
        """Do all of it."""
        plan, seen = self._plan, self.seen
        self._guests = [await new_guest(self._port) for _ in range(_GUESTS)]
        await self._start_short(_WARM_UP_TURNS, seen.ttft_s)  # the first ones import and connect
        await self._paced(round(plan.per_s * _SETTLE_S), self._ask_model)
        await self._start_short(round(plan.per_s * _SETTLE_S), seen.alone_s)
        seen.ttft_s.clear()
        seen.started = seen.whole = 0
        async with anyio.create_task_group() as tasks:
            empty = self._server.resident_bytes()
            await self._open_turns(tasks)
            one_each = self._server.resident_bytes()
            seen.turn_kb = (one_each - empty) / plan.turns / 1024
            await self._open_readers(tasks)
            further = plan.turns * (plan.readers_each - 1)
            seen.reader_kb = (self._server.resident_bytes() - one_each) / max(1, further) / 1024
            _say(f"{len(self._readers)} streams are open")
            began, used_s = perf_counter(), self._server.cpu_s()
            await self._start_short(round(plan.per_s * plan.seconds), seen.ttft_s)
            seen.server_cores = (self._server.cpu_s() - used_s) / (perf_counter() - began)
            seen.open_at_once = sum(not reader.end for reader, _ in self._readers)
            _say(f"{seen.open_at_once} are still open; they are read to their ends")
        self._judge()

    async def _open_turns(self, tasks: anyio.abc.TaskGroup) -> None:
        numbers = iter(range(self._plan.turns))

        async def some() -> None:
            for number in numbers:
                guest = self._guests[number % _GUESTS]
                message = f"Tell me slowly about streaming, the {number}. time."
                answer = await guest.ask(self._port, message, f"slow-{number}")
                if answer is None or answer.status != _CREATED:
                    raise BenchError(f"turn {number} was not started: {answer}")
                self._read(tasks, Reader(guest, turn_of(answer)), message)

        async with anyio.create_task_group() as asking:
            for _ in range(_ASKING):
                asking.start_soon(some)
        await self._until_read()

    async def _open_readers(self, tasks: anyio.abc.TaskGroup) -> None:
        begun = perf_counter()
        first = list(self._readers)
        further = [pair for pair in first for _ in range(self._plan.readers_each - 1)]
        for number, (reader, message) in enumerate(further):
            await anyio.sleep(max(0.0, begun + number / _OPENED_PER_S - perf_counter()))
            self._read(tasks, Reader(reader.guest, reader.turn_id), message)
        await self._until_read()

    def _read(self, tasks: anyio.abc.TaskGroup, reader: Reader, message: str) -> None:
        self._readers.append((reader, message))
        tasks.start_soon(self._read_once, reader)

    async def _read_once(self, reader: Reader) -> None:
        closed = await reader.read(self._port)
        if closed != "end":
            self.seen.faults.append(f"{reader.turn_id}: the stream ended with {closed}")

    async def _until_read(self) -> None:
        """Wait until every reader has had something, then for the server to be calm."""
        while any(not reader.first_after_s for reader, _ in self._readers):  # noqa: ASYNC110
            await anyio.sleep(0.1)
        await anyio.sleep(_SETTLE_S)

    async def _start_short(self, count: int, ttft_s: list[float]) -> None:
        """Start turns at an even pace, and read each to its end."""
        await self._paced(count, partial(self._short, ttft_s))

    async def _paced(self, count: int, do: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        begun = perf_counter()
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                await anyio.sleep(max(0.0, begun + number / self._plan.per_s - perf_counter()))
                tasks.start_soon(do, number)

    async def _ask_model(self, _number: int) -> None:
        answer = await _timed(self._model_port, chat_completion(_SHORT), b'"content":"')
        if answer.first_s is not None:
            self.seen.model_s.append(answer.first_s)

    async def _short(self, ttft_s: list[float], number: int) -> None:
        message = f"Tell me quickly about streaming, the {number}. time."
        body = msgspec.json.encode({"message": message, "chatbot_id": "short"})
        guest = self._guests[number % _GUESTS]
        asked = post(TURNS, {"cookie": guest.cookie, "accept": "text/event-stream"}, body)
        answer = await _timed(self._port, asked, b"event: text.delta")
        self.seen.started += 1
        whole = answer_text(message, tokens=_SHORT_TOKENS)
        if answer.first_s is not None and "".join(deltas(answer.body)) == whole:
            self.seen.whole += 1
            ttft_s.append(answer.first_s)
        else:
            self.seen.faults.append(f"short turn {number}: status {answer.status}, not its text")

    def _judge(self) -> None:
        for reader, message in self._readers:
            self.seen.resets += reader.resets
            whole = answer_text(message, tokens=self._plan.tokens)
            if reader.faults:
                self.seen.faults.append(reader.faults[0])
            elif (reader.end, reader.text) != ("turn.completed", whole):
                told = f"{reader.end or 'no end'}, the text is not the model's"
                self.seen.faults.append(f"{reader.turn_id}: {told}")
            else:
                self.seen.whole += 1


@dataclass(frozen=True, slots=True)
class _Answer:
    """`first_s`: from connecting to the first piece of text; None where not all has come."""

    status: int
    body: bytes
    first_s: float | None


async def _timed(port: int, asked: bytes, mark: bytes) -> _Answer:
    """Ask and read all of the answer; its first piece with the mark tells the time."""
    pieces: list[bytes] = []
    first_s: list[float] = []
    began = perf_counter()

    def take(piece: bytes) -> None:
        if not first_s and mark in piece:
            first_s.append(perf_counter() - began)
        pieces.append(piece)

    exchange = Exchange(asked, take)
    try:
        with anyio.move_on_after(_SHORT_S):
            if await connect(port, exchange):
                await exchange.ended
    finally:
        exchange.cut()
    is_whole = exchange.is_complete and bool(first_s)
    return _Answer(exchange.status, b"".join(pieces), first_s[0] if is_whole else None)


def _say(told: str) -> None:
    print(told, file=sys.stderr)


async def _rows(told: argparse.Namespace) -> list[Row]:
    plan = Plan(told.streams, told.turns, told.per_s, told.seconds, told.tokens, told.gap)
    seen = await measure(plan)
    for fault in seen.faults[:10]:
        _say(fault)
    rows = seen.rows(plan)
    if told.strict:
        rows += [
            Row(
                "a live turn", f"{seen.turn_kb:.0f} KB", f"<= {TURN_KB:g}", seen.turn_kb <= TURN_KB
            ),
            Row(
                "a further reader",
                f"{seen.reader_kb:.0f} KB",
                f"<= {READER_KB:g}",
                seen.reader_kb <= READER_KB,
            ),
        ]
    return rows


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = command.parser("loadtests.bench.open_streams", __doc__)
    parser.add_argument("--streams", type=int, default=plan.streams, help="(%(default)s)")
    parser.add_argument("--turns", type=int, default=plan.turns, help="of them (%(default)s)")
    parser.add_argument("--per-s", type=float, default=plan.per_s, help="starts (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=plan.seconds, help="of those (%(default)s)"
    )
    parser.add_argument("--tokens", type=int, default=plan.tokens, help="slow ones (%(default)s)")
    parser.add_argument("--gap", type=float, default=plan.gap_s, help="between them (%(default)s)")
    parser.add_argument(
        "--strict", action="store_true", help="the bounds of memory decide about the status too"
    )
    return parser


if __name__ == "__main__":
    sys.exit(command.run("Many open streams, one worker", _parser(), _rows))
