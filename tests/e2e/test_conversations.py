"""Conversations over HTTP: listed, named, paged, rated, and gone when deleted."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.told import ask, told_server
from tests.support.chat import Chat, chat_fixtures
from tests.support.server import running_server

shared_chat, chat = chat_fixtures(models={"fast": "sim:tokens=10,rate=0"})
CONVERSATIONS = "/api/v1/conversations"


async def listed(chat: Chat, query: str = "") -> dict[str, Any]:
    """Return a page of the guest's conversations."""
    answer = await chat.server.client.get(f"{CONVERSATIONS}{query}")
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("Short", "Short"),
        ("  Two\n\n  lines\t here ", "Two lines here"),
        ("x" * 60, "x" * 60),
        ("word " * 30, "word " * 11 + "word…"),
        ("x" * 100, "x" * 60 + "…"),
        ("😀" * 61, "😀" * 60 + "…"),
    ],
)
async def test_a_conversation_is_named_after_its_first_message(
    chat: Chat, message: str, title: str
) -> None:
    await chat.server.run_turn(message, chatbot_id="fast")

    assert [item["title"] for item in (await listed(chat))["conversations"]] == [title]


async def test_an_empty_conversation_gets_its_name_from_the_first_turn_and_keeps_its_own(
    chat: Chat,
) -> None:
    unnamed = (await chat.server.client.post(CONVERSATIONS, json={})).json()
    named = (await chat.server.client.post(CONVERSATIONS, json={"title": "My own"})).json()
    for conversation in (unnamed, named):
        where = {"conversation_id": conversation["conversation_id"]}
        await chat.server.run_turn("A first question", chatbot_id="fast", **where)
        await chat.server.run_turn("A second question", chatbot_id="fast", **where)

    titles = {item["title"] for item in (await listed(chat))["conversations"]}

    assert titles == {"A first question", "My own"}


async def test_a_created_conversation_is_where_its_location_says(chat: Chat) -> None:
    answer = await chat.server.client.post(CONVERSATIONS, json={"title": "Here"})

    assert answer.status_code == 201
    created = answer.json()
    assert set(created) == {
        "conversation_id", "title", "chatbot_id", "created_at", "updated_at", "active_turn_id",
    }  # fmt: skip
    there = await chat.server.client.get(answer.headers["location"])
    assert there.json() == created
    assert await chat.messages(created["conversation_id"]) == []


async def test_pages_of_conversations_hold_each_once_most_recent_first(chat: Chat) -> None:
    made = []
    for number in range(7):
        answer = await chat.server.client.post(CONVERSATIONS, json={"title": str(number)})
        made.append(answer.json()["conversation_id"])
    first = {"conversation_id": made[0]}
    await chat.server.run_turn("Used again", chatbot_id="fast", **first)

    pages: list[list[str]] = []
    cursor: str | None = ""
    with anyio.fail_after(10):
        while cursor is not None:
            page = await listed(chat, f"?limit=3{cursor and f'&cursor={cursor}'}")
            pages.append([item["conversation_id"] for item in page["conversations"]])
            cursor = page["next"]

    assert pages == [
        [made[0], made[6], made[5]],
        [made[4], made[3], made[2]],
        [made[1]],
    ]


async def test_pages_of_messages_go_back_to_the_first(chat: Chat) -> None:
    state = await chat.server.run_turn("0", chatbot_id="fast")
    where = {"conversation_id": state["conversation_id"]}
    for number in (1, 2, 3):
        await chat.server.run_turn(str(number), chatbot_id="fast", **where)
    path = f"{CONVERSATIONS}/{state['conversation_id']}/messages"

    pages: list[list[int]] = []
    before: str | None = ""
    with anyio.fail_after(10):
        while before is not None:
            page = (await chat.server.client.get(f"{path}?limit=3{before}")).json()
            pages.append([message["seq"] for message in page["messages"]])
            before = page["next"] and f"&before={page['next']}"

    assert pages == [[6, 7, 8], [3, 4, 5], [1, 2]]


async def test_a_message_has_what_the_contract_says(chat: Chat) -> None:
    state = await chat.server.run_turn("Hello", chatbot_id="fast")

    question, answer = await chat.messages(state["conversation_id"])

    common = {"message_id", "seq", "role", "text", "status", "created_at", "turn_id", "chatbot_id"}
    assert set(question) == common
    assert set(answer) == common | {"model", "usage"}
    assert (question["role"], question["seq"], question["text"]) == ("user", 1, "Hello")
    assert (answer["role"], answer["seq"], answer["model"]) == (
        "assistant",
        2,
        "sim:tokens=10,rate=0",
    )
    assert answer["message_id"] == state["message_id"]
    assert answer["usage"] == state["usage"]
    assert question["turn_id"] == answer["turn_id"] == state["turn_id"]


@pytest.mark.long
async def test_a_conversation_shows_which_turn_runs(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        running = (await server.client.get(CONVERSATIONS)).json()["conversations"][0]
        await telling.end("Done.")
        await server.all_events(turn_id)
        ended = (await server.client.get(CONVERSATIONS)).json()["conversations"][0]

        assert (running["active_turn_id"], ended["active_turn_id"]) == (turn_id, None)
        assert ended["updated_at"] >= running["updated_at"]


async def test_a_conversation_can_be_renamed(chat: Chat) -> None:
    state = await chat.server.run_turn("Old", chatbot_id="fast")
    path = f"{CONVERSATIONS}/{state['conversation_id']}"

    renamed = await chat.server.client.patch(path, json={"title": "New ✓"})

    assert renamed.json()["title"] == "New ✓"
    assert (await listed(chat))["conversations"][0]["title"] == "New ✓"


async def test_a_deleted_conversation_is_gone_with_all_it_held(chat: Chat) -> None:
    kept = await chat.server.run_turn("Kept", chatbot_id="fast")
    state = await chat.server.run_turn("Gone", chatbot_id="fast")
    path = f"{CONVERSATIONS}/{state['conversation_id']}"

    assert (await chat.server.client.delete(path)).status_code == 204

    message = f"/api/v1/messages/{state['message_id']}/feedback"
    for method, gone in (
        ("GET", path),
        ("DELETE", path),
        ("GET", f"{path}/messages"),
        ("GET", f"/api/v1/turns/{state['turn_id']}"),
        ("GET", f"/api/v1/turns/{state['turn_id']}/events"),
        ("POST", f"/api/v1/turns/{state['turn_id']}/cancel"),
    ):
        assert (await chat.server.client.request(method, gone)).status_code == 404, (method, gone)
    rated = await chat.server.client.put(message, json={"rating": "up"})
    assert rated.status_code == 404
    ids = [item["conversation_id"] for item in (await listed(chat))["conversations"]]
    assert ids == [kept["conversation_id"]]


async def test_feedback_is_kept_with_the_answer_and_can_be_changed(chat: Chat) -> None:
    state = await chat.server.run_turn("Rate me", chatbot_id="fast")
    path = f"/api/v1/messages/{state['message_id']}/feedback"

    first = await chat.server.client.put(path, json={"rating": "up"})
    second = await chat.server.client.put(path, json={"rating": "down", "comment": "No <b>"})

    assert first.status_code == 200
    assert (first.json()["feedback"]["rating"], first.json()["feedback"]["comment"]) == ("up", None)
    stored = (await chat.messages(state["conversation_id"]))[-1]
    assert stored == second.json()
    assert (stored["feedback"]["rating"], stored["feedback"]["comment"]) == ("down", "No <b>")


async def test_chatbots_are_listed_without_their_instructions(chat: Chat) -> None:
    answer = (await chat.server.client.get("/api/v1/chatbots")).json()
    one = (await chat.server.client.get("/api/v1/chatbots/fast")).json()

    assert [bot["chatbot_id"] for bot in answer["chatbots"]] == ["default", "fast"]
    assert one == answer["chatbots"][1]
    assert "Answer." not in str(answer)
    assert "helpful assistant" not in str(answer)


async def test_ten_guests_at_once_see_each_their_own(chat: Chat) -> None:
    async def live(name: str) -> None:
        async with chat.joined() as mine:
            for number in range(3):
                await mine.server.run_turn(f"{name}{number}", chatbot_id="fast")
            titles = [item["title"] for item in (await listed(mine))["conversations"]]
            assert titles == [f"{name}{number}" for number in (2, 1, 0)]

    async with anyio.create_task_group() as tasks:
        for name in "abcdefghij":
            tasks.start_soon(live, name)


async def test_guests_who_are_not_let_in_get_nothing_but_the_page(tmp_path: Path) -> None:
    async with running_server(tmp_path, allow_guests=False) as server:
        for method, path in (
            ("GET", CONVERSATIONS),
            ("POST", "/api/v1/turns"),
            ("GET", "/api/v1/turns/x/events"),
            ("GET", "/api/v1/chatbots"),
        ):
            answer = await server.client.request(method, path)
            assert answer.status_code == 401, path
            assert answer.json()["code"] == "unauthenticated"
            assert "set-cookie" not in answer.headers
        assert (await server.client.get("/")).status_code == 200
        assert (await server.client.get("/health/ready")).status_code == 200
