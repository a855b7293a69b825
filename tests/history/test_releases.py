"""Files that other releases wrote."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from history.model import TurnStatus
from history.sqlite import SqliteHistory
from history.sqlite.schema import STEPS
from storage.sqlite import SqliteDatabase
from tests.history.factories import OWNER, a_first_turn, a_seal, a_turn, an_end

RELEASE_1 = Path(__file__).with_name("release_1.sql")
ENDED, RUNNING = "t-000002", "t-000003"


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """A file as the release before speech left it."""
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(RELEASE_1.read_text())
    return path


async def test_a_file_of_the_former_release_is_read_and_goes_on(former: Path) -> None:
    history = SqliteHistory(SqliteDatabase(former))
    await history.open()

    ended = await history.turns.get(OWNER, ENDED)
    running = await history.turns.get(OWNER, RUNNING)
    assert (ended.status, ended.last_seq, ended.speech) == (TurnStatus.COMPLETED, 12, ())
    assert (running.status, running.text, running.speech) == (TurnStatus.RUNNING, "Fine", ())

    for record in (ended, await history.turns.end(an_end(running))):
        seal = a_seal(record)
        await history.turns.seal(seal)
        stored = await history.turns.get(OWNER, record.turn_id)
        assert (stored.last_seq, stored.end, stored.speech) == (15, seal.end, seal.speech)
    page = await history.messages.list(OWNER, ended.conversation_id, limit=9, before=None)
    assert [message.seq for message in page.items] == [1, 2, 3, 4]
    following, own = await history.turns.begin(a_turn(ended.conversation_id))
    assert own
    assert following.speech == ()
    assert await history.verify_indexes() == []
    await history.close()


async def test_a_file_of_the_former_release_gets_the_tables_of_a_new_one(
    former: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh.db"
    for path in (former, former, fresh):  # opened twice: each step is done once
        history = SqliteHistory(SqliteDatabase(path))
        await history.open()
        await history.close()

    assert _columns(former) == _columns(fresh)


async def test_the_former_release_goes_on_with_a_file_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    history = SqliteHistory(SqliteDatabase(path))
    await history.open()
    ids = {"turn_id": "t-new", "user_message_id": "u-new", "message_id": "a-new"}  # of no file
    record, _ = await history.turns.begin(a_first_turn(**ids))
    await history.turns.end(an_end(record))
    await history.turns.seal(a_seal(record))
    sealed = await history.turns.get(OWNER, record.turn_id)
    await history.close()

    database = SqliteDatabase(path)
    await database.open()
    await database.migrate("history", STEPS[:1])
    await database.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        _insert_as_release_1(connection)

    history = SqliteHistory(SqliteDatabase(path))
    await history.open()
    assert await history.turns.get(OWNER, record.turn_id) == sealed
    assert (await history.turns.get(OWNER, ENDED)).speech == ()
    await history.close()


def _insert_as_release_1(connection: sqlite3.Connection) -> None:
    """Copy the former release's rows, naming its columns as it does."""
    with closing(sqlite3.connect(":memory:")) as source:
        source.executescript(RELEASE_1.read_text())
        for table in ("conversations", "messages", "turns"):
            rows = source.execute(f"SELECT * FROM {table}")  # noqa: S608  # names from this module
            names = [column[0] for column in rows.description]
            places = ", ".join("?" * len(names))
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})",  # noqa: S608  # as above
                rows,
            )


def _columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        return {
            name: connection.execute(f"PRAGMA table_info({name})").fetchall() for (name,) in tables
        }
