"""Which other sites' pages may call, and what a run leaves in the log."""

from pathlib import Path

import pytest

from tests.e2e.told import ask, told_server
from tests.support.chat import cookie_of, log_of
from tests.support.server import running_server

pytestmark = pytest.mark.long

FRIEND = "https://friend.example"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, idempotency-key",
}


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", f"{FRIEND}.evil.example", "https://evilfriend.example"],
)
async def test_other_origins_are_never_let_in(tmp_path: Path, origin: str) -> None:
    async with running_server(tmp_path, allowed_origins=FRIEND) as server:
        for method, headers in (("GET", {}), ("OPTIONS", PREFLIGHT), ("POST", {})):
            answer = await server.client.request(
                method, "/api/v1/turns", headers={"Origin": origin, **headers}
            )
            assert "access-control-allow-origin" not in answer.headers
            assert answer.status_code >= 400


async def test_an_allowed_origin_may_write_and_read_with_its_cookie(tmp_path: Path) -> None:
    async with running_server(tmp_path, allowed_origins=FRIEND) as server:
        preflight = await server.client.options(
            "/api/v1/turns", headers={"Origin": FRIEND, **PREFLIGHT}
        )
        started = await server.client.post(
            "/api/v1/turns", json={"message": "Hello"}, headers={"Origin": FRIEND}
        )

        assert preflight.status_code == 200
        for answer in (preflight, started):
            assert answer.headers["access-control-allow-origin"] == FRIEND
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert "origin" in answer.headers["vary"].lower()
        assert started.status_code == 201
        assert "X-Turn-ID" in started.headers["access-control-expose-headers"]


async def test_without_allowed_origins_no_other_site_is_answered(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        for origin in (FRIEND, "null"):
            answer = await server.client.get("/api/v1/conversations", headers={"Origin": origin})
            assert "access-control-allow-origin" not in answer.headers


async def test_nothing_that_was_said_and_no_secret_is_in_the_log(tmp_path: Path) -> None:
    settings = {"openai_api_key": "sk-canary-key-of-the-provider", "log_level": "debug"}
    async with told_server(tmp_path, **settings) as (server, model):
        turn_id, telling = await ask(server, model, "canary-question")
        await telling.end("canary-answer")
        await server.all_events(turn_id)
        await server.client.post(
            "/api/v1/turns",
            json={"message": "canary-refused", "canary-field": "canary-value"},
            headers={"Idempotency-Key": "canary-idempotency"},
        )
        log = log_of(server)

        assert "turn.ended" in log
        assert "canary" not in log
        assert cookie_of(server).rpartition(".")[2] not in log
        for name in ("session-secret", "admin-token"):
            assert (tmp_path / name).read_text(encoding="ascii").strip() not in log
