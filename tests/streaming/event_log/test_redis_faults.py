"""The shared log while Redis is away, silent, full, slow or refuses: what each side sees of it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest
from redis import Redis

from streaming.errors import LogUnavailableError
from streaming.event_log.base import EventWriter
from streaming.event_log.redis.keys import RUNNING, commands_of, lease_of
from tests.streaming.event_log.workers import (
    END,
    TURN,
    WAIT_S,
    Worker,
    claim,
    places,
    read_to_end,
    say,
    shared,
    until,
    workers,
)
from tests.support.fault_proxy import TO_CLIENT, FaultProxy, running_proxy
from tests.support.redis import RedisServer, running_redis

pytestmark = [pytest.mark.services, pytest.mark.long]

CROWD = 50
LOOK_S = 1.0
ATTEMPTS = 30
"""In `LOOK_S`, of two workers: each tries to write and to listen four times a second."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Pair:
    """Two workers, the link that both have to Redis, and a turn of the first."""

    a: Worker
    b: Worker
    link: FaultProxy
    writer: EventWriter

    async def goes_on(self) -> None:
        """Write while nothing is shared: readers here get it all the same."""
        reader = await self.a.reader(self.writer.cursor)
        say(self.writer, 3)
        assert reader.take(1 << 16).count(b"\n\n") == 3
        await until(lambda: claim(self.a.log.is_down))

    async def ends_for_all(self) -> None:
        """End the turn; readers on both workers get the whole of it."""
        self.writer.append(END)
        self.writer.close()
        last = self.writer.cursor.seq
        await shared(self.a, last)
        await until(
            lambda: claim(not self.a.log.is_down and self.b.log.listening_since is not None)
        )
        for worker in (self.a, self.b):
            assert await read_to_end(await worker.reader()) == (places(1, 1, last), False)


@asynccontextmanager
async def pair(redis: RedisServer, *, seq: int = 3) -> AsyncIterator[Pair]:
    """Run two workers, the first of which has shared some entries of a turn."""
    async with (
        running_proxy(redis.port) as link,
        workers(f"redis://127.0.0.1:{link.port}", "a", "b") as (a, b),
    ):
        writer = a.log.create(TURN)
        say(writer, seq)
        await shared(a, seq)
        yield Pair(a, b, link, writer)


@pytest.mark.fault(17)
async def test_a_turn_that_began_without_redis_is_shared_once_it_comes(redis: RedisServer) -> None:
    redis.kill()
    async with workers(redis.url, "a", "b") as (a, b):
        writer = a.log.create(TURN)
        mine = await a.reader()
        say(writer, 3)
        await until(lambda: claim(a.log.is_down))
        with pytest.raises(LogUnavailableError):
            await b.reader()
        await anyio.to_thread.run_sync(redis.restart)
        await shared(a, 3)
        reader = await b.reader()
        writer.append(END)
        writer.close()

        assert await read_to_end(mine) == (places(1, 1, 4), False)
        assert await read_to_end(reader) == (places(1, 1, 4), False)


@pytest.mark.fault(18)
async def test_readers_elsewhere_are_sent_away_once_redis_has_been_lost_for_too_long(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.following.POLL_EVERY_S", 0.05)
    monkeypatch.setattr("streaming.event_log.redis.following.LOST_AFTER_S", 0.1)
    async with pair(redis) as two:
        reader = await two.b.reader()
        redis.kill()

        assert await read_to_end(reader) == (places(1, 1, 3), True)
        with pytest.raises(LogUnavailableError):
            await two.b.reader()


@pytest.mark.fault(25)
async def test_readers_who_come_again_and_again_do_not_ask_a_lost_redis_each_time(
    redis: RedisServer,
) -> None:
    async with pair(redis) as two:
        redis.kill()
        await until(lambda: claim(two.b.log.listening_since is None))
        before = two.link.counts.connections
        for _ in range(CROWD):
            with pytest.raises(LogUnavailableError):
                await two.b.reader()

        assert two.link.counts.connections - before < CROWD / 5
        await anyio.to_thread.run_sync(redis.restart)
        await two.ends_for_all()


@pytest.mark.fault(19)
async def test_of_a_crowd_that_asks_a_silent_redis_nobody_waits_for_the_others(
    redis: RedisServer,
) -> None:
    told: list[bool] = []
    async with pair(redis) as two:

        async def come() -> None:
            with pytest.raises(LogUnavailableError):
                await two.b.reader()
            told.append(True)

        redis.pause()
        with anyio.fail_after(WAIT_S):
            await _at_once(come, CROWD)
        redis.resume()

        assert len(told) == CROWD
        await two.ends_for_all()


async def _at_once(call: Callable[[], Coroutine[None, None, None]], times: int) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(call)


@pytest.mark.fault(19)
async def test_a_lease_that_ran_out_while_redis_was_away_is_its_holders_to_get_back(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.leases.RETURN_S", WAIT_S)
    async with pair(redis) as two:
        two.a.pause()
        two.link.cut()
        await two.link.refuse()
        with pytest.raises(LogUnavailableError):
            await two.b.leases.overdue()
        with redis.client() as client:
            client.hset(lease_of(TURN), "until", 0)
            client.zadd(RUNNING, {TURN: 0})
        await two.link.heal()

        assert list(await two.b.leases.overdue()) == []
        monkeypatch.setattr("streaming.event_log.redis.leases.RETURN_S", 0.0)
        assert list(await two.b.leases.overdue()) == [TURN]


@pytest.mark.fault(20)
async def test_replies_that_are_lost_cost_no_entry_and_repeat_none(redis: RedisServer) -> None:
    async with pair(redis) as two:
        reader = await two.b.reader()
        two.link.drop(TO_CLIENT)
        await two.goes_on()
        await two.link.heal()
        two.writer.append(END)
        two.writer.close()
        last = two.writer.cursor.seq

        assert await read_to_end(reader) == (places(1, 1, last), False)


@pytest.mark.fault(20)
async def test_a_command_whose_answer_is_lost_is_told_again(redis: RedisServer) -> None:
    async with pair(redis) as two:
        two.link.drop(TO_CLIENT)
        with redis.client() as client:
            client.rpush(commands_of(TURN), b"stop")
        await two.goes_on()  # what was answered meanwhile has told nobody
        assert two.a.commands == []
        await two.link.heal()

        await until(lambda: claim((TURN, b"stop") in two.a.commands))
        with redis.client() as client:
            await until(lambda: claim(client.llen(commands_of(TURN)) == 0))


@pytest.mark.fault(22)
async def test_a_log_is_shared_again_once_a_full_redis_has_room(redis: RedisServer) -> None:
    async with pair(redis) as two:
        with redis.client() as client:
            client.config_set("maxmemory", "1kb")
            await two.goes_on()
            with pytest.raises(LogUnavailableError):
                await two.b.leases.tell(TURN, b"stop")
            client.config_set("maxmemory", "0")
        await two.ends_for_all()


@pytest.mark.fault(24)
async def test_readers_here_get_entries_before_a_slow_redis_has_told_anything(
    redis: RedisServer,
) -> None:
    async with pair(redis) as two:
        reader = await two.a.reader(two.writer.cursor)
        two.link.to_client.delay_s = WAIT_S
        said = two.link.counts.bytes[TO_CLIENT]
        say(two.writer, 100)

        assert reader.take(1 << 16).count(b"\n\n") == 100
        assert two.link.counts.bytes[TO_CLIENT] == said
        await two.link.heal()
        two.link.cut()
        await two.ends_for_all()


def _read_only(client: Redis, *, is_over: bool) -> None:
    where = ("NO", "ONE") if is_over else ("127.0.0.1", "1")
    client.replicaof(*where)


def _signed_out(client: Redis, *, is_over: bool) -> None:
    client.config_set("requirepass", "" if is_over else "other")
    client.client_kill_filter(_type="normal", skipme=True)
    client.client_kill_filter(_type="pubsub", skipme=True)


@pytest.mark.fault(25)
@pytest.mark.parametrize("refuse", [_read_only, _signed_out])
async def test_a_redis_that_refuses_is_asked_a_few_times_a_second_and_no_more(
    redis: RedisServer, refuse: Callable[..., None]
) -> None:
    async with pair(redis) as two:
        with redis.client() as client:
            refuse(client, is_over=False)
            await two.goes_on()
            asked = partial(_asked, client, two.link)
            before = asked()
            await anyio.sleep(LOOK_S)
            attempts = asked() - before
            refuse(client, is_over=True)
        await two.ends_for_all()

    assert 0 < attempts < ATTEMPTS


def _asked(client: Redis, link: FaultProxy) -> int:
    """Return how often Redis was connected to, or told to write."""
    stats = client.info("commandstats")
    scripts = [stats.get(f"cmdstat_{name}", {"calls": 0}) for name in ("evalsha", "eval")]
    return link.counts.connections + sum(int(each["calls"]) for each in scripts)
