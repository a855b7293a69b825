"""The shared log where a key is lost alone, a call refused alone, a log very long."""

from collections.abc import Iterator
from time import perf_counter

import anyio
import pytest

from streaming.event_log.memory import MemoryLog
from streaming.event_log.redis.keys import RUNNING, lease_of, log_of
from streaming.event_log.redis.writing import LEASE_S, RedisWriter, _batch
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
)
from tests.support.redis import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@on_two_workers
async def test_a_lease_that_is_lost_alone_holds_up_no_turn(two: list[Worker]) -> None:
    a, b = two
    writer, other = a.log.create(TURN), a.log.create("turn_2")
    say(writer, 10)
    await shared(a, 10)
    await a.redis("DEL", lease_of(TURN))
    await shared(a, 10)  # a renewal, without a word to send, has made it anew

    say(other, 3)
    writer.append(END)
    writer.close()
    await shared(a, 11)

    async def is_shared() -> bool:
        return await a.redis("HGET", lease_of("turn_2"), "last") == b"3"

    await until(is_shared)
    assert await read_to_end(await b.reader()) == (places(1, 1, 11), False)


@on_two_workers
async def test_an_ended_turn_leaves_the_list_also_where_that_was_refused_at_first(
    two: list[Worker], server: RedisServer
) -> None:
    a, _ = two
    writer = a.log.create(TURN)
    say(writer, 1)
    await until(lambda: _is_listed(a))
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-zrem")
        try:
            writer.append(END)
            writer.close()
            await until(lambda: claim(a.log.is_down))
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+zrem")

    async def is_unlisted() -> bool:
        return not await _is_listed(a)

    await until(is_unlisted)


async def _is_listed(worker: Worker) -> bool:
    return await worker.redis("ZCARD", RUNNING) == 1


@on_two_workers
async def test_a_command_between_two_holders_reaches_the_next_one(two: list[Worker]) -> None:
    a, b = two
    say(a.log.create(TURN), 1)
    await shared(a, 1)
    assert await a.leases.release(TURN, 1)

    assert await b.leases.tell(TURN, b"stop")
    await b.take()
    await until(lambda: claim(bool(b.commands)))

    assert b.commands == [(TURN, b"stop")]


async def test_a_turn_that_runs_is_kept_however_short_the_replay_window_is(
    server: RedisServer,
) -> None:
    worker = Worker(server.url, "a", keep_s=0.001)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.live)
        say(worker.log.create(TURN), 1)
        await shared(worker, 1)

        left_ms = [await worker.redis("PTTL", key(TURN)) for key in (lease_of, log_of)]
        tasks.cancel_scope.cancel()
    await worker.connection.close()

    assert all(isinstance(left, int) and left > 1000 * LEASE_S for left in left_ms)


@on_two_workers
async def test_a_long_log_is_read_in_pieces_between_which_others_run(
    two: list[Worker], server: RedisServer
) -> None:
    with server.client() as client:
        for seq in range(1, 201):
            batch = {"e": 1, "p": 1, "s": seq, "f": "frame\n\n"}
            client.xadd(log_of(TURN), batch, id=f"{seq}-0")
        client.config_resetstat()

        log = await two[0].log.fetch(TURN)

        calls = client.info("commandstats")["cmdstat_xrange"]["calls"]
    assert len(log.frames) == 200
    assert calls >= 4


@on_two_workers
async def test_what_a_batch_costs_does_not_grow_with_the_log(two: list[Worker]) -> None:
    a, _ = two

    def costs_s(entries: int) -> float:
        log = MemoryLog(TURN)
        for _ in range(entries):
            log.append(b"frame\n\n", 1)
        writer = a.log.hold(log, 1, lambda: None)
        assert writer.flushed == entries
        a.log.drop(TURN)
        say(writer, 2)
        return min(_timed_s(writer) for _ in range(20))

    assert costs_s(100_000) < 20 * costs_s(100)


def _timed_s(writer: RedisWriter) -> float:
    began = perf_counter()
    _batch(writer)
    return perf_counter() - began
