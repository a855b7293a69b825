"""Requests that must be refused, as data, against the real server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.server.bad_requests import BadRequest, bad_requests
from tests.support.chat import Chat, cookie_of, log_of
from tests.support.raw_http import RawAnswer, exchange


@dataclass
class Scene:
    """What the requests are aimed at: an owner's things, and another owner's."""

    chat: Chat
    cookie: str
    places: Mapping[str, str]

    async def stored(self) -> tuple[object, ...]:
        """Return all that the owner has, and what everybody shares."""
        conversations = await self.chat.server.client.get("/api/v1/conversations?limit=100")
        messages = await self.chat.messages(self.places["conversation"])
        flags = await self.chat.server.client.get("/api/v1/flags")
        segments = await self.chat.server.client.get("/api/v1/segments")
        return conversations.json(), messages, flags.json(), segments.json()


_scenes: dict[int, Scene] = {}


@pytest.fixture
async def scene(shared_chat: Chat, chat: Chat) -> Scene:
    """Set the scene once for the module; each test has a client of its own."""
    port = shared_chat.server.port
    if port not in _scenes:
        _scenes[port] = await _set_scene(chat)
    known = _scenes[port]
    name, _, value = known.cookie.partition("=")
    chat.server.client.cookies.set(name, value, domain="127.0.0.1")
    return Scene(chat, known.cookie, known.places)


async def _set_scene(chat: Chat) -> Scene:
    mine = await chat.server.run_turn("What is mine?")
    empty = await chat.server.client.post("/api/v1/conversations", json={})
    question, answer = await chat.messages(mine["conversation_id"])
    async with chat.joined() as other:
        theirs = await other.server.run_turn("What is theirs?")
    places = {
        "host": f"127.0.0.1:{chat.server.port}",
        "turn": mine["turn_id"],
        "TURN": mine["turn_id"].upper(),
        "conversation": mine["conversation_id"],
        "message": answer["message_id"],
        "question": question["message_id"],
        "empty_conversation": empty.json()["conversation_id"],
        "other_turn": theirs["turn_id"],
        "other_conversation": theirs["conversation_id"],
        "other_message": theirs["message_id"],
        "token": await _flags_of(chat),
    }
    return Scene(chat, cookie_of(chat.server), places)


async def _flags_of(chat: Chat) -> str:
    """Make flags that need each other, and return the operators' token."""
    token = (chat.server.data_dir / "admin-token").read_text(encoding="ascii").strip()
    staff = {"rules": [{"when": {"targetingKey": {"$inGroup": "staff"}}}]}
    needs = {"prerequisites": [{"flag": "needed", "variants": ["on"]}]}
    made: list[tuple[str, object]] = [
        ("segments/staff", {"include": ["bob"]}),
        ("flags/needed", staff),
        ("flags/needy", needs),
        ("flags/half", {"rollout": {"percentage": 50}}),
    ]
    for path, definition in made:
        answer = await chat.server.client.put(
            f"/api/v1/{path}", json=definition, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 201, answer.text
    return token


@pytest.mark.fault(12, 31)
@pytest.mark.parametrize("case", bad_requests(), ids=lambda case: case.id)
async def test_a_bad_request_is_refused_as_a_problem_and_leaves_nothing_behind(
    case: BadRequest, scene: Scene
) -> None:
    before, logged = await scene.stored(), len(log_of(scene.chat.server))
    server, upstream = scene.chat.server, (await scene.chat.simulator.stats())["requests"]

    answer = await exchange(server.port, case.to_bytes(server.port, scene.places, scene.cookie))

    assert answer.status == case.status, answer.body[:500]
    assert_is_problem(answer, case)
    assert await scene.stored() == before
    assert (await scene.chat.simulator.stats())["requests"] == upstream
    assert "Traceback" not in log_of(server)[logged:]


def assert_is_problem(answer: RawAnswer, case: BadRequest) -> None:
    """Hold an answer to the contract's form of a refusal."""
    assert answer.headers["x-request-id"]
    if case.status == 405:
        allowed = answer.headers["allow"].split(", ")
        assert allowed
        assert case.method not in allowed
    if case.path.startswith("/ofrep/"):
        assert answer.headers["content-type"] == "application/json"
        failure = json.loads(answer.body)
        assert failure["errorCode"] == case.code
        assert failure["errorDetails"]
        return
    assert answer.headers["content-type"] == "application/problem+json"
    if case.method == "HEAD":
        assert answer.body == b""
        return
    problem = json.loads(answer.body)
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    assert (problem["status"], problem["code"]) == (case.status, case.code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert len(answer.body) < 8192
    if case.status == 422:
        assert problem["detail"]
        assert all(error["message"] for error in problem.get("errors", []))
