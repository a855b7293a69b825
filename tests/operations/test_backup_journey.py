"""A whole service lost and brought back: MongoDB, Redis, real turns, as its user sees them."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.operations.stored import documents, wipe
from tests.support.mongo import running_mongo
from tests.support.redis import running_redis
from tests.support.server import ROOT, Server, running_server

pytestmark = [pytest.mark.services, pytest.mark.long]

SECRETS = {"session_secret": "kept-beside-the-archive-for-the-test-1"}


async def script(name: str, *arguments: str, **settings: object) -> str:
    """Run a script with these settings; it must end well. Return what it said."""
    environment = {key.upper(): str(value) for key, value in settings.items()}
    done = await anyio.run_process(
        [str(ROOT / "scripts" / name), *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


async def seen(server: Server) -> list[Any]:
    """Return all that the user sees: conversations in their order, with their messages."""
    listed = (await server.client.get("/api/v1/conversations")).json()["conversations"]
    return [
        (
            each,
            (
                await server.client.get(f"/api/v1/conversations/{each['conversation_id']}/messages")
            ).json(),
        )
        for each in listed
    ]


async def test_a_user_finds_everything_after_a_loss(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "r").mkdir()
    with running_mongo(tmp_path / "m") as mongo, running_redis(tmp_path / "r") as redis:
        uri = f"{mongo.uri}/journey"
        settings = {"mongodb_uri": uri, "redis_url": redis.url, **SECRETS}
        async with running_server(tmp_path / "one", **settings) as server:
            for number in range(5):
                await server.run_turn(f"Question {number}")
            await script("backup", str(tmp_path / "a"), data_dir=tmp_path / "one", **settings)
            before, cookies = await seen(server), server.client.cookies
        stored = documents(uri)["messages"]

        wipe(uri)
        with redis.client() as client:
            client.flushall()
        archive = str(next((tmp_path / "a").iterdir()))
        await script("restore", archive, data_dir=tmp_path / "two", **settings)

        assert documents(uri)["messages"] == stored
        said = await script("verify-indexes", data_dir=tmp_path / "two", **settings)
        assert "all indexes exist" in said
        async with running_server(tmp_path / "two", **settings) as server:
            server.client.cookies = cookies
            assert await seen(server) == before
            assert len(before) == 5
            await server.run_turn("And on", conversation_id=before[0][0]["conversation_id"])
