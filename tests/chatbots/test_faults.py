"""Chatbots when their store fails."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from chatbots.base import Chatbots
from chatbots.errors import ChatbotsError, ChatbotsUnavailableError
from chatbots.model import DEFAULT_CHATBOT, Chatbot
from chatbots.mongo import MongoChatbots
from chatbots.sqlite import SqliteChatbots
from storage.mongo import MongoDatabase
from storage.sqlite import SqliteDatabase
from tests.support.mongo import running_mongo

CALLS: dict[str, Callable[[Chatbots], Awaitable[object]]] = {
    "open": lambda chatbots: chatbots.open(),
    "get": lambda chatbots: chatbots.get("default"),
    "list": lambda chatbots: chatbots.list(),
    "put": lambda chatbots: chatbots.put(DEFAULT_CHATBOT),
    "delete": lambda chatbots: chatbots.delete("default"),
}


async def test_a_closed_file_is_unavailable_to_every_call(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "chat.db")
    chatbots = SqliteChatbots(database)
    await chatbots.open()
    await database.close()

    await _assert_unavailable(chatbots)


async def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(ChatbotsUnavailableError, match="cannot be used"):
        await SqliteChatbots(SqliteDatabase(tmp_path)).open()


@pytest.mark.services
async def test_a_server_that_answers_no_more_is_unavailable_to_every_call(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as server:
        database = MongoDatabase(f"{server.uri}/x", timeout_s=1)
        chatbots = MongoChatbots(database)
        await chatbots.open()

        server.pause()
        await _assert_unavailable(chatbots)

        server.resume()
        await database.close()


@pytest.mark.services
async def test_what_cannot_be_stored_is_told_as_final(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as server:
        database = MongoDatabase(f"{server.uri}/x", timeout_s=20)
        too_large = Chatbot(chatbot_id="x", name="X", instructions="", max_response_chars=2**70)

        with pytest.raises((ChatbotsError, OverflowError)) as refused:
            await MongoChatbots(database).put(too_large)

        assert not isinstance(refused.value, ChatbotsUnavailableError)
        await database.close()


async def _assert_unavailable(chatbots: Chatbots) -> None:
    async def refused(call: Callable[[Chatbots], Awaitable[object]]) -> None:
        with pytest.raises(ChatbotsUnavailableError):
            await call(chatbots)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for call in CALLS.values():
                tasks.start_soon(refused, call)
