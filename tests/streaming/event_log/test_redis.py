"""The log that workers share: what readers elsewhere get, who may write, what Redis may lose."""

from collections.abc import Iterator
from functools import partial

import anyio
import pytest

from streaming.cursor import START, Cursor
from streaming.errors import CursorLostError, LogNotFoundError, LogUnavailableError
from streaming.event_log.redis.keys import RUNNING, lease_of, log_of
from tests.streaming.event_log.workers import (
    END,
    TURN,
    Worker,
    claim,
    on_two_workers,
    places,
    read_to_end,
    say,
    shared,
    until,
    workers,
)
from tests.support.redis import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@on_two_workers
async def test_a_reader_elsewhere_gets_what_was_and_what_comes_once_and_in_order(
    two: list[Worker],
) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 10)
    await shared(a, 10)
    reader = await b.reader()
    async with anyio.create_task_group() as tasks:
        got: list[tuple[list[str], bool]] = []

        async def read() -> None:
            got.append(await read_to_end(reader))

        tasks.start_soon(read)
        for _ in range(30):
            say(writer, 3)
            await anyio.sleep(0.005)
        writer.append(END)
        writer.close()

    assert got == [(places(1, 1, 101), False)]


@pytest.mark.fault(11)
@pytest.mark.parametrize("seq", [0, 1, 49, 50, 99, 100])
@on_two_workers
async def test_every_cursor_is_good_elsewhere(two: list[Worker], seq: int) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 100)
    writer.append(END)
    writer.close()
    await shared(a, 101)

    reader = await b.reader(Cursor(1, seq) if seq else START)

    assert await read_to_end(reader) == (places(1, seq + 1, 101), False)


@on_two_workers
@pytest.mark.parametrize("is_running", [True, False], ids=["running", "recorded as ended"])
async def test_a_reader_is_waited_for_that_comes_with_an_entry_that_is_still_on_its_way(
    two: list[Worker], *, is_running: bool
) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 1)
    await shared(a, 1)
    await b.reader()
    say(writer, 1)

    reader = await b.reader(Cursor(1, 2), is_running=is_running)

    assert reader.cursor == Cursor(1, 2)


@on_two_workers
async def test_a_cursor_of_a_lost_epoch_or_beyond_the_log_is_lost(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 3)
    await shared(a, 3)

    for cursor in (Cursor(1, 4), Cursor(2, 3)):
        with pytest.raises(CursorLostError):
            await b.reader(cursor)


@on_two_workers
async def test_a_turn_that_nobody_wrote_is_not_found(two: list[Worker]) -> None:
    with pytest.raises(LogNotFoundError):
        await two[1].reader()


@on_two_workers
async def test_a_live_turn_cannot_be_taken(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 1)
    await shared(a, 1)

    assert await b.leases.take(TURN, epoch=1, last_seq=1, on_lost=lambda: None) is None
    assert list(await b.leases.overdue()) == []


@pytest.mark.long
@on_two_workers
async def test_a_dead_workers_turn_is_named_overdue_and_goes_on_in_the_next_epoch(
    two: list[Worker],
) -> None:
    a, b = two
    say(a.log.create(TURN), 5)
    await shared(a, 5)
    reader = await b.reader()
    a.pause()

    async def is_overdue() -> bool:
        return TURN in await b.leases.overdue()

    await until(is_overdue)
    taken = await b.take(last_seq=5)
    say(taken.writer, 5)
    taken.writer.append(END)
    taken.writer.close()

    assert (len(taken.frames), taken.base, taken.takeovers) == (5, 0, 0)
    assert await read_to_end(reader) == (places(1, 1, 5) + places(2, 6, 11), False)


@pytest.mark.fault(3)
@pytest.mark.long
@on_two_workers
async def test_a_worker_that_wakes_late_is_refused_and_told_once(two: list[Worker]) -> None:
    a, b = two
    lost: list[int] = []
    writer = a.log.create(TURN, lambda: lost.append(1))
    say(writer, 5)
    await shared(a, 5)
    a.pause()
    say(writer, 5)  # its readers have seen these; nobody else ever will
    taken = await b.take(last_seq=5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a.live)
        await until(lambda: claim(bool(lost)))
        say(writer, 5)
        say(taken.writer, 1)
        await shared(b, 6)
        await anyio.sleep(0.2)
        a.pause()

    assert lost == [1]
    assert await b.redis("XLEN", log_of(TURN)) == 2
    assert taken.writer.cursor == Cursor(2, 6)


@on_two_workers
async def test_readers_of_a_log_that_was_left_are_sent_to_the_new_one(two: list[Worker]) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 5)
    await shared(a, 5)
    mine = await a.reader()
    await a.leases.release(TURN, 1)
    taken = await b.take(last_seq=5)
    writer.abandon()
    say(taken.writer, 1)
    taken.writer.append(END)
    taken.writer.close()

    assert await read_to_end(mine) == (places(1, 1, 5), True)
    again = await a.reader(Cursor(1, 5))
    assert await read_to_end(again) == (places(2, 6, 7), False)


@on_two_workers
async def test_a_released_turn_is_taken_at_once(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 5)
    await shared(a, 5)

    assert await a.leases.release(TURN, 1)
    assert list(await b.leases.overdue()) == [TURN]
    taken = await b.leases.take(TURN, epoch=1, last_seq=5, on_lost=lambda: None)

    assert taken is not None
    assert not await a.leases.release(TURN, 1)


@pytest.mark.fault(20)
@on_two_workers
async def test_the_same_batch_twice_is_there_once(two: list[Worker]) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 3)
    await shared(a, 3)
    writer.flushed = 1  # as where the answer to a write was lost
    say(writer, 1)
    writer.append(END)
    writer.close()
    await shared(a, 5)

    assert await read_to_end(await b.reader()) == (places(1, 1, 5), False)


@on_two_workers
async def test_entries_that_redis_has_already_are_told_of_and_left_out(two: list[Worker]) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 3)
    writer.append(END)
    await shared(a, 4)
    before = a.repeated
    writer.flushed = 1  # as where the answer to a write was lost

    writer.close()

    await until(lambda: claim(a.repeated == 1))
    assert before == 0
    assert await read_to_end(await b.reader()) == (places(1, 1, 4), False)


@pytest.mark.fault(21)
@on_two_workers
async def test_a_log_that_redis_lost_is_whole_again(two: list[Worker]) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 50)
    await shared(a, 50)
    await b.redis("FLUSHALL")
    say(writer, 1)
    writer.append(END)
    writer.close()
    await shared(a, 52)

    assert await read_to_end(await b.reader()) == (places(1, 1, 52), False)


@pytest.mark.fault(23)
@on_two_workers
async def test_a_tail_that_a_failover_lost_is_sent_again(two: list[Worker]) -> None:
    a, b = two
    writer = a.log.create(TURN)
    for _ in range(3):
        say(writer, 1)
        await shared(a, writer.cursor.seq)
    await b.redis("XDEL", log_of(TURN), "3-0")
    await b.redis("HSET", lease_of(TURN), "last", 2)
    # Redis remembers the highest id it ever gave, but a replica that takes over does not.
    await b.redis("XSETID", log_of(TURN), "2-0", "ENTRIESADDED", 2, "MAXDELETEDID", "0-0")
    writer.append(END)
    writer.close()
    await shared(a, 4)

    assert await read_to_end(await b.reader()) == (places(1, 1, 4), False)


@on_two_workers
async def test_a_log_that_ends_before_the_record_goes_on_where_it_ends(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 3)
    await shared(a, 3)
    await a.leases.release(TURN, 1)
    reader = await b.reader()
    taken = await b.take(last_seq=10)
    say(taken.writer, 1)
    taken.writer.append(END)
    taken.writer.close()

    assert (len(taken.frames), taken.base) == (3, 0)
    assert await read_to_end(reader) == ([*places(1, 1, 3), *places(2, 4, 5)], False)
    with pytest.raises(CursorLostError):
        b.log.attach(TURN, Cursor(1, 4))


@on_two_workers
async def test_a_log_of_which_nothing_is_left_begins_anew_behind_the_record(
    two: list[Worker],
) -> None:
    a, b = two
    say(a.log.create(TURN), 3)
    await shared(a, 3)
    reader = await b.reader()
    a.pause()
    await a.redis("FLUSHALL")
    taken = await b.take(last_seq=10)
    say(taken.writer, 1)
    taken.writer.append(END)
    taken.writer.close()

    assert (taken.frames, taken.base) == ((), 10)
    assert await read_to_end(reader) == (places(1, 1, 3), True)
    with pytest.raises(CursorLostError):
        b.log.attach(TURN, Cursor(1, 3))
    held = b.log.find(TURN)
    assert held is not None
    assert (held.base, held.last) == (10, Cursor(2, 12))


@pytest.mark.fault(23)
@on_two_workers
async def test_a_mirror_is_never_glued_to_a_history_that_was_rewritten(
    server: RedisServer, two: list[Worker]
) -> None:
    a, b = two
    async with workers(server.url, "c") as (c,):
        writer = a.log.create(TURN)
        say(writer, 6)
        await shared(a, 6)
        reader = await c.reader()
        a.pause()
        c.pause()  # it must not see the log while it is short
        await b.redis("DEL", log_of(TURN))
        await b.redis("HSET", lease_of(TURN), "last", 0, "until", 0)
        taken = await b.take(last_seq=1)  # the record had one entry: all else is rewritten
        say(taken.writer, 20)
        await shared(b, 21)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(c.live)
            ids, sent_away = await read_to_end(reader)
            c.pause()

    assert (ids, sent_away) == (places(1, 1, 6), True)


@on_two_workers
async def test_a_command_reaches_whoever_holds_the_turn(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 1)
    await shared(a, 1)

    assert await b.leases.tell(TURN, b"stop")
    await until(lambda: claim(bool(a.commands)))

    assert a.commands == [(TURN, b"stop")]
    assert b.commands == []


@pytest.mark.long
@on_two_workers
async def test_a_command_for_a_dead_holder_reaches_the_next_one(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 1)
    await shared(a, 1)
    a.pause()

    assert await b.leases.tell(TURN, b"stop")
    taken = await b.take()
    say(taken.writer, 1)
    await until(lambda: claim(bool(b.commands)))

    assert b.commands == [(TURN, b"stop")]


@on_two_workers
async def test_nobody_is_told_of_a_turn_that_has_ended(two: list[Worker]) -> None:
    a, b = two
    writer = a.log.create(TURN)
    writer.append(END)
    writer.close()
    await shared(a, 1)

    async def is_unlisted() -> bool:
        return await b.redis("ZCARD", RUNNING) == 0

    await until(is_unlisted)

    assert not await b.leases.tell(TURN, b"stop")
    assert not await b.leases.tell("turn_unknown", b"stop")


@on_two_workers
async def test_five_hundred_readers_share_one_mirror(two: list[Worker]) -> None:
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 200)
    await shared(a, 200)
    before = await _range_reads(b)
    got: list[tuple[list[str], bool]] = []

    async def read() -> None:
        got.append(await read_to_end(await b.reader()))

    async with anyio.create_task_group() as tasks:
        for _ in range(500):
            tasks.start_soon(read)
        await anyio.sleep(0.1)
        writer.append(END)
        writer.close()

    assert got == [(places(1, 1, 201), False)] * 500
    assert await _range_reads(b) - before < 50


async def _range_reads(worker: Worker) -> int:
    stats = await worker.redis("INFO", "commandstats")
    assert isinstance(stats, dict)
    return int(stats.get("cmdstat_xrange", {"calls": 0})["calls"])


@pytest.mark.fault(18)
async def test_without_redis_readers_here_go_on_and_those_elsewhere_are_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_redis(tmp_path_factory.mktemp("lost")) as redis:
        async with workers(redis.url, "a", "b") as (a, b):
            writer = a.log.create(TURN)
            say(writer, 3)
            await shared(a, 3)
            mine = await a.reader()
            redis.kill()
            say(writer, 3)
            await until(lambda: claim(a.log.is_down))

            with pytest.raises(LogUnavailableError):
                await b.reader()
            with pytest.raises(LogUnavailableError):
                await b.leases.overdue()
            await anyio.to_thread.run_sync(redis.restart)
            writer.append(END)
            writer.close()
            await shared(a, 7)

            assert await read_to_end(mine) == (places(1, 1, 7), False)
            assert await read_to_end(await b.reader()) == (places(1, 1, 7), False)
            assert not a.log.is_down


@pytest.mark.fault(21)
@on_two_workers
async def test_readers_of_a_log_that_redis_has_lost_for_good_are_sent_to_the_record(
    two: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.following.POLL_EVERY_S", 0.05)
    monkeypatch.setattr("streaming.event_log.redis.following.LOST_AFTER_S", 0.1)
    a, b = two
    say(a.log.create(TURN), 3)
    await shared(a, 3)
    reader = await b.reader()
    a.pause()
    await a.redis("FLUSHALL")

    ids, was_sent_away = await read_to_end(reader)

    assert (ids, was_sent_away) == (places(1, 1, 3), True)
    with pytest.raises(LogNotFoundError):
        await b.reader(Cursor(1, 3))


async def test_a_turn_that_redis_has_lost_is_listed_again_with_its_entries(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.writing.RENEW_EVERY_S", 3600.0)
    with server.client() as client:
        client.flushall()
    async with workers(server.url, "a") as (a,):
        writer = a.log.create(TURN)
        say(writer, 3)
        await until(partial(_is_listed, a))
        await a.redis("FLUSHALL")
        say(writer, 1)

        await until(partial(_is_listed, a))


async def _is_listed(worker: Worker) -> bool:
    return await worker.redis("ZSCORE", RUNNING, TURN) is not None


@on_two_workers
async def test_readers_of_a_log_that_redis_has_lost_stay_where_its_holder_sends_it_again(
    two: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.following.POLL_EVERY_S", 0.05)
    a, b = two
    writer = a.log.create(TURN)
    say(writer, 3)
    await shared(a, 3)
    reader = await b.reader()
    await a.redis("FLUSHALL")
    await shared(a, 3)
    writer.append(END)
    writer.close()

    assert await read_to_end(reader) == (places(1, 1, 4), False)
