"""`python -m loadtests.bench.flat_cost`: what a token and a page cost does not grow.

Counted, not timed: bytecode for a token early and late in a long answer, beside turns that others
read, and in a young process and an old one. Pages of a conversation cost C code as well: of these
the CPU is compared, in alternate blocks. Takes two to three minutes.
"""

import argparse
import signal
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import msgspec

from loadtests.bench import command
from loadtests.bench.cluster import ANYWHERE, chatstream, running_model
from loadtests.bench.exchange import fetch, get, post
from loadtests.bench.figures import Row
from loadtests.bench.instructions import CountedServer, counted_server
from loadtests.bench.measure import BenchError, ready
from loadtests.bench.processes import Child, free_port, running
from loadtests.bench.readers import TURNS, Guest, new_guest
from loadtests.bench.targets import Setup

PARTS = ("length", "readers", "age", "pages")
SAME = 1.05
"""By so much two counts of the same thing may differ: what is done by the clock is in them."""
SAME_CPU = 1.25

_EARLY, _LATE = (1, 1_000), (9_000, 10_000)
_READERS = 200
_AGE_TURNS, _AT_ONCE = 5_000, 50
_MESSAGES, _LONG_CONVERSATION = 100, 100_000
_PAGE, _BLOCK, _BLOCKS = 50, 50, 9
_OK = 200
_STOP_S = 30.0


async def measure(parts: Sequence[str]) -> list[Row]:
    """Count what is wanted.

    Raises:
        BenchError, ConnectionError, TimeoutError: A server did not start, or did not answer.
    """
    rows: list[Row] = []
    if {"length", "readers", "age"} & {*parts}:
        async with counted_server() as counted:
            if "length" in parts:
                rows += await _length(counted)
            if "readers" in parts:
                rows += await _readers(counted)
            if "age" in parts:
                rows += await _age(counted)
    if "pages" in parts:
        rows += await _pages()
    return rows


async def _length(counted: CountedServer) -> list[Row]:
    _say("tokens of a long answer ...")
    early, late = [await counted.per_token_between(*which) for which in (_EARLY, _LATE)]
    return _grown("tokens 9,000 to 10,000 of an answer, beside 1 to 1,000", early.total, late.total)


async def _readers(counted: CountedServer) -> list[Row]:
    _say("beside other turns ...")
    alone = await counted.per_token()
    async with counted.model.holding(counted.port, _READERS):
        beside = await counted.per_token()
    return _grown(f"beside {_READERS} other turns with a reader each", alone.total, beside.total)


async def _age(counted: CountedServer) -> list[Row]:
    _say(f"after {_AGE_TURNS:,} turns ...")
    young = await counted.per_token()
    for _ in range(_AGE_TURNS // _AT_ONCE):
        await counted.model.run(counted.port, turns=_AT_ONCE, tokens=2)
    old = await counted.per_token()
    return _grown(f"after {_AGE_TURNS:,} turns", young.total, old.total)


def _grown(what: str, before: float, after: float) -> list[Row]:
    ratio = after / before
    seen = f"{before:,.0f} to {after:,.0f} instructions a token, x {ratio:.3f}"
    return [Row(what, seen, f"<= x {SAME}", ratio <= SAME)]


async def _pages() -> list[Row]:
    _say("pages of conversations ...")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with _serving(folder) as (_, port):
            guest = await new_guest(port)
            short, long = [await _conversation(guest, port, which) for which in ("one", "two")]
        lengthen(folder / "chat.db", long, _LONG_CONVERSATION)
        async with _serving(folder) as (server, port):
            pages = _Pages(server, port, guest)
            return [
                *await pages.compare("newest page", (short, 0), (long, 0)),
                *await pages.compare(
                    "page in its middle",
                    (short, _MESSAGES // 2 + 1),
                    (long, _LONG_CONVERSATION // 2 + 1),
                ),
            ]


async def _conversation(guest: Guest, port: int, which: str) -> str:
    """Have a conversation of a hundred messages; return its id."""
    conversation: str | None = None
    for number in range(_MESSAGES // 2):
        body: dict[str, object] = {"message": f"Conversation {which}, question {number}."}
        if conversation is not None:
            body["conversation_id"] = conversation
        headers = {"cookie": guest.cookie, "accept": "text/event-stream"}
        answer = await fetch(port, post(TURNS, headers, msgspec.json.encode(body)))
        if answer is None or answer.status != _OK:
            raise BenchError(f"question {number} is answered with {answer and answer.status}")
        started = answer.body.partition(b"data: ")[2].partition(b"\n")[0]
        conversation = str(msgspec.json.decode(started)["conversation_id"])
    return conversation or ""


def lengthen(file: Path, conversation: str, messages: int) -> None:
    """Repeat a conversation's messages in a server's SQLite file until there are so many.

    A hundred thousand messages by questions and answers would take most of an hour.
    """
    with closing(sqlite3.connect(file)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(messages)")]
        values = {"message_id": "message_id || '-' || i", "seq": "seq + i * ?"}
        taken = ", ".join(values.get(column, column) for column in columns)
        connection.execute(
            "WITH RECURSIVE times(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM times WHERE i < ?)"  # noqa: S608  # names of columns
            f" INSERT INTO messages SELECT {taken} FROM messages, times WHERE conversation_id = ?",
            (messages // _MESSAGES - 1, _MESSAGES, conversation),
        )
        connection.execute(
            "UPDATE conversations SET last_seq = ? WHERE conversation_id = ?",
            (messages, conversation),
        )
        connection.commit()


@dataclass(frozen=True, slots=True)
class _Pages:
    server: Child
    port: int
    guest: Guest

    async def compare(self, what: str, short: tuple[str, int], long: tuple[str, int]) -> list[Row]:
        """Compare the CPU of pages of two conversations, read in alternate blocks."""
        await self._block(short)
        await self._block(long)
        pairs = [(await self._block(short), await self._block(long)) for _ in range(_BLOCKS)]
        few, many = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = many / few
        seen = f"{few:.2f} to {many:.2f} ms of CPU, x {ratio:.2f}"
        name = f"{what}: {_MESSAGES} messages, {_LONG_CONVERSATION:,}"
        return [Row(name, seen, f"<= x {SAME_CPU}", ratio <= SAME_CPU)]

    async def _block(self, page: tuple[str, int]) -> float:
        """Return the milliseconds of CPU for a page, of many."""
        conversation, before = page
        path = f"/api/v1/conversations/{conversation}/messages?limit={_PAGE}"
        asked = get(path + (f"&before={before}" if before else ""), {"cookie": self.guest.cookie})
        used_s = self.server.cpu_s()
        for _ in range(_BLOCK):
            answer = await fetch(self.port, asked)
            if answer is None or answer.status != _OK:
                raise BenchError(f"a page is answered with {answer and answer.status}")
            if len(msgspec.json.decode(answer.body)["messages"]) != _PAGE:
                raise BenchError("a page is not full")
        return (self.server.cpu_s() - used_s) / _BLOCK * 1e3


@asynccontextmanager
async def _serving(folder: Path) -> AsyncGenerator[tuple[Child, int], None]:
    port = free_port()
    async with running_model(folder, ANYWHERE.load) as (_, model_port):
        setup = Setup(port, model_port, "sim:ttft=0,rate=0,tokens=20", folder)
        async with running(chatstream(setup), ANYWHERE.server, folder / "server.log") as server:
            await ready(server, f"http://127.0.0.1:{port}/health/ready")
            yield server, port
            server.signal(signal.SIGTERM)
            with anyio.fail_after(_STOP_S):
                await server.status()


def _say(told: str) -> None:
    print(told, file=sys.stderr)


async def _rows(told: argparse.Namespace) -> list[Row]:
    return await measure(told.parts)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("loadtests.bench.flat_cost", __doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    return parser


if __name__ == "__main__":
    sys.exit(command.run("What does not grow", _parser(), _rows))
