"""The stores that the suites of the record and of the chatbots run over.

Each test gets an empty store of its own. `mongo` is nx-27017; `mongodb` is the server that
MONGODB_TEST_URI names.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from chatbots.base import Chatbots
from chatbots.mongo import MongoChatbots
from chatbots.sqlite import SqliteChatbots
from history.mongo import MongoHistory
from history.sqlite import SqliteHistory
from storage.mongo import MongoDatabase
from storage.sqlite import SqliteDatabase
from tests.support.mongo import MONGODB_TEST_URI, MongoServer, running_mongo

MONGO_STORES = ["mongo", "mongodb"] if MONGODB_TEST_URI else ["mongo"]

Database = SqliteDatabase | MongoDatabase


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@asynccontextmanager
async def _empty_mongo(store: str, request: pytest.FixtureRequest) -> AsyncIterator[MongoDatabase]:
    server: str = (
        MONGODB_TEST_URI if store == "mongodb" else request.getfixturevalue("mongo_server").uri
    )
    name = f"test_{secrets.token_hex(6)}"
    # Far above what a call takes: a busy machine must not fail a test that is not about deadlines.
    database = MongoDatabase(_with_database(server, name), timeout_s=20)
    try:
        yield database
    finally:
        await database.close()
        await _drop(server, name)


@pytest.fixture(params=MONGO_STORES)
async def mongo_database(request: pytest.FixtureRequest) -> AsyncIterator[MongoDatabase]:
    async with _empty_mongo(request.param, request) as database:
        yield database


@pytest.fixture(params=["sqlite", *MONGO_STORES])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param != "sqlite":
        async with _empty_mongo(request.param, request) as mongo:
            yield mongo
        return
    sqlite = SqliteDatabase(tmp_path / "chat.db", timeout_s=20)
    yield sqlite
    await sqlite.close()


@pytest.fixture
async def history(database: Database) -> SqliteHistory | MongoHistory:
    record = record_in(database)
    await record.open()
    return record


@pytest.fixture
async def chatbots(database: Database) -> Chatbots:
    chatbots: Chatbots = (
        SqliteChatbots(database)
        if isinstance(database, SqliteDatabase)
        else MongoChatbots(database)
    )
    await chatbots.open()
    return chatbots


def record_in(database: Database) -> SqliteHistory | MongoHistory:
    """Return the record kept in a database."""
    if isinstance(database, SqliteDatabase):
        return SqliteHistory(database)
    return MongoHistory(database)


def _with_database(uri: str, name: str) -> str:
    """Return the URI of a server with another database in it."""
    scheme, _, rest = uri.partition("://")
    hosts, _, tail = rest.partition("/")
    _, mark, options = tail.partition("?")
    return f"{scheme}://{hosts}/{name}{mark}{options}"


async def _drop(uri: str, name: str) -> None:
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(uri, timeoutMS=10_000)
    await client.drop_database(name)
    await client.close()
