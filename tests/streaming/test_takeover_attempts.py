"""What counts as a takeover of a turn, and what one that fails costs others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from history.model import TurnStatus
from streaming.event_log.redis.keys import RUNNING, lease_of
from tests.streaming.harness import deltas, follow
from tests.streaming.test_takeover import sites
from tests.support.redis import RedisServer, running_redis
from tests.support.sources import STOP, ScriptedTokenSource, StallingTokenSource


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


async def test_a_turn_that_is_handed_over_again_and_again_goes_on(
    server: RedisServer, tmp_path: Path
) -> None:
    sources = [StallingTokenSource([f"{count}, "]) for count in range(4)]
    last = ScriptedTokenSource(["all.", STOP])
    async with sites(server, tmp_path, *sources, last) as (made, _):
        turn_id = (await made[0].start()).spec.turn_id
        for source, site, next_site in zip(sources, made[:-1], made[1:], strict=True):
            await source.until_stalled()
            await site.runner.drain(0.0)
            await next_site.take()

        assert deltas(await follow(made[-1].worker.log, turn_id)) == "0, 1, 2, 3, all."


async def test_a_bug_costs_one_turn_and_none_of_those_beside_it(
    server: RedisServer, tmp_path: Path
) -> None:
    lost = StallingTokenSource(["One, "])
    async with sites(server, tmp_path, lost, StallingTokenSource()) as ((a, b), _):
        turn_ids = [(await a.start()).spec.turn_id for _ in range(5)]
        await a.share()
        for turn_id in turn_ids:
            await a.lose(turn_id)
        b.broken = turn_ids[2]

        assert await b.takeovers.look() == 4
        assert [turn_id for turn_id in turn_ids if b.runner.find(turn_id) is None] == [b.broken]
        for _ in range(3):
            await b.worker.redis("HSET", lease_of(b.broken), "until", 1)
            await b.worker.redis("ZADD", RUNNING, 1, b.broken)
            await b.takeovers.look()

        record = await b.record(b.broken)
        assert (record.status, record.text) == (TurnStatus.INTERRUPTED, "One, ")
