"""What every event log promises its one writer and its many readers."""

import gc
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.redis import RedisConnection
from streaming.cursor import START, Cursor
from streaming.errors import CursorLostError, LogNotFoundError
from streaming.event_log.base import EventLog, EventReader, EventWriter, Wake
from streaming.event_log.memory import MemoryEventLog
from streaming.event_log.redis import RedisEventLog
from streaming.events import TextDelta, TurnInterrupted, UsageData

TURN = "turn_1"
MUCH = 1_000_000
END = TurnInterrupted("m", True, "", UsageData(None, None, "unknown"), "test")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


NewLog = Callable[..., EventLog]


def _memory(
    *, replay_window_s: float = 60, max_bytes: int = MUCH, clock: Callable[[], float] | None = None
) -> EventLog:
    return MemoryEventLog(
        replay_window_s=replay_window_s, max_bytes=max_bytes, clock=clock or Clock()
    )


def _shared(**bounds: Any) -> EventLog:
    """Return a log to be shared over a Redis that is not there: readers here never need it."""
    memory = _memory(**bounds)
    assert isinstance(memory, MemoryEventLog)
    nowhere = RedisConnection("redis://127.0.0.1:1", timeout_s=0.1)
    return RedisEventLog(
        nowhere,
        memory,
        worker_id="w",
        keep_s=60,
        on_command=lambda _turn, _command: True,
        on_read=lambda _turn, _for_s: None,
    )


@pytest.fixture(params=[_memory, _shared], ids=["memory", "shared"], scope="module")
def new_log(request: pytest.FixtureRequest) -> NewLog:
    made: NewLog = request.param
    return made


def fill(writer: EventWriter, count: int) -> None:
    """Append as many deltas, whose text is their seq."""
    for _ in range(count):
        writer.append(TextDelta(str(writer.cursor.seq + 1)))


def numbers(frames: bytes) -> list[int]:
    """Return the seqs of some frames; each must carry its own."""
    found = []
    for frame in frames.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        turn_id, _, place = fields["id"].rpartition(".")
        epoch, seq = map(int, place.split("-"))
        assert (turn_id, epoch) == (TURN, 1)
        if fields["event"] == "text.delta":
            assert json.loads(fields["data"]) == {"text": str(seq)}
        found.append(seq)
    return found


async def read_to_end(reader: EventReader, max_bytes: int = MUCH, pauses: int = 0) -> list[int]:
    """Return the seqs a reader gets until the end, resting between batches."""
    seen: list[int] = []
    with anyio.fail_after(5):
        while not reader.at_end:
            batch = numbers(reader.take(max_bytes))
            if not batch:
                assert await reader.wait() is Wake.ENTRY
            seen += batch
            for _ in range(pauses):
                await checkpoint()
    reader.close()
    return seen


async def test_entries_are_numbered_from_one_without_gaps(new_log: NewLog) -> None:
    writer = new_log().create(TURN)

    assert writer.cursor == Cursor(epoch=1, seq=0)
    assert [writer.append(TextDelta(str(n))) for n in range(1, 51)] == list(range(1, 51))
    assert writer.cursor == Cursor(epoch=1, seq=50)


@pytest.mark.parametrize("cut", range(13))
async def test_replay_and_live_join_without_gap_or_repeat_at_every_cut(
    new_log: NewLog, cut: int
) -> None:
    log = new_log()
    writer = log.create(TURN)
    fill(writer, cut)

    for seen in range(cut + 1):
        reader = log.attach(TURN, Cursor(1, seen) if seen else START)
        assert numbers(reader.take(MUCH)) == list(range(seen + 1, cut + 1))
        assert reader.cursor == Cursor(1, cut)
        reader.close()

    follower = log.attach(TURN, Cursor(1, cut) if cut else START)
    async with anyio.create_task_group() as tasks:

        async def follow() -> None:
            assert await read_to_end(follower) == list(range(cut + 1, 14))

        tasks.start_soon(follow)
        while writer.cursor.seq < 12:
            await checkpoint()
            fill(writer, 1)
        writer.append(END)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    appends=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    readers=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 5)), min_size=1, max_size=6),
)
async def test_slow_and_fast_readers_all_get_the_same_entries(
    new_log: NewLog, appends: list[int], readers: list[tuple[int, int]]
) -> None:
    log = new_log()
    writer = log.create(TURN)
    seen: list[list[int]] = []

    async def read(max_bytes: int, pauses: int) -> None:
        seen.append(await read_to_end(log.attach(TURN, START), max_bytes, pauses))

    async with anyio.create_task_group() as tasks:
        for max_bytes, pauses in readers:
            tasks.start_soon(read, max_bytes, pauses)
        for count in appends:
            await checkpoint()
            fill(writer, count)
        writer.append(END)

    assert seen == [list(range(1, sum(appends) + 2))] * len(readers)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=20), limit=st.integers(0, 600))
async def test_taking_keeps_to_its_bytes_but_always_moves_on(
    new_log: NewLog, texts: list[str], limit: int
) -> None:
    log = new_log()
    writer = log.create(TURN)
    for text in texts:
        writer.append(TextDelta(text))
    whole = log.attach(TURN, START).take(MUCH)
    reader = log.attach(TURN, START)

    batches = []
    while batch := reader.take(limit):
        batches.append(batch)

    assert b"".join(batches) == whole
    assert all(len(batch) <= limit or batch.count(b"\n\n") == 1 for batch in batches)
    for batch, following in pairwise(batches):
        first = following[: following.index(b"\n\n") + 2]
        assert len(batch) + len(first) > limit


async def test_a_cursor_beyond_the_log_or_of_a_lost_epoch_is_refused(new_log: NewLog) -> None:
    log = new_log()
    fill(log.create(TURN), 3)

    for lost in (Cursor(1, 4), Cursor(2, 3), Cursor(2, 4), Cursor(999_999_999, 10**18 - 1)):
        with pytest.raises(CursorLostError):
            log.attach(TURN, lost)
    assert log.attach(TURN, Cursor(1, 3)).take(MUCH) == b""


async def test_a_turn_that_has_no_log_is_not_found(new_log: NewLog) -> None:
    with pytest.raises(LogNotFoundError):
        new_log().attach("another", START)


async def test_the_start_of_a_log_without_entries_is_a_good_cursor(new_log: NewLog) -> None:
    log = new_log()
    writer = log.create(TURN)
    reader = log.attach(TURN, START)

    assert reader.cursor == START
    assert reader.take(MUCH) == b""
    assert not reader.at_end
    writer.append(END)
    assert numbers(reader.take(MUCH)) == [1]
    assert reader.at_end


async def test_nothing_follows_the_terminal_event(new_log: NewLog) -> None:
    log = new_log()
    writer = log.create(TURN)
    writer.append(END)

    with pytest.raises(AssertionError):
        writer.append(TextDelta("more"))
    assert numbers(log.attach(TURN, START).take(MUCH)) == [1]
    assert log.attach(TURN, Cursor(1, 1)).at_end


async def test_an_event_that_cannot_be_written_down_takes_no_number(new_log: NewLog) -> None:
    log = new_log()
    writer = log.create(TURN)
    fill(writer, 1)

    with pytest.raises(UnicodeEncodeError):
        writer.append(TextDelta("\ud83d"))
    with pytest.raises(UnicodeEncodeError):
        writer.append(
            TurnInterrupted("m", True, "\ud83d", UsageData(None, None, "unknown"), "test")
        )

    assert not log.attach(TURN, Cursor(1, 1)).at_end
    assert writer.append(END) == 2


async def test_waiting_returns_at_once_where_there_is_something_to_take(new_log: NewLog) -> None:
    log = new_log()
    fill(log.create(TURN), 1)

    with anyio.fail_after(5):
        assert await log.attach(TURN, START).wait() is Wake.ENTRY


def _taking_into(frames: list[bytes]) -> Callable[[bytes], bool]:
    def takes(frame: bytes) -> bool:
        frames.append(frame)
        return True

    return takes


async def test_what_a_waiting_reader_takes_by_itself_wakes_nobody_but_the_end_does(
    new_log: NewLog,
) -> None:
    writer, reader = new_log_with_entry(new_log)
    taken: list[bytes] = []
    reader.offer_to(_taking_into(taken))

    async with anyio.create_task_group() as tasks:
        woken = _wait_in(tasks, reader)
        await checkpoint()
        fill(writer, 3)
        await checkpoint()

        assert numbers(b"".join(taken)) == [2, 3, 4]
        assert (reader.cursor, woken) == (Cursor(1, 4), [])
        writer.append(END)

    assert woken == [Wake.ENTRY]
    assert (len(taken), numbers(reader.take(MUCH)), reader.at_end) == (3, [5], True)


async def test_what_a_reader_does_not_take_wakes_it_and_is_not_offered_again(
    new_log: NewLog,
) -> None:
    writer, reader = new_log_with_entry(new_log)
    offered: list[bytes] = []

    def takes(frame: bytes) -> bool:
        offered.append(frame)
        return len(offered) == 1

    reader.offer_to(takes)
    async with anyio.create_task_group() as tasks:
        woken = _wait_in(tasks, reader)
        await checkpoint()
        fill(writer, 3)

    assert woken == [Wake.ENTRY]
    assert numbers(b"".join(offered)) == [2, 3]
    assert numbers(reader.take(MUCH)) == [3, 4]


async def test_nothing_is_offered_to_a_reader_that_does_not_wait(new_log: NewLog) -> None:
    writer, reader = new_log_with_entry(new_log)
    offered: list[bytes] = []
    reader.offer_to(_taking_into(offered))

    fill(writer, 2)
    reader.close()
    fill(writer, 1)

    assert (offered, numbers(reader.take(MUCH))) == ([], [2, 3, 4])


@pytest.mark.parametrize("why", [Wake.IDLE, Wake.LEAVE])
async def test_a_waiting_reader_is_woken_with_the_reason_given(new_log: NewLog, why: Wake) -> None:
    reader = new_log_with_entry(new_log)[1]

    async with anyio.create_task_group() as tasks:
        woken = _wait_in(tasks, reader)
        await checkpoint()
        reader.wake(why)

    assert woken == [why]


def new_log_with_entry(new_log: NewLog) -> tuple[EventWriter, EventReader]:
    """Return a log's writer, and a reader that has its one entry."""
    log = new_log()
    writer = log.create(TURN)
    fill(writer, 1)
    return writer, log.attach(TURN, Cursor(1, 1))


def _wait_in(tasks: anyio.abc.TaskGroup, reader: EventReader) -> list[Wake]:
    woken: list[Wake] = []

    async def wait() -> None:
        with anyio.fail_after(5):
            woken.append(await reader.wait())

    tasks.start_soon(wait)
    return woken


async def test_leave_is_kept_for_a_reader_that_does_not_wait_yet(new_log: NewLog) -> None:
    reader = new_log_with_entry(new_log)[1]

    reader.wake(Wake.LEAVE)

    with anyio.fail_after(5):
        assert await reader.wait() is Wake.LEAVE


async def test_idle_is_for_a_reader_that_waits(new_log: NewLog) -> None:
    writer, reader = new_log_with_entry(new_log)
    reader.wake(Wake.IDLE)

    async with anyio.create_task_group() as tasks:
        woken = _wait_in(tasks, reader)
        await checkpoint()
        assert woken == []
        fill(writer, 1)

    assert woken == [Wake.ENTRY]


async def test_an_entry_goes_before_idle_in_either_order(new_log: NewLog) -> None:
    for idle_first in (True, False):
        writer, reader = new_log_with_entry(new_log)
        async with anyio.create_task_group() as tasks:
            woken = _wait_in(tasks, reader)
            await checkpoint()
            if idle_first:
                reader.wake(Wake.IDLE)
                fill(writer, 1)
            else:
                fill(writer, 1)
                reader.wake(Wake.IDLE)

        assert woken == [Wake.ENTRY]


async def test_leave_is_not_lost_beside_an_entry_or_idle(new_log: NewLog) -> None:
    for other in (Wake.ENTRY, Wake.IDLE):
        writer, reader = new_log_with_entry(new_log)
        async with anyio.create_task_group() as tasks:
            woken = _wait_in(tasks, reader)
            await checkpoint()
            if other is Wake.ENTRY:
                fill(writer, 1)
            else:
                reader.wake(Wake.IDLE)
            reader.wake(Wake.LEAVE)

        if woken != [Wake.LEAVE]:
            reader.take(MUCH)
            with anyio.fail_after(5):
                assert await reader.wait() is Wake.LEAVE


@pytest.mark.parametrize("closes", [True, False])
async def test_a_reader_cancelled_while_waiting_leaves_nothing_behind(
    new_log: NewLog, closes: bool
) -> None:
    log = new_log()
    fill(log.create(TURN), 1)
    before = _held(log)

    for _ in range(20):
        reader = log.attach(TURN, Cursor(1, 1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.wait)
            await checkpoint()
            tasks.cancel_scope.cancel()
        if closes:
            reader.close()
            reader.close()

    assert _held(log) == before


def _held(log: EventLog) -> int:
    """Return how many things a log keeps alive, however deep."""
    gc.collect()
    held: set[int] = set()
    waiting: list[object] = [log]
    while waiting:
        thing = waiting.pop()
        if id(thing) in held or isinstance(thing, type) or callable(thing):
            continue
        held.add(id(thing))
        waiting += gc.get_referents(thing)
    return len(held)


async def test_closing_a_waiting_reader_leaves_nothing_behind(new_log: NewLog) -> None:
    log = new_log()
    fill(log.create(TURN), 1)
    before = _held(log)

    for _ in range(20):
        reader = log.attach(TURN, Cursor(1, 1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.wait)
            await checkpoint()
            reader.close()
            tasks.cancel_scope.cancel()

    assert _held(log) == before


async def test_the_others_are_woken_when_one_waiting_reader_was_cancelled(new_log: NewLog) -> None:
    log = new_log()
    writer = log.create(TURN)
    fill(writer, 1)

    async with anyio.create_task_group() as tasks:
        woken = [_wait_in(tasks, log.attach(TURN, Cursor(1, 1))) for _ in range(3)]
        cancelled = anyio.CancelScope()

        async def wait_cancelled() -> None:
            with cancelled:
                await log.attach(TURN, Cursor(1, 1)).wait()

        tasks.start_soon(wait_cancelled)
        await checkpoint()
        cancelled.cancel()
        fill(writer, 1)

    assert woken == [[Wake.ENTRY]] * 3


def ended(log: EventLog, turn_id: str, text: str = "") -> None:
    """Write a whole log and give it back."""
    writer = log.create(turn_id)
    writer.append(TextDelta(text))
    writer.append(END)
    writer.close()


def held(log: EventLog, turn_ids: str) -> str:
    """Return which of these one-letter turns still have a log."""
    found = ""
    for turn_id in turn_ids:
        try:
            log.attach(turn_id, START).close()
        except LogNotFoundError:
            continue
        found += turn_id
    return found


async def test_ended_logs_expire_by_age_oldest_first(new_log: NewLog) -> None:
    clock = Clock()
    log = new_log(clock=clock, replay_window_s=60)
    for turn_id in "abc":
        ended(log, turn_id)
        clock.now += 20

    clock.now += 1
    log.expire()
    assert held(log, "abc") == "bc"

    clock.now += 20
    log.expire()
    assert held(log, "abc") == "c"

    clock.now += 20
    log.expire()
    assert held(log, "abc") == ""


async def test_ended_logs_expire_by_bytes_oldest_first(new_log: NewLog) -> None:
    log = new_log(max_bytes=3500)

    for turn_id in "abcdef":
        ended(log, turn_id, "x" * 500)

    kept = held(log, "abcdef")
    assert kept
    assert len(kept) < 6
    assert "abcdef".endswith(kept)


async def test_a_live_log_never_expires(new_log: NewLog) -> None:
    clock = Clock()
    log = new_log(clock=clock, replay_window_s=60, max_bytes=100)
    fill(log.create(TURN), 100)

    clock.now += 10_000
    log.expire()

    assert len(numbers(log.attach(TURN, START).take(MUCH))) == 100


async def test_a_reader_of_an_expired_log_reads_on_to_its_end(new_log: NewLog) -> None:
    clock = Clock()
    log = new_log(clock=clock, replay_window_s=60)
    writer = log.create(TURN)
    fill(writer, 5)
    reader = log.attach(TURN, Cursor(1, 2))
    writer.append(END)
    writer.close()

    clock.now += 61
    log.expire()

    assert await read_to_end(reader) == [3, 4, 5, 6]


async def test_closing_the_writer_again_changes_nothing(new_log: NewLog) -> None:
    clock = Clock()
    log = new_log(clock=clock, replay_window_s=60)
    writer = log.create("a")
    writer.append(END)
    writer.close()
    clock.now += 50
    writer.close()

    clock.now += 11
    log.expire()

    assert held(log, "a") == ""
