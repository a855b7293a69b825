"""Operators' figures of real processes: of all workers, past a kill, past a restart."""

import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.redis import running_redis
from tests.support.server import Server, running_server

pytestmark = pytest.mark.long

WAIT_S = 30.0
GONE_IN_S = 10.0
LOOK_S = 0.05


async def read(server: Server, path: str) -> dict[str, Any]:
    answer = await server.client.get(f"/api/metrics{path}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def until(claim: Callable[[], Awaitable[bool]], limit_s: float = WAIT_S) -> None:
    with anyio.fail_after(limit_s):
        while not await claim():  # noqa: ASYNC110  # in another process
            await anyio.sleep(LOOK_S)


async def charted_turns(server: Server) -> int:
    """Return the turns of the charts' last hour."""
    points = (await read(server, "/history?range=1h"))["points"]
    return sum(point["turns"]["on"]["completed"] for point in points)


@pytest.mark.services
async def test_two_workers_answer_for_both_and_a_killed_one_leaves_no_gauges(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        settings = {
            "redis_url": redis.url,
            "offline_tokens_per_s": 5,
            "max_response_chars": 200,
        }
        async with (
            running_server(tmp_path / "a", **settings) as one,
            running_server(tmp_path / "b", **settings) as other,
        ):
            await one.run_turn("Hi")
            for server in (one, other, other):
                await server.start()

            async def agree() -> bool:
                told = [await read(server, "/streaming") for server in (one, other)]
                return all(
                    each["workers"] == 2
                    and each["metrics"]["streams"]["active"] == 3
                    and each["metrics"]["streams"]["completed"] == 1
                    and each["metrics"]["latency"]["ttft_ms"]["count"] == 4
                    for each in told
                )

            await until(agree)
            assert (await read(one, ""))["active_turns"] == 1
            assert (await read(one, ""))["deployment"]["active_turns"] == 3
            assert "chat_turns_active 1.0" in (await one.client.get("/metrics")).text

            other.signal(signal.SIGKILL)
            killed_at = time.monotonic()

            async def alone() -> bool:
                told = await read(one, "/streaming/summary")
                return bool(told["workers"] == 1 and told["active_streams"] <= 3)

            await until(alone)
            assert time.monotonic() - killed_at < GONE_IN_S
            assert (await read(one, "/streaming"))["metrics"]["streams"]["started"] >= 4

            async def charted() -> bool:
                return await charted_turns(one) >= 1

            await until(charted)


async def test_what_was_charted_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        await server.run_turn()
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == 0

    async with running_server(tmp_path) as server:
        turns = await charted_turns(server)

    assert turns == 1
