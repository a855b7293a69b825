"""The shared log over several Redis servers: watched over by a Sentinel, and in a Cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from streaming.event_log.redis.keys import WAKE, commands_of, lease_of, log_of
from streaming.readership import READ_FOR_S
from tests.streaming.event_log.workers import (
    END,
    TURN,
    claim,
    places,
    read_to_end,
    say,
    shared,
    until,
    workers,
)
from tests.support.redis import RedisServer
from tests.support.redis_ha import Cluster, running_cluster, running_sentinel

pytestmark = [pytest.mark.services, pytest.mark.long]

AN_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Servers:
    """Redis as workers find it, and those of its servers that take writes."""

    url: str
    primaries: Sequence[RedisServer]

    def ask(self, *command: str) -> list[Any]:
        """Return what each of them answers."""
        answers = []
        for server in self.primaries:
            with server.client() as client:
                answers.append(client.execute_command(*command))
        return answers

    async def is_heard(self) -> bool:
        """Tell whether two workers listen to what is written."""
        listeners: int = sum(answer[1] for answer in self.ask("PUBSUB", "NUMSUB", WAKE))
        return listeners == 2


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running_sentinel(tmp_path_factory.mktemp("sentinel")) as sentinel:
        yield Servers(sentinel.url, [sentinel.primary])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def clustered(cluster: Cluster) -> Servers:
    return Servers(cluster.url, cluster.nodes)


@pytest.fixture(params=["watched", "clustered"])
def servers(request: pytest.FixtureRequest) -> Servers:
    found: Servers = request.getfixturevalue(request.param)
    found.ask("FLUSHALL")
    return found


async def test_a_reader_elsewhere_is_woken_for_what_is_written(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.event_log.redis.following.POLL_EVERY_S", AN_HOUR_S)
    async with workers(servers.url, "a", "b") as (a, b):
        await until(servers.is_heard)
        writer = a.log.create(TURN)
        say(writer, 10)
        await shared(a, 10)
        reader = await b.reader()
        for _ in range(30):
            say(writer, 3)
            await anyio.sleep(0.005)
        writer.append(END)
        writer.close()

        assert await read_to_end(reader) == (places(1, 1, 101), False)


async def test_the_holder_hears_at_once_of_readers_elsewhere_and_of_their_leaving(
    servers: Servers,
) -> None:
    async with workers(servers.url, "a", "b") as (a, b):
        await until(servers.is_heard)
        say(a.log.create(TURN), 1)
        say(a.log.create("turn_2"), 1)
        turns = {TURN, "turn_2"}
        await b.leases.tell_readers(read=turns, left=(), for_s=READ_FOR_S)
        await until(lambda: claim({who for who, for_s in a.read if for_s > 0} == turns))
        a.read.clear()
        with anyio.fail_after(READ_FOR_S / 2):
            await b.leases.tell_readers(read=(), left={TURN}, for_s=READ_FOR_S)
            await until(lambda: claim({who for who, for_s in a.read if for_s == 0} == {TURN}))


async def test_a_former_holder_is_refused_and_its_successor_goes_on(servers: Servers) -> None:
    async with workers(servers.url, "a", "b") as (a, b):
        lost: list[int] = []
        writer = a.log.create(TURN, lambda: lost.append(1))
        say(writer, 5)
        await shared(a, 5)
        reader = await b.reader()
        await b.redis("HSET", lease_of(TURN), "until", 0)
        taken = await b.leases.take(TURN, epoch=1, last_seq=5, on_lost=lambda: None)
        assert taken is not None
        say(writer, 1)
        await until(lambda: claim(bool(lost)))
        say(taken.writer, 1)
        taken.writer.append(END)
        taken.writer.close()

        assert (len(taken.frames), taken.base) == (5, 0)
        assert await read_to_end(reader) == (places(1, 1, 5) + places(2, 6, 7), False)


async def test_turns_of_many_slots_are_listed_as_overdue_once_nobody_holds_them(
    servers: Servers,
) -> None:
    turns = [f"turn_{number}" for number in range(20)]
    async with workers(servers.url, "a", "b") as (a, b):
        for turn_id in turns:
            say(a.log.create(turn_id), 1)
        await a.log.settle()

        assert list(await b.leases.overdue()) == []
        for turn_id in turns:
            await until(lambda turn_id=turn_id: a.leases.release(turn_id, 1))  # type: ignore[misc]  # bound now
        assert sorted(await b.leases.overdue()) == sorted(turns)
        for turn_id in turns:
            await b.leases.unlist(turn_id)
        assert list(await b.leases.overdue()) == []


async def test_a_command_reaches_the_holder(servers: Servers) -> None:
    async with workers(servers.url, "a", "b") as (a, b):
        say(a.log.create(TURN), 1)
        await shared(a, 1)

        assert await b.leases.tell(TURN, b"stop")
        await until(lambda: claim(bool(a.commands)))

        assert (a.commands, b.commands) == ([(TURN, b"stop")], [])


@pytest.mark.fault(21)
async def test_a_log_that_was_lost_is_sent_again(servers: Servers) -> None:
    async with workers(servers.url, "a", "b") as (a, b):
        writer = a.log.create(TURN)
        say(writer, 50)
        await shared(a, 50)
        reader = await b.reader()
        servers.ask("FLUSHALL")
        say(writer, 1)
        writer.append(END)
        writer.close()
        await shared(a, 52)

        assert await read_to_end(reader) == (places(1, 1, 52), False)
        assert await read_to_end(await b.reader()) == (places(1, 1, 52), False)


def test_all_keys_of_a_turn_have_one_slot(clustered: Servers) -> None:
    names = [key_of(TURN) for key_of in (lease_of, log_of, commands_of)]

    slots = {slot for name in names for slot in clustered.ask("CLUSTER", "KEYSLOT", name)}

    assert len(slots) == 1


async def test_a_turn_whose_slot_moves_to_another_node_goes_on(
    cluster: Cluster, clustered: Servers
) -> None:
    clustered.ask("FLUSHALL")
    source, target = cluster.nodes[:2]
    cluster.move(log_of(TURN), source)
    async with workers(cluster.url, "a", "b") as (a, b):
        writer = a.log.create(TURN)
        say(writer, 20)
        await shared(a, 20)
        reader = await b.reader()
        with cluster.moving(log_of(TURN), target):
            say(writer, 20)
            await until(lambda: claim(a.log.is_down))  # for keys on both nodes there is no script
        say(writer, 20)
        writer.append(END)
        writer.close()

        assert await read_to_end(reader) == (places(1, 1, 61), False)


@pytest.mark.fault(23)
@pytest.mark.long
async def test_a_primary_lost_in_mid_answer_costs_readers_elsewhere_nothing(tmp_path: Path) -> None:
    with running_sentinel(tmp_path) as sentinel:
        async with workers(sentinel.url, "a", "b") as (a, b):
            writer = a.log.create(TURN)
            say(writer, 20)
            await shared(a, 20)
            reader = await b.reader()
            sentinel.primary.kill()
            say(writer, 20)
            await anyio.to_thread.run_sync(sentinel.wait_for_failover)
            say(writer, 20)
            writer.append(END)
            writer.close()
            await shared(a, 61)

            assert await read_to_end(reader) == (places(1, 1, 61), False)
            assert await read_to_end(await b.reader()) == (places(1, 1, 61), False)


@pytest.mark.fault(23)
@pytest.mark.long
async def test_a_node_lost_in_mid_answer_is_replaced_and_costs_readers_elsewhere_nothing(
    tmp_path: Path,
) -> None:
    with running_cluster(tmp_path, with_replica=True) as cluster:
        lost = cluster.nodes[0]
        cluster.move(log_of(TURN), lost)
        async with workers(cluster.url, "a", "b") as (a, b):
            writer = a.log.create(TURN)
            say(writer, 20)
            await shared(a, 20)
            reader = await b.reader()
            lost.kill()
            say(writer, 20)
            writer.append(END)
            writer.close()
            await shared(a, 41)

            assert await read_to_end(reader) == (places(1, 1, 41), False)
            assert await read_to_end(await b.reader()) == (places(1, 1, 41), False)
