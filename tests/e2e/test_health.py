"""What health and metrics tell of what the server stands on, while that is lost and found again."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.mongo import running_mongo
from tests.support.redis import running_redis
from tests.support.server import Server, running_server


async def check(server: Server, name: str) -> dict[str, Any]:
    """Return what health tells of one dependency."""
    found: dict[str, Any] = (await server.client.get("/health")).json()["checks"][name]
    return found


async def until_redis(server: Server, status: str, gauge: int) -> None:
    """Wait until health and metrics tell this of Redis."""
    with anyio.fail_after(15):
        while (await check(server, "redis"))["status"] != status or (  # noqa: ASYNC110
            f"\nchat_redis_down {gauge}.0\n" not in (await server.client.get("/metrics")).text
        ):
            await anyio.sleep(0.05)


async def until_left_alone(server: Server, *, is_open: bool) -> None:
    """Wait until health and metrics tell that Redis is left alone, or no more."""
    with anyio.fail_after(15):
        while (  # noqa: ASYNC110  # another process
            ((await check(server, "redis"))["breaker"] != "closed") != is_open
            or f"\nchat_redis_breaker_open {float(is_open)}\n"
            not in (await server.client.get("/metrics")).text
        ):
            await anyio.sleep(0.05)


async def test_by_itself_a_server_tells_of_one_model_and_no_redis(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        assert await check(server, "redis") == {"status": "off"}
        assert await check(server, "model") == {
            "status": "healthy",
            "kind": "offline",
            "sources": [
                {
                    "source": "primary",
                    "kind": "offline",
                    "status": "healthy",
                    "breaker": "closed",
                    "error": None,
                }
            ],
        }
        assert "breaker" not in await check(server, "history")
        assert (await server.client.get("/health")).json()["status"] == "healthy"


@pytest.mark.services
@pytest.mark.long
async def test_a_redis_that_is_lost_shows_also_while_nobody_chats(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as mongo, running_redis(tmp_path) as redis:
        settings = {"mongodb_uri": f"{mongo.uri}/x", "redis_url": redis.url}
        async with running_server(tmp_path / "data", **settings) as server:
            await until_redis(server, "healthy", 0)
            assert (await check(server, "redis"))["latency_ms"] < 1000
            redis.kill()
            await until_redis(server, "unhealthy", 1)
            await until_left_alone(server, is_open=True)
            whole = (await server.client.get("/health")).json()
            ready = await server.client.get("/health/ready")
            state = await server.run_turn()
            redis.restart()
            await until_redis(server, "healthy", 0)
            await until_left_alone(server, is_open=False)

    assert (whole["status"], ready.status_code) == ("degraded", 200)
    assert state["status"] == "completed"
