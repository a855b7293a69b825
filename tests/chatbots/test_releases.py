"""Chatbots that 0.1.0 stored, and 0.1.0 beside this release."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chatbots.model import DEFAULT_CHATBOT, Chatbot
from chatbots.mongo import MongoChatbots
from chatbots.sqlite import STEPS, SqliteChatbots
from storage.mongo import MongoDatabase
from storage.sqlite import SqliteDatabase
from tests.support.mongo import running_mongo

FORMER = {
    "name": "Former",
    "instructions": "Answer.",
    "model": None,
    "temperature": 0.5,
    "voice": None,
    "greeting": None,
    "max_response_chars": None,
    "enabled": True,
    "version": 3,
    "v": 1,
}
READ = Chatbot(
    "former", "Former", "Answer.", temperature=0.5, on_break="continue", moderation="off", version=3
)


async def test_a_file_of_the_former_release_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    await _begin_as_former(path)

    database = SqliteDatabase(path)
    chatbots = SqliteChatbots(database)
    for _ in range(2):  # opened twice: each step is done once
        await chatbots.open()

    assert await chatbots.list() == [READ]
    changed = await chatbots.put(replace(READ, on_break="restart", moderation="flag"))
    assert changed == replace(READ, on_break="restart", moderation="flag", version=4)
    await database.close()


async def test_the_former_release_goes_on_with_a_file_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    database = SqliteDatabase(path)
    chatbots = SqliteChatbots(database)
    await chatbots.open()
    await database.close()

    await _begin_as_former(path)

    chatbots = SqliteChatbots(database := SqliteDatabase(path))
    await chatbots.open()
    assert await chatbots.list() == [DEFAULT_CHATBOT, READ]
    await database.close()


async def _begin_as_former(path: Path) -> None:
    """Open a file, and store a chatbot in it, as 0.1.0 does."""
    database = SqliteDatabase(path)
    await database.open()
    await database.migrate("chatbots", STEPS[:1])
    await database.close()
    row = {"chatbot_id": "former", **FORMER}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"INSERT INTO chatbots ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608  # names from this module
            list(row.values()),
        )


@pytest.mark.services
async def test_a_document_of_the_former_release_is_read_and_goes_on(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as server:
        database = MongoDatabase(f"{server.uri}/x", timeout_s=20)
        async with database.deadline():
            await database.collection("chatbots").insert_one({"_id": "former", **FORMER})
        chatbots = MongoChatbots(database)
        await chatbots.open()

        assert await chatbots.list() == [READ]
        changed = await chatbots.put(replace(READ, on_break="restart", moderation="flag"))
        assert changed == replace(READ, on_break="restart", moderation="flag", version=4)
        await database.close()
