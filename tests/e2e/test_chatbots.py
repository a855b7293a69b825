"""Chatbots as operators change them, and as everybody else sees them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.operators import Operator, operated_server, operator_fixtures
from tests.support.front import unfronted
from tests.support.production import PRODUCTION
from tests.support.server import client_of

CHATBOTS = "/api/v1/chatbots"
NUL = pytest.param("a%00", marks=unfronted("it refuses such an address itself"))
POET = {
    "name": "Dichter 🦉",
    "instructions": "Answer in verse. שלום",
    "model": "offline",
    "temperature": 0.5,
    "voice": "en-GB",
    "greeting": "Speak, friend",
    "max_response_chars": 500,
    "on_break": "restart",
    "moderation": "off",
    "enabled": True,
}
PLAIN = {"name": "Plain", "instructions": "Answer."}

shared_server, operator = operator_fixtures()


@pytest.fixture
async def poet(operator: Operator) -> AsyncIterator[dict[str, Any]]:
    """Have a chatbot, as it was stored."""
    yield await operator.put(f"{CHATBOTS}/poet", POET)
    await operator.http.delete(f"{CHATBOTS}/poet")


async def test_an_admin_makes_a_chatbot_and_replaces_all_of_it(operator: Operator) -> None:
    path = f"{CHATBOTS}/writer"

    made = await operator.http.put(path, json=POET)
    replaced = await operator.http.put(path, json=PLAIN)

    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.json() == {"chatbot_id": "writer", "version": 1, **POET}
    assert (replaced.status_code, replaced.headers["etag"]) == (200, '"2"')
    assert replaced.json() == {
        "chatbot_id": "writer", "version": 2, **PLAIN,
        "on_break": "continue", "moderation": "off", "enabled": True,
    }  # fmt: skip
    assert await operator.get(path) == replaced.json()
    assert (await operator.http.get(path)).headers["cache-control"] == "no-store"


async def test_what_was_read_may_be_sent_back(operator: Operator, poet: dict[str, Any]) -> None:
    read = await operator.get(f"{CHATBOTS}/poet")

    assert read == poet
    assert await operator.put(f"{CHATBOTS}/poet", read) == {**poet, "version": 2}
    cleared = {**poet, "model": None, "temperature": None, "greeting": None}
    kept = {name: value for name, value in cleared.items() if value is not None}
    assert await operator.put(f"{CHATBOTS}/poet", cleared) == {**kept, "version": 3}


async def test_a_guest_sees_what_is_enabled_and_no_instructions(
    operator: Operator, poet: dict[str, Any]
) -> None:
    await operator.put(f"{CHATBOTS}/hidden", {**PLAIN, "enabled": False})
    guest = operator.server.client

    listed = (await guest.get(CHATBOTS)).json()["chatbots"]
    one = await guest.get(f"{CHATBOTS}/poet")
    hidden = await guest.get(f"{CHATBOTS}/hidden")
    seen = {bot["chatbot_id"]: bot for bot in (await operator.get(CHATBOTS))["chatbots"]}

    shown = {k: v for k, v in poet.items() if k not in {"instructions", "moderation", "version"}}
    assert one.json() == shown
    assert shown in listed
    assert not any("instructions" in bot or bot["chatbot_id"] == "hidden" for bot in listed)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "chatbot_not_found")
    assert "etag" not in one.headers
    assert seen["poet"] == poet
    assert seen["hidden"] == await operator.get(f"{CHATBOTS}/hidden")
    assert seen["hidden"]["enabled"] is False
    assert (await operator.http.delete(f"{CHATBOTS}/hidden")).status_code == 204


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_only_an_admin_changes_chatbots(
    operator: Operator, poet: dict[str, Any], method: str, token: str | None
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with client_of(operator.server.port) as caller:
        answer = await caller.request(method, f"{CHATBOTS}/poet", json=PLAIN, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert not caller.cookies
        read = await caller.get(f"{CHATBOTS}/poet", headers=headers)
        assert "instructions" not in read.json()
    assert await operator.get(f"{CHATBOTS}/poet") == poet


async def test_a_page_of_another_site_changes_no_chatbot(operator: Operator) -> None:
    headers = {"Origin": "https://evil.example"}

    answers = [
        await operator.http.request(method, f"{CHATBOTS}/evil", json=PLAIN, headers=headers)
        for method in ("PUT", "DELETE")
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (403, "cross_site")
    ] * 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": None}, "name"),
        ({"instructions": "\n"}, "instructions"),
        ({"instructions": "x" * 32_001}, "instructions"),
        ({"instructions": 7}, "instructions"),
        ({"model": ""}, "model"),
        ({"model": "x" * 101}, "model"),
        ({"voice": "x" * 101}, "voice"),
        ({"greeting": "x" * 2_001}, "greeting"),
        ({"greeting": "a\0b"}, "greeting"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_response_chars": 0}, "max_response_chars"),
        ({"max_response_chars": 2001}, "max_response_chars"),
        ({"max_response_chars": 10**30}, "max_response_chars"),
        ({"max_response_chars": 1.5}, "max_response_chars"),
        ({"on_break": "give up"}, "on_break"),
        ({"on_break": None}, "on_break"),
        ({"moderation": "sometimes"}, "moderation"),
        ({"moderation": "flag"}, "moderation"),  # nobody judges here
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"chatbot_id": "another"}, "chatbot_id"),
        ({"instruction": "a typing error"}, "instruction"),
    ],
)
async def test_what_no_chatbot_can_be_is_refused_and_named(
    operator: Operator, change: dict[str, object], field: str
) -> None:
    answer = await operator.http.put(f"{CHATBOTS}/refused", json={**PLAIN, **change})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await operator.http.get(f"{CHATBOTS}/refused")).status_code == 404


async def test_every_field_that_is_wrong_is_told_at_once(operator: Operator) -> None:
    wrong = {"temperature": 3, "max_response_chars": 5000, "on_break": "no", "extra": 1}

    answer = await operator.http.put(f"{CHATBOTS}/refused", json=wrong)

    errors = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert set(errors) == {*wrong, "name", "instructions"}
    assert errors["max_response_chars"] == "must be at most 2000, which is MAX_RESPONSE_CHARS"


@pytest.mark.parametrize("least", [0, 2, 1])
async def test_the_bounds_themselves_are_allowed(operator: Operator, least: float) -> None:
    body = {
        "name": "x" * 100,
        "instructions": "x" * 32_000,
        "greeting": "x" * 2_000,
        "temperature": least,
        "max_response_chars": 2000,
    }

    stored = await operator.put(f"{CHATBOTS}/{'x' * 64}", body)

    assert body.items() <= stored.items()
    assert (await operator.http.delete(f"{CHATBOTS}/{'x' * 64}")).status_code == 204


@pytest.mark.parametrize("chatbot_id", ["x" * 65, "a.b", "a b", "ä", NUL, "a%0A"])
async def test_an_id_that_no_turn_could_name_is_refused(
    operator: Operator, chatbot_id: str
) -> None:
    answer = await operator.http.put(f"{CHATBOTS}/{chatbot_id}", json=PLAIN)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "chatbot_id"
    assert (await operator.http.get(f"{CHATBOTS}/{chatbot_id}")).status_code == 404
    assert (await operator.http.delete(f"{CHATBOTS}/{chatbot_id}")).status_code == 404


@pytest.mark.usefixtures("poet")
async def test_a_change_for_a_version_holds_only_at_that_version(operator: Operator) -> None:
    path = f"{CHATBOTS}/poet"
    await operator.put(path, PLAIN, if_match='"1"')

    late = [
        await operator.http.put(path, json=POET, headers={"If-Match": '"1"'}),
        await operator.http.put(path, json=POET, headers={"If-None-Match": "*"}),
        await operator.http.delete(path, headers={"If-Match": "1"}),
    ]
    garbled = await operator.http.put(path, json=POET, headers={"If-Match": "poet"})

    for answer in late:
        assert (answer.status_code, answer.json()["code"]) == (412, "version_conflict")
        assert (answer.json()["version"], answer.headers["etag"]) == (2, '"2"')
    assert (garbled.status_code, garbled.json()["code"]) == (400, "malformed")
    assert (await operator.get(path))["name"] == "Plain"
    assert (await operator.http.delete(path, headers={"If-Match": '"2"'})).status_code == 204
    assert (await operator.http.delete(path, headers={"If-Match": '"2"'})).status_code == 404
    await operator.put(path, POET, if_none_match="*")


async def test_the_default_chatbot_is_changed_and_disabled_but_never_deleted(
    tmp_path: Path,
) -> None:
    async with operated_server(tmp_path) as operator:
        refused = await operator.http.delete(f"{CHATBOTS}/default")
        await operator.put(f"{CHATBOTS}/default", {**PLAIN, "greeting": "Hi!"})
        greeting = (await operator.server.client.get(f"{CHATBOTS}/default")).json()["greeting"]
        state = await operator.server.run_turn()
        await operator.put(f"{CHATBOTS}/default", {**PLAIN, "enabled": False})
        unasked = await operator.server.client.post("/api/v1/turns", json={"message": "Hello"})

    assert (refused.status_code, refused.json()["code"]) == (409, "chatbot_required")
    assert "disable it" in refused.json()["detail"]
    assert (greeting, state["status"]) == ("Hi!", "completed")
    assert (unasked.status_code, unasked.json()["code"]) == (404, "chatbot_not_found")


async def test_a_turn_asks_the_chatbot_as_it_is_stored_now(
    operator: Operator, poet: dict[str, Any]
) -> None:
    server, path = operator.server, f"{CHATBOTS}/{poet['chatbot_id']}"
    first = await server.run_turn("What is a turn?", chatbot_id="poet")
    await operator.put(path, {**POET, "max_response_chars": 20})
    second = await server.run_turn("What is a turn?", chatbot_id="poet")

    await operator.http.delete(path)

    where = {"conversation_id": first["conversation_id"]}
    gone = await server.client.post("/api/v1/turns", json={"message": "Hello", **where})
    kept = await server.client.get(f"/api/v1/conversations/{first['conversation_id']}/messages")
    assert len(first["text"]) > 20 >= len(second["text"])
    assert (second["finish_reason"], gone.status_code) == ("length", 404)
    assert gone.json()["code"] == "chatbot_not_found"
    assert kept.json()["messages"][-1]["text"] == first["text"]
    other = await server.run_turn("Hello", chatbot_id="default", **where)
    assert other["status"] == "completed"


async def test_in_production_the_token_is_enough_where_guests_are_not_let_in(
    tmp_path: Path,
) -> None:
    token = "operators-token-operators-token-0001"  # noqa: S105 - made up for the tests
    async with operated_server(tmp_path, **{**PRODUCTION, "admin_token": token}) as operator:
        await operator.put(f"{CHATBOTS}/poet", POET)
        listed = (await operator.get(CHATBOTS))["chatbots"]
        refused = [
            await operator.server.client.request(method, f"{CHATBOTS}/poet")
            for method in ("GET", "PUT", "DELETE")
        ]

    assert [bot["chatbot_id"] for bot in listed] == ["default", "poet"]
    assert [each.status_code for each in refused] == [401] * 3
