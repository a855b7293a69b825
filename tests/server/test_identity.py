"""A guest is known by a cookie, whatever else its browser sends along."""

from pathlib import Path

import pytest

from tests.support.server import running_server

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    "cookies", ['prefs={"x":1}; {}', "{}; na me=1", "x; {}", "a=b c; {}", "{}; =", "; {};;"]
)
async def test_other_applications_cookies_do_not_hide_the_guests(
    tmp_path: Path, cookies: str
) -> None:
    async with running_server(tmp_path) as server:
        conversation = (await server.client.post("/api/v1/conversations", json={})).json()
        guest = f"chat_guest={server.client.cookies['chat_guest']}"
        path = f"/api/v1/conversations/{conversation['conversation_id']}"

        async with server.guest() as client:
            header = cookies.replace("{}", guest)
            answer = await client.get(path, headers={"Cookie": header})

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


async def test_the_same_key_for_speech_and_for_text_is_a_conflict(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        key = {"Idempotency-Key": "one"}
        body = {"message": "Hello"}

        first = await server.client.post("/api/v1/turns", json=body, headers=key)
        other = await server.client.post("/api/v1/turns", json=body | {"speech": True}, headers=key)

    assert (first.status_code, other.status_code) == (201, 409)
    assert other.json()["code"] == "idempotency_conflict"
