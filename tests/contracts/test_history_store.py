"""What every store of the record promises as a whole: opening, indexes, other releases, closing."""

import sqlite3

import pytest

from history.errors import HistoryUnavailableError
from history.mongo import MongoHistory
from history.sqlite import SqliteHistory
from storage.mongo import MongoDatabase
from storage.sqlite import SqliteDatabase
from tests.contracts.conftest import Database, record_in
from tests.history.factories import OWNER, a_first_turn, an_end, later

AnyHistory = SqliteHistory | MongoHistory


async def test_an_open_store_answers_and_has_all_its_indexes(history: AnyHistory) -> None:
    await history.check()

    assert await history.verify_indexes() == []


async def test_opening_again_keeps_everything(database: Database, history: AnyHistory) -> None:
    running, _ = await history.turns.begin(a_first_turn())

    again = record_in(database)
    await again.open()

    assert await again.turns.get(OWNER, running.turn_id) == running
    assert await again.verify_indexes() == []


async def test_a_dropped_index_is_named(database: Database, history: AnyHistory) -> None:
    name = await _drop_message_index(database)

    assert await history.verify_indexes() == [name]


async def test_fields_that_a_newer_release_adds_are_ignored(
    database: Database, history: AnyHistory
) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.end(an_end(record))

    await _add_fields(database)

    conversation = await history.conversations.get(OWNER, record.conversation_id)
    assert conversation.conversation_id == record.conversation_id
    assert (await history.turns.get(OWNER, record.turn_id)).turn_id == record.turn_id
    page = await history.messages.list(OWNER, record.conversation_id, limit=9, before=None)
    assert [message.seq for message in page.items] == [1, 2]
    following, _ = await history.turns.begin(a_first_turn())
    await history.turns.end(an_end(following))


async def test_sweeping_leaves_what_lives(history: AnyHistory) -> None:
    running, _ = await history.turns.begin(a_first_turn())
    ended, _ = await history.turns.begin(a_first_turn())
    after = await history.turns.end(an_end(ended))

    await history.sweep(later(10**6))

    assert await history.turns.get(OWNER, running.turn_id) == running
    assert await history.turns.get(OWNER, ended.turn_id) == after
    conversation = await history.conversations.get(OWNER, running.conversation_id)
    assert conversation.active_turn_id == running.turn_id


async def test_closing_twice_is_harmless_and_a_closed_store_is_unavailable(
    history: AnyHistory,
) -> None:
    await history.close()
    await history.close()

    with pytest.raises(HistoryUnavailableError):
        await history.check()
    with pytest.raises(HistoryUnavailableError):
        await history.turns.begin(a_first_turn())


async def _drop_message_index(database: Database) -> str:
    if isinstance(database, MongoDatabase):
        messages = database.collection("messages")
        for name, index in (await messages.index_information()).items():
            if "seq" in dict(index["key"]):
                await messages.drop_index(name)
        return "messages(conversation_id, seq)"
    await database.write(lambda connection: connection.execute("DROP INDEX messages_by_seq"))
    return "messages_by_seq"


async def _add_fields(database: Database) -> None:
    """Do to the stored records what a newer release might."""
    tables = ("conversations", "messages", "turns", "idempotency_keys")
    if isinstance(database, SqliteDatabase):
        await database.write(lambda connection: _add_columns(connection, tables))
        return
    for name in tables:
        await database.collection(name).update_many({}, {"$set": {"v": 2, "added": {"a": 1}}})


def _add_columns(connection: sqlite3.Connection, tables: tuple[str, ...]) -> None:
    for table in tables:
        connection.execute(f"ALTER TABLE {table} ADD COLUMN added TEXT DEFAULT 'x'")
        connection.execute(f"UPDATE {table} SET v = 2")  # noqa: S608  # names from this module
