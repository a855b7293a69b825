"""Redis goes wrong under two real workers: what their readers, callers and operators see.

Everything is judged by the invariants of `tests.chaos` as well: no gap, no repeat, no 500, every
reader is told the end, what is shown is stored.
"""

import signal
from pathlib import Path
from time import monotonic

import anyio
import pytest

from tests.chaos.guests import Model
from tests.chaos.scene import played
from tests.e2e.redis_faults import (
    LONG,
    SHORT,
    Refuse,
    answers_meanwhile,
    assert_unharmed,
    attached,
    attempts_at,
    closed,
    lag_of,
    lose_replies,
    names,
    read_only,
    recorded,
    signed_out,
    until_both_listen_again,
    until_both_tell,
    until_told,
)
from tests.e2e.test_workers import followed
from tests.support.fault_proxy import TO_CLIENT
from tests.support.redis import running_redis
from tests.support.redis_ha import running_cluster, running_sentinel

pytestmark = [pytest.mark.services, pytest.mark.long]

WHOLE = ("turn.started", "turn.completed")
LONGEST = Model("longest", "sim:tokens=800,rate=20,ttft=0.1", 800)
SILENT_S = 30.0
LATE_SHARE = 0.2
"""Of a busy machine's making: calls that held the loop up would make nearly all looks late."""

ATTEMPTS = 60
"""A second, of two workers: each looks, listens, writes, reads flags and audio a few times."""

SLOW_S = 1.0
"""Delay of every reply; a call takes one, an append with its listing two."""

SLOWEST_S = 60.0
"""So long no reply can come before what it is not to hold up."""


@pytest.mark.fault(17)
async def test_workers_that_find_no_redis_start_and_share_what_runs_once_it_comes(
    tmp_path: Path,
) -> None:
    with running_redis(tmp_path) as late:
        late.kill()
        async with played(tmp_path, LONG, SHORT, redis_url=late.url) as (scene, judged):
            await until_both_tell(scene, "unhealthy")
            await answers_meanwhile(scene)
            turn = await scene.start(LONG, scene.a)
            unshared = await attached(scene, turn, scene.b)
            await anyio.to_thread.run_sync(late.restart)
            await until_both_listen_again(scene)
            async with followed(scene, turn, scene.a, scene.b):
                pass

            assert names(unshared) == ["bye"]
            assert_unharmed(judged(), turn)
            assert closed(scene, turn, "bye") == 0
            assert scene.a.faults() == scene.b.faults() == []


@pytest.mark.fault(18)
async def test_a_redis_that_dies_in_mid_answer_costs_nobody_a_word(tmp_path: Path) -> None:
    async with played(tmp_path, LONG, SHORT) as (scene, judged):
        redis = scene.cluster.redis
        turn = await scene.start(LONG, scene.a)
        async with followed(scene, turn, scene.a, scene.b), recorded(scene, "redis-kill"):
            redis.kill()
            await until_both_tell(scene, "unhealthy")
            await scene.until(lambda: closed(scene, turn, "bye") > 0)
            running = await attached(scene, turn, scene.b)
            ended = [
                await attached(scene, each, scene.b) for each in await answers_meanwhile(scene)
            ]
            await anyio.to_thread.run_sync(redis.restart)
            await until_both_tell(scene, "healthy")

        assert names(running) == ["bye"]
        assert names(ended[0]) == ["turn.reset", "turn.completed"]  # from the record
        assert names(ended[1])[-1] == "turn.completed"
        assert_unharmed(judged(), turn)
        assert scene.a.faults() == scene.b.faults() == []


@pytest.mark.fault(19)
async def test_a_redis_that_answers_nothing_for_half_a_minute_holds_nobody_up(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, LONGEST, SHORT) as (scene, judged):
        redis = scene.cluster.redis
        turn = await scene.start(LONGEST, scene.a)
        async with followed(scene, turn, scene.a, scene.b), recorded(scene, "redis-pause"):
            began, lag = monotonic(), await lag_of(scene, scene.a)
            redis.pause()
            await until_both_tell(scene, "unhealthy")
            await scene.until(lambda: closed(scene, turn, "bye") > 0)
            await answers_meanwhile(scene)
            await scene.until(lambda: monotonic() >= began + SILENT_S)
            lag = (await lag_of(scene, scene.a)).since(lag)
            redis.resume()
            await until_both_tell(scene, "healthy")

        assert_unharmed(judged(), turn)
        assert lag.looks > SILENT_S  # it looks about four times a second
        assert lag.late_share < LATE_SHARE
        assert scene.a.faults() == scene.b.faults() == []


@pytest.mark.fault(20)
async def test_replies_of_redis_that_are_lost_double_nothing_and_lose_nothing(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, LONG) as (scene, judged):
        turn = await scene.start(LONG, scene.a)
        async with followed(scene, turn, scene.a, scene.b), recorded(scene, "redis-replies"):
            for link in (scene.a.redis, scene.b.redis, scene.a.redis):
                await lose_replies(scene, link)

        assert_unharmed(judged(), turn)


@pytest.mark.fault(21)
async def test_a_redis_that_comes_back_empty_is_told_all_again(tmp_path: Path) -> None:
    async with played(tmp_path, LONG, SHORT) as (scene, judged):
        redis = scene.cluster.redis
        ended = await scene.start(SHORT, scene.a)
        await attached(scene, ended, scene.a)
        turn = await scene.start(LONG, scene.a)
        async with followed(scene, turn, scene.a, scene.b), recorded(scene, "redis-kill"):
            redis.kill()
            await anyio.to_thread.run_sync(redis.restart)
            await until_both_listen_again(scene)
            of_the_record = await attached(scene, ended, scene.b)
            begun_again = await attached(scene, turn, scene.b)

        assert names(of_the_record) == ["turn.reset", "turn.completed"]
        assert (names(begun_again)[0], names(begun_again)[-1]) == WHOLE
        assert_unharmed(judged(), turn)


@pytest.mark.fault(22)
async def test_a_redis_without_memory_is_told_of_and_shared_with_again(tmp_path: Path) -> None:
    async with played(tmp_path, LONG, SHORT) as (scene, judged):
        turn = await scene.start(LONG, scene.a)
        with scene.cluster.redis.client() as client:
            async with followed(scene, turn, scene.a, scene.b), recorded(scene, "redis-full"):
                client.config_set("maxmemory", "1kb")
                await until_told(scene, scene.a, "unhealthy")
                await answers_meanwhile(scene)
                client.config_set("maxmemory", "0")
                await until_both_tell(scene, "healthy")

        assert_unharmed(judged(), turn)


@pytest.mark.fault(23)
async def test_a_primary_that_is_lost_under_a_running_turn_costs_no_reader_a_word(
    tmp_path: Path,
) -> None:
    with running_sentinel(tmp_path) as watched:
        async with played(tmp_path, LONG, SHORT, redis_url=watched.url) as (scene, judged):
            turn = await scene.start(LONG, scene.a)
            async with followed(scene, turn, scene.a, scene.b), recorded(scene, "redis-failover"):
                watched.primary.kill()
                await anyio.to_thread.run_sync(watched.wait_for_failover)
                await answers_meanwhile(scene)
                await until_both_listen_again(scene)
                from_elsewhere = await attached(scene, turn, scene.b)

            assert_unharmed(judged(), turn)
            assert (names(from_elsewhere)[0], names(from_elsewhere)[-1]) == WHOLE
            assert scene.a.faults() == scene.b.faults() == []


@pytest.mark.fault(1)
async def test_on_a_cluster_too_a_killed_worker_costs_no_reader_a_word(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_cluster(tmp_path_factory.mktemp("nodes")) as nodes:
        async with played(tmp_path, LONG, redis_url=nodes.url) as (scene, judged):
            turn = await scene.start(LONG, scene.a)
            async with followed(scene, turn, scene.a, scene.b):
                scene.a.signal(signal.SIGKILL)
                scene.fault("kill", scene.a)

            stored = judged().stored(turn)
            assert (stored.name, stored.epoch) == ("completed", 2)


@pytest.mark.fault(24)
async def test_a_slow_redis_delays_no_word_to_readers_of_the_turns_worker(tmp_path: Path) -> None:
    async with played(tmp_path, LONG, redis_timeout_s=5) as (scene, judged):
        links = [worker.redis for worker in (scene.a, scene.b)]
        for link in links:
            link.to_client.delay_s = SLOWEST_S
        told = [link.counts.bytes[TO_CLIENT] for link in links]
        turn = await scene.start(LONG, scene.a)
        async with recorded(scene, "redis-slow"), followed(scene, turn, scene.a):
            assert [link.counts.bytes[TO_CLIENT] for link in links] == told
            for link in links:
                link.cut()
                link.to_client.delay_s = SLOW_S
            async with followed(scene, turn, scene.b):
                pass

        assert_unharmed(judged(), turn)


@pytest.mark.fault(25)
@pytest.mark.parametrize("refuse", [read_only, signed_out])
async def test_a_redis_that_refuses_costs_nobody_a_word_and_is_not_stormed(
    tmp_path: Path, refuse: Refuse
) -> None:
    async with played(tmp_path, LONG, SHORT) as (scene, judged):
        turn = await scene.start(LONG, scene.a)
        with scene.cluster.redis.client() as client:
            async with followed(scene, turn, scene.a, scene.b), recorded(scene, "redis-refuses"):
                refuse(client, is_over=False)
                await until_told(scene, scene.a, "unhealthy")
                began, before = monotonic(), attempts_at(client, scene)
                await answers_meanwhile(scene)
                a_second = (attempts_at(client, scene) - before) / (monotonic() - began)
                refuse(client, is_over=True)
                await until_both_tell(scene, "healthy")

        assert_unharmed(judged(), turn)
        assert 0 < a_second < ATTEMPTS
        assert scene.a.faults() == scene.b.faults() == []
