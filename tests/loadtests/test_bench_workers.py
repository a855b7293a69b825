"""The benchmark of many workers: its commands run, and its readers notice what is wrong."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from loadtests.bench import open_streams
from loadtests.bench.cluster import worst_lag
from loadtests.bench.exchange import fetch, get
from loadtests.bench.figures import Row, quantile, spread, table
from loadtests.bench.readers import Guest, Reader
from tests.support.simulator import running_simulator

_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_END = 'id: t.1-4\nevent: turn.completed\ndata: {"text":"One two"}\n\n'


def entry(seq: int, name: str, data: str) -> str:
    """Return a frame of a turn's log."""
    return f"id: t.1-{seq}\nevent: {name}\ndata: {data}\n\n"


@asynccontextmanager
async def served(*bodies: str) -> AsyncGenerator[tuple[int, list[str]], None]:
    """Answer one connection after another with these event streams; yield the port and requests."""
    requests: list[str] = []
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)

    async def answer(stream: SocketStream) -> None:
        async with stream:
            requests.append((await stream.receive()).decode())
            await stream.send((_HEAD + bodies[len(requests) - 1]).encode())

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        yield int(listener.extra_attributes[SocketAttribute.local_port]()), requests
        tasks.cancel_scope.cancel()


async def read(*bodies: str) -> tuple[Reader, list[str], list[str]]:
    """Read a turn over so many connections."""
    reader = Reader(Guest("chat_guest=x"), "t")
    with anyio.fail_after(5):
        async with served(*bodies) as (port, requests):
            closes = [str(await reader.read(port)) for _ in bodies]
    return reader, closes, requests


async def test_a_reader_goes_on_from_its_cursor_and_joins_what_it_gets() -> None:
    first = entry(1, "turn.started", "{}") + entry(2, "text.delta", '{"text":"One"}') + "id: t.1"
    bye = 'retry: 500\nevent: bye\ndata: {"reason":"restarting"}\n\n'
    rest = entry(3, "text.delta", '{"text":" two"}') + _END

    reader, closes, requests = await read(first, bye, rest)

    assert closes == ["cut", "bye", "end"]
    assert (reader.text, reader.end, reader.deltas) == ("One two", "turn.completed", 2)
    assert reader.faults == []
    assert "last-event-id" not in requests[0]
    assert "last-event-id: t.1-2\r\n" in requests[1]
    assert "last-event-id: t.1-2\r\n" in requests[2]
    assert len(reader.first_after_s) == 2


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (entry(1, "turn.started", "{}") + entry(3, "text.delta", '{"text":"x"}'), "3 came after 1"),
        (entry(1, "turn.started", "{}") * 2, "1 came after 1"),
        (_END.replace("1-4", "1-1"), "the text of the end is another one"),
    ],
    ids=["gap", "repetition", "end"],
)
async def test_a_reader_notes_a_gap_a_repetition_and_an_end_with_another_text(
    lines: str, fault: str
) -> None:
    reader, _, _ = await read(lines)

    assert [told for told in reader.faults if fault in told]


async def test_a_reset_replaces_what_a_reader_shows() -> None:
    reset = entry(1, "turn.started", "{}") + entry(3, "turn.reset", '{"text":"One two"}') + _END

    reader, _, _ = await read(reset)

    assert (reader.text, reader.resets, reader.faults) == ("One two", 1, [])


async def test_a_request_says_whether_anybody_listens() -> None:
    async with running_simulator() as simulator:
        answer = await fetch(simulator.port, get("/healthz", {}))
    refused = await fetch(simulator.port, get("/healthz", {}))

    assert answer is not None
    assert answer.status == 200
    assert refused is None


def test_the_worst_lag_is_the_bound_that_nothing_new_is_beyond() -> None:
    before, after = {0.01: 5.0, 0.1: 6.0, 1.0: 6.0}, {0.01: 9.0, 0.1: 11.0, 1.0: 11.0}

    assert worst_lag(before, after) == 0.1
    assert worst_lag(before, before) == 0.01


def test_a_table_names_what_was_held_and_what_was_missed() -> None:
    rows = [Row("p99", "0.5 s", "< 1 s", True), Row("failed", "3", "0", False), Row("calls", "5")]

    lines = [" ".join(line.split()) for line in table("Storm", rows).splitlines()]

    assert lines == ["Storm", "p99 0.5 s < 1 s held", "failed 3 0 MISSED", "calls 5"]
    assert spread([0.001] * 10) == "p50 1.0, p99 1.0, max 1.0 ms"
    assert quantile([], 99) == 0.0


def test_one_other_text_among_open_streams_is_a_promise_missed() -> None:
    seen = open_streams.Seen(open_at_once=4, started=60, faults=["turn_1: entry 3 came after 1"])

    rows = {row.name: row.is_held for row in seen.rows(open_streams.Plan(4, 2, seconds=1))}

    assert rows["streams open at once"] is True
    assert rows["errors, tokens lost or doubled, other texts"] is False


@pytest.mark.services
@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="CPU is read from /proc")
@pytest.mark.parametrize(
    ("module", "options", "shown"),
    [
        ("storm", "--readers 6 --storms 1 --rate 20 --tokens 240", "texts not whole, resets 0, 0"),
        ("rolling", "--rounds 1 --starts-per-s 2 --tokens 30 --drain 2", "failed requests 0"),
        ("stalled_redis", "--rounds 1 --requests 10", "TTFT of 10 requests without Redis"),
        ("sign_ins", "--people 4", "signed in 4 of 4"),
        ("redis_cost", "--rounds 1 --window 0.5 --streams 5", "redis-server itself"),
        ("scaling", "--rounds 1 --window 0.5 --streams 5 --too-many 0", "two can do, by CPU x"),
        ("flat_cost", "--parts readers pages", "page in its middle: 100 messages, 100,000"),
        (
            "open_streams",
            "--streams 6 --turns 2 --per-s 5 --seconds 1 --tokens 12 --gap 2",
            "errors, tokens lost or doubled, other texts 0 0 held texts whole 11 of 11",
        ),
    ],
)
async def test_a_short_run_of_each_prints_its_figures(
    module: str, options: str, shown: str
) -> None:
    command = [sys.executable, "-m", f"loadtests.bench.{module}", *options.split()]

    with anyio.fail_after(90):
        run = await anyio.run_process(command, stderr=subprocess.STDOUT, check=False)

    printed = " ".join(run.stdout.decode().split())
    assert shown in printed
    assert "load average" in printed
