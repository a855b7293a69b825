"""The stream that a reader is sent."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import anyio
import pytest
from anyio.lowlevel import checkpoint

from streaming.cursor import START, Cursor
from streaming.event_log.base import EventReader, EventWriter, Wake
from streaming.event_log.memory import MemoryEventLog
from streaming.events import TextDelta, TurnInterrupted, TurnReset, UsageData
from streaming.frames import bye_frame, reset_frame
from streaming.sse import MAX_BATCH_BYTES, Outlet, frames
from tests.streaming.harness import WAIT_S, decode

TURN = "turn_1"
END = TurnInterrupted("m", True, "", UsageData(None, None, "unknown"), "test")
HEARTBEAT_S = 10.0


class WatchedReader:
    """A reader that remembers how often it was closed and what woke it."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self.closed = 0
        self.wakes: list[Wake] = []

    @property
    def cursor(self) -> Cursor:
        return self._reader.cursor

    @property
    def at_end(self) -> bool:
        return self._reader.at_end

    def take(self, max_bytes: int) -> bytes:
        return self._reader.take(max_bytes)

    async def wait(self) -> Wake:
        return await self._reader.wait()

    def offer_to(self, takes: Callable[[bytes], bool]) -> None:
        self._reader.offer_to(takes)

    def wake(self, why: Wake) -> None:
        self.wakes.append(why)
        self._reader.wake(why)

    def close(self) -> None:
        self.closed += 1
        self._reader.close()


class LoopClock:
    """The event loop's clock, moved by hand; timers that come due then run."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._now = loop.time()
        patch.setattr(loop, "time", lambda: self._now)

    async def advance(self, seconds: float) -> None:
        self._now += seconds
        for _ in range(5):
            await checkpoint()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[LoopClock, None]:
    with monkeypatch.context() as patch:
        yield LoopClock(patch)


def a_log(entries: int = 0) -> tuple[EventWriter, Callable[[Cursor], WatchedReader]]:
    """Return a log's writer, and what attaches to it."""
    log = MemoryEventLog(replay_window_s=60, max_bytes=1 << 30, clock=lambda: 0.0)
    writer = log.create(TURN)
    for number in range(1, entries + 1):
        writer.append(TextDelta(f"word {number} "))
    return writer, lambda cursor: WatchedReader(log.attach(TURN, cursor))


def stream(
    reader: EventReader,
    *,
    prefix: bytes = b"",
    heartbeat_s: float = HEARTBEAT_S,
    outlet: Outlet | None = None,
) -> AsyncGenerator[bytes, None]:
    return frames(
        TURN,
        reader,
        prefix=prefix,
        heartbeat_s=heartbeat_s,
        farewell=lambda: bye_frame("restarting"),
        outlet=outlet,
    )


def names(batches: list[bytes]) -> list[str]:
    return [event.event for event in decode(b"".join(batches))]


async def collect(batches: AsyncGenerator[bytes, None], into: list[bytes]) -> None:
    async with aclosing(batches):
        async for batch in batches:
            into.append(batch)  # noqa: PERF401  # one by one: the test looks in between


async def test_a_stream_replays_follows_and_ends_with_the_terminal_event() -> None:
    writer, attach = a_log(3)
    reader, sent = attach(START), list[bytes]()

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, stream(reader), sent)
            await checkpoint()
            writer.append(TextDelta("live"))
            await checkpoint()
            writer.append(END)

    assert [event.id for event in decode(b"".join(sent))] == [f"{TURN}.1-{n}" for n in range(1, 6)]
    assert names(sent) == ["text.delta"] * 4 + ["turn.interrupted"]
    assert reader.closed == 1


async def test_a_reset_goes_before_what_follows_it() -> None:
    writer, attach = a_log(3)
    writer.append(END)
    prefix = reset_frame(TURN, Cursor(1, 3), TurnReset("word", "cursor_lost"))
    sent: list[bytes] = []

    await collect(stream(attach(Cursor(1, 3)), prefix=prefix), sent)

    assert sent[0] == prefix
    assert names(sent) == ["turn.reset", "turn.interrupted"]


async def test_a_reader_at_the_end_is_sent_nothing_more() -> None:
    writer, attach = a_log()
    writer.append(END)
    reader, sent = attach(Cursor(1, 1)), list[bytes]()

    await collect(stream(reader), sent)

    assert sent == []
    assert reader.closed == 1


async def test_a_long_replay_lets_others_run_after_every_batch() -> None:
    writer, attach = a_log(100_000)
    writer.append(END)
    rounds, at_batch, size = 0, list[int](), 0

    async def others() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        async with aclosing(stream(attach(START))) as batches:
            async for batch in batches:  # takes at once, as a connection does that is gone
                at_batch.append(rounds)
                size += batch.count(b"\n\n")
                assert len(batch) <= MAX_BATCH_BYTES
        tasks.cancel_scope.cancel()

    assert size == 100_001
    assert len(at_batch) > 50
    assert len(set(at_batch)) == len(at_batch)


async def test_a_long_replay_can_be_stopped_though_its_writes_never_wait() -> None:
    writer, attach = a_log(100_000)
    writer.append(END)
    reader, sent = attach(START), list[bytes]()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, stream(reader), sent)
        for _ in range(3):
            await checkpoint()
        tasks.cancel_scope.cancel()

    assert len(sent) < 10
    assert reader.closed == 1


async def test_heartbeats_come_in_silence_only(clock: LoopClock) -> None:
    writer, attach = a_log(1)
    sent: list[bytes] = []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, stream(attach(START)), sent)
        await clock.advance(0)
        for _ in range(20):  # 60 s of talk
            await clock.advance(HEARTBEAT_S - 7)
            writer.append(TextDelta("more"))
            await clock.advance(0)
        assert "heartbeat" not in names(sent)

        sent.clear()
        await clock.advance(HEARTBEAT_S - 0.1)
        assert sent == []
        await clock.advance(0.2)
        assert names(sent) == ["heartbeat"]
        await clock.advance(HEARTBEAT_S - 0.2)
        assert names(sent) == ["heartbeat"]
        await clock.advance(0.3)
        assert names(sent) == ["heartbeat"] * 2

        sent.clear()
        writer.append(END)

    assert names(sent) == ["turn.interrupted"]


async def test_live_frames_go_out_by_themselves_all_others_by_the_stream_in_order(
    clock: LoopClock,
) -> None:
    writer, attach = a_log(2)
    outlet, sent, alone = Outlet(), list[bytes](), list[bytes]()
    is_open = True

    def write(frame: bytes) -> bool:
        if is_open:
            sent.append(frame)
            alone.append(frame)
        return is_open

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, stream(attach(START), outlet=outlet), sent)
        await clock.advance(0)
        writer.append(TextDelta("not yet begun to answer"))
        await clock.advance(1)
        outlet.write = write
        writer.append(TextDelta("alone"))
        writer.append(TextDelta("in the same moment,"))
        writer.append(TextDelta("so joined"))
        await clock.advance(1)
        is_open = False
        writer.append(TextDelta("would have to wait"))
        await clock.advance(1)
        is_open = True
        writer.append(TextDelta("alone"))
        await clock.advance(1)
        writer.append(END)

    events = decode(b"".join(sent))
    assert [event.id for event in events] == [f"{TURN}.1-{n}" for n in range(1, 10)]
    assert [event.data for event in decode(b"".join(alone))] == ['{"text":"alone"}'] * 2
    assert [batch.count(b"\n\n") for batch in sent] == [2, 1, 1, 2, 1, 1, 1]


async def test_a_frame_that_went_out_by_itself_puts_off_the_heartbeat(clock: LoopClock) -> None:
    writer, attach = a_log(1)
    outlet, sent = Outlet(), list[bytes]()
    outlet.write = lambda _: True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, stream(attach(START), outlet=outlet), sent)
        await clock.advance(0)
        for _ in range(9):
            await clock.advance(HEARTBEAT_S - 3)
            writer.append(TextDelta("more"))
        await clock.advance(HEARTBEAT_S - 0.1)
        assert names(sent) == ["text.delta"]
        await clock.advance(0.2)
        assert names(sent) == ["text.delta", "heartbeat"]
        writer.append(END)


async def test_a_heartbeat_names_the_last_entry_the_reader_has(clock: LoopClock) -> None:
    _, attach = a_log(7)

    async with aclosing(stream(attach(START))) as batches:
        await anext(batches)
        async with anyio.create_task_group() as tasks:

            async def next_batch() -> None:
                assert b'"last_seq":7' in await anext(batches)

            tasks.start_soon(next_batch)
            await clock.advance(0)
            await clock.advance(HEARTBEAT_S + 1)


async def test_a_reader_that_writes_slowly_gets_entries_not_heartbeats(clock: LoopClock) -> None:
    writer, attach = a_log(1)

    async with aclosing(stream(attach(START))) as batches:
        await anext(batches)
        writer.append(TextDelta("while the write waits"))
        await clock.advance(HEARTBEAT_S * 3)

        assert names([await anext(batches)]) == ["text.delta"]


async def test_leave_says_bye_and_ends() -> None:
    _, attach = a_log(2)
    reader, sent = attach(START), list[bytes]()

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, stream(reader), sent)
            await checkpoint()
            reader.wake(Wake.LEAVE)

    assert names(sent) == ["text.delta", "text.delta", "bye"]
    assert '{"reason":"restarting"}' in sent[-1].decode()
    assert reader.closed == 1


async def test_leave_before_the_first_batch_is_not_lost() -> None:
    _, attach = a_log(2)
    reader, sent = attach(START), list[bytes]()
    reader.wake(Wake.LEAVE)

    with anyio.fail_after(WAIT_S):
        await collect(stream(reader), sent)

    assert names(sent)[-1] == "bye"


async def test_closing_the_stream_early_closes_reader_and_timer(clock: LoopClock) -> None:
    _, attach = a_log(2)
    reader = attach(START)
    batches = stream(reader)
    await anext(batches)

    await batches.aclose()

    assert reader.closed == 1
    await clock.advance(HEARTBEAT_S * 5)
    assert reader.wakes == []


async def test_cancelling_a_waiting_stream_closes_reader_and_timer(clock: LoopClock) -> None:
    _, attach = a_log(2)
    reader, sent = attach(START), list[bytes]()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, stream(reader), sent)
        await clock.advance(0)
        tasks.cancel_scope.cancel()

    assert reader.closed == 1
    await clock.advance(HEARTBEAT_S * 5)
    assert reader.wakes == []
