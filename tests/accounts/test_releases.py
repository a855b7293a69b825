"""Files that other releases wrote, and other releases beside this one."""

import sqlite3
from contextlib import closing
from pathlib import Path

from accounts.sqlite import SqliteAccounts
from chatbots.sqlite import SqliteChatbots
from history.sqlite import SqliteHistory
from storage.sqlite import SqliteDatabase
from tests.accounts.factories import NOW, a_session, a_user, an_api_key, an_entry, an_identity

TABLES = ("users", "user_identities", "sessions", "api_keys", "audit_log")


async def test_a_file_from_before_accounts_gets_their_tables_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    former = SqliteDatabase(path)
    await SqliteHistory(former).open()
    await SqliteChatbots(former).open()
    await former.close()
    assert not set(TABLES) & _tables(path)

    for _ in range(2):  # opened twice: each step is done once
        database = SqliteDatabase(path)
        accounts = SqliteAccounts(database)
        await accounts.open()
        assert await accounts.verify_indexes() == []
        await database.close()

    assert set(TABLES) < _tables(path)


async def test_a_release_that_adds_columns_disturbs_nothing(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "chat.db")
    accounts = SqliteAccounts(database)
    await accounts.open()
    with closing(sqlite3.connect(database.path)) as connection, connection:
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN later TEXT NOT NULL DEFAULT 'x'")
        connection.execute("UPDATE schema_versions SET version = 2 WHERE component = 'accounts'")

    await accounts.open()

    user = await accounts.users.create(a_user(identities=(an_identity(),)))
    assert await accounts.users.find(identity=user.identities[0]) == user
    session, key, entry = a_session(), an_api_key(), an_entry()
    await accounts.sessions.begin(session)
    await accounts.api_keys.create(key)
    await accounts.audit.add(entry)
    assert await accounts.sessions.get(session.session_id) == session
    assert await accounts.api_keys.get(key.key_id) == key
    assert (await accounts.audit.list(limit=1)).items == (entry,)
    await accounts.sweep(NOW)
    await database.close()


async def test_two_processes_with_one_file_see_each_others_writes(tmp_path: Path) -> None:
    databases = [SqliteDatabase(tmp_path / "chat.db") for _ in range(2)]
    one, other = (SqliteAccounts(database) for database in databases)
    await one.open()
    await other.open()

    user = await one.users.create(a_user())

    changed = await other.users.put(user, if_version=1)
    assert await one.users.get(user.user_id) == changed
    for database in databases:
        await database.close()


def _tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}
