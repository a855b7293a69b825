"""What the server really answers is what its description says: each operation is asked once."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.described import Described
from tests.support.server import Server, running_server

pytestmark = pytest.mark.services

PASSWORD = "a sentence that nobody says twice"  # noqa: S105  # of a server that ends with the test
PROOF: dict[str, Any] = {"password": PASSWORD, "reason": "a test"}
NOT_ASKED = {
    "GET /admin/events": "never ends by itself; tests/e2e/test_admin_page.py reads it",
    "GET /api/v1/auth/oidc/login": "leads to a provider; see tests/e2e/test_oidc.py",
    "GET /api/v1/auth/oidc/callback": "comes from a provider; see tests/e2e/test_oidc.py",
}


async def test_every_answer_is_what_the_description_says(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        described = Described((await server.client.get("/openapi.json")).json())
        token = (tmp_path / "data/admin-token").read_text().strip()
        async with (
            _watched(server, described) as guest,
            _watched(server, described) as user,
            _watched(server, described, token=token) as operator,
        ):
            await _talk(guest)
            await _sign_in(user)
            await _operate(operator)
            await _keep_accounts(operator)

        assert described.seen | set(NOT_ASKED) == described.operations


def _watched(server: Server, described: Described, *, token: str = "") -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        event_hooks={"response": [described.watch]},
        timeout=15,
        verify=False,  # noqa: S501  # there is no TLS
    )


async def _talk(guest: httpx.AsyncClient) -> None:
    """Have a conversation; then what a guest may be refused."""
    chat = (await guest.post("/api/v1/conversations", json={"title": "Tides"})).json()
    one = f"/api/v1/conversations/{chat['conversation_id']}"
    body = {"message": "Hello", "conversation_id": chat["conversation_id"], "speech": True}
    streamed = await guest.post("/api/v1/turns", json=body, headers={"Accept": "text/event-stream"})
    turn = f"/api/v1/turns/{streamed.headers['x-turn-id']}"
    for path in (turn, f"{turn}/events", one, f"{one}/messages", "/api/v1/conversations"):
        assert (await guest.get(path)).is_success
    assert (await guest.get(f"{one}/messages?before={2**53}")).is_success
    last = f"{streamed.headers['x-turn-id']}.1-{(await guest.get(turn)).json()['last_seq']}"
    assert (await guest.get(f"{turn}/events?last_event_id={last}")).status_code == 204
    assert (await guest.get(f"{turn}/events?last_event_id=none")).status_code == 400
    assert (await guest.post(f"{turn}/cancel")).json()["status"] == "completed"
    playback = {"played_s": 1, "buffered_s": 0}
    assert (await guest.post(f"{turn}/playback", json=playback)).status_code == 204
    started = await guest.post("/api/v1/turns", json={"message": "And now?"})
    assert started.status_code == 201
    await guest.get(started.json()["events_url"])
    answer = (await guest.get(f"{one}/messages")).json()["messages"][-1]["message_id"]
    rated = await guest.put(f"/api/v1/messages/{answer}/feedback", json={"rating": "up"})
    assert rated.json()["feedback"]["rating"] == "up"
    assert (await guest.patch(one, json={"title": "Ebb and flow"})).is_success
    assert (await guest.patch(one, json={"title": 7})).status_code == 422
    assert (await guest.delete(one)).status_code == 204
    assert (await guest.get(one)).status_code == 404
    await _look_round(guest, streamed.headers["x-turn-id"])


async def _look_round(guest: httpx.AsyncClient, turn_id: str) -> None:
    for path in (
        "/api/v1/chatbots",
        "/api/v1/chatbots/default",
        "/api/v1/limits",
        "/api/v1/auth/options",
        "/api/v1/auth/me",
        "/api/v1/speech/voices",
        f"/api/v1/speech/{turn_id}.0",
        "/openapi.json",
    ):
        assert (await guest.get(path)).status_code in {200, 404, 503}
    assert (await guest.post("/api/v1/speech", json={"text": "Hello"})).status_code in {200, 503}
    beacon = {"turn_id": turn_id, "ttft_ms": 12.5}
    assert (await guest.post("/api/v1/beacons", json=beacon)).status_code == 204
    assert (await guest.post("/api/v1/turns", json={})).status_code == 422
    assert (await guest.post("/api/v1/turns", content=b"{}")).status_code == 415


async def _sign_in(user: httpx.AsyncClient) -> None:
    """Register, come back, make a key, and go."""
    assert (await user.post("/api/v1/auth/guest")).is_success
    account = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
    assert (await user.post("/api/v1/auth/register", json=account)).status_code == 201
    (first,) = (await user.get("/api/v1/auth/sessions")).json()["sessions"]
    wrong = {"email": "ann@example.com", "password": "another sentence altogether"}
    assert (await user.post("/api/v1/auth/login", json=wrong)).status_code == 401
    login = {"email": "ann@example.com", "password": PASSWORD}
    assert (await user.post("/api/v1/auth/login", json=login)).is_success
    assert (await user.post("/api/v1/auth/refresh")).is_success
    assert (await user.patch("/api/v1/auth/me", json={"name": "Anne"})).is_success
    assert (await user.delete(f"/api/v1/auth/sessions/{first['session_id']}")).status_code == 204
    key = (await user.post("/api/v1/api-keys", json={"name": "shop", "scopes": ["chat"]})).json()
    assert (await user.get("/api/v1/api-keys")).json()["api_keys"][0]["key_id"] == key["key_id"]
    assert (await user.delete(f"/api/v1/api-keys/{key['key_id']}")).status_code == 204
    assert (await user.get("/api/v1/users")).status_code == 403
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD}, ever"}
    assert (await user.post("/api/v1/auth/password", json=change)).status_code == 204
    gone = await user.request("DELETE", "/api/v1/auth/me", json={"password": f"{PASSWORD}, ever"})
    assert gone.status_code == 204
    assert (await user.post("/api/v1/auth/logout")).status_code == 204


async def _operate(operator: httpx.AsyncClient) -> None:
    """Look at the figures, and change flags, segments, a rollout and a chatbot."""
    for path in (
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/api/metrics",
        "/api/metrics/health/streaming",
        "/api/metrics/streaming",
        "/api/metrics/streaming/summary",
        "/api/metrics/history",
        "/api/metrics/feature-flags",
        "/api/v1/flags",
        "/api/v1/segments",
        "/admin/session",
    ):
        assert (await operator.get(path)).status_code == 200, path
    await _change_flags(operator)
    await _lead(operator)
    bot = {"name": "Tutor", "instructions": "Explain."}
    assert (await operator.put("/api/v1/chatbots/tutor", json=bot)).status_code == 201
    assert (await operator.get("/api/v1/chatbots/tutor/versions")).is_success
    assert (await operator.delete("/api/v1/chatbots/tutor")).status_code == 204
    assert (await operator.post("/admin/session", json={"token": "wrong"})).status_code == 401
    assert (await operator.delete("/admin/session")).status_code == 204


async def _change_flags(operator: httpx.AsyncClient) -> None:
    segment, flag = "/api/v1/segments/testers", "/api/v1/flags/greeting"
    assert (await operator.put(segment, json={"include": ["ann"]})).status_code == 201
    assert (await operator.get(segment)).is_success
    rule = {"when": {"segment": {"$in": ["testers"]}}, "percentage": 50}
    assert (await operator.put(flag, json={"enabled": True, "rules": []})).status_code == 201
    assert (await operator.put(flag, json={"rules": [rule]})).status_code in {200, 422}
    assert (await operator.put(flag, json={"colour": 1})).status_code == 422
    for path in (flag, f"{flag}/history", f"{flag}/explain?user_id=ann"):
        assert (await operator.get(path)).is_success
    assert (await operator.post(f"{flag}/kill", json={"reason": "a test"})).is_success
    assert (await operator.delete(f"{flag}/kill")).is_success
    context = {"context": {"targetingKey": "ann"}}
    assert (await operator.post("/ofrep/v1/evaluate/flags", json=context)).is_success
    assert (await operator.post("/ofrep/v1/evaluate/flags/greeting", json=context)).is_success
    assert (await operator.post("/ofrep/v1/evaluate/flags/none", json=context)).status_code == 404
    stale = await operator.delete(flag, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await operator.delete(flag)).status_code == 204
    assert (await operator.delete(segment)).status_code == 204


async def _lead(operator: httpx.AsyncClient) -> None:
    flag = "/api/v1/flags/streaming"
    percentage = {"feature": "streaming", "percentage": 1}
    set_to = await operator.post("/api/metrics/feature-flags/rollout", json=percentage)
    assert set_to.json()["percentage"] == 1
    assert (await operator.post(f"{flag}/rollout/start", json={"stages": [1, 100]})).is_success
    for action in ("pause", "resume", "rollout/pause", "rollout/resume"):
        assert (await operator.post(f"{flag}/{action}")).is_success, action
    for action in ("approve", "rollout/approve"):
        assert (await operator.post(f"{flag}/{action}")).status_code == 409
    assert (await operator.get(f"{flag}/rollout/history")).json()["history"]
    assert (await operator.get("/api/metrics/feature-flags")).is_success


async def _keep_accounts(operator: httpx.AsyncClient) -> None:
    """Make a user, look at what they have, and take it away."""
    made = await operator.post("/api/v1/users", json={"email": "bo@example.com", **PROOF})
    assert made.status_code == 201
    one = f"/api/v1/users/{made.json()['user_id']}"
    why = {"reason": "a test"}
    assert (await operator.patch(one, json={"name": "Bo", **why})).is_success
    assert (await operator.post(f"{one}/password", json=PROOF)).status_code == 204
    for path in ("/api/v1/users", one, f"{one}/sessions", f"{one}/api-keys", "/api/v1/audit"):
        assert (await operator.get(path)).is_success, path
    assert (await operator.delete(f"{one}/sessions", params=why)).is_success
    for missing in ("sessions/none", "api-keys/none"):
        assert (await operator.delete(f"{one}/{missing}", params=why)).status_code in {204, 404}
