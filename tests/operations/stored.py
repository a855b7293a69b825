"""What a service has stored, as tests of archives fill, lose and compare it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
from pymongo import MongoClient

from operations.__main__ import run
from server.services import choose_stores
from server.settings import Settings
from tests.history.factories import OWNER, a_first_turn, an_end

TURNS = 20


async def _write(turns: int) -> None:
    stores = choose_stores(Settings())
    try:
        await stores.history.open()
        await stores.chatbots.open()
        await stores.accounts.open()
        for _ in range(turns):
            record, _ = await stores.history.turns.begin(a_first_turn())
            await stores.history.turns.end(an_end(record))
        running, _ = await stores.history.turns.begin(a_first_turn())
        assert running.owner_id == OWNER
    finally:
        await stores.history.close()


def fill(turns: int = TURNS) -> None:
    """Store turns by the service's own adapters; one of them still runs."""
    anyio.run(_write, turns)


def archived(root: Path, *options: str) -> Path:
    """Make an archive and return it."""
    assert run("backup", [str(root), *options]) == 0
    return max(root.glob("chatstream-*"))


def rows(path: Path) -> dict[str, list[Any]]:
    """Return all that is in a SQLite file, in its order."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: connection.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608  # names from the schema
            for (name,) in names
        }


def documents(uri: str) -> dict[str, Any]:
    """Return all that is in a database: documents with the order of their fields, and indexes."""
    with MongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        return {
            name: (
                [list(each.items()) for each in database[name].find().sort("_id", 1)],
                sorted(
                    (list(index["key"].items()), index.get("unique"), "expireAfterSeconds" in index)
                    for index in database[name].list_indexes()
                ),
            )
            for name in sorted(database.list_collection_names())
        }


def wipe(uri: str) -> None:
    """Lose a database."""
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(client.get_default_database().name)
