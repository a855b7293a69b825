"""The stores that the suites of the record, the chatbots and the accounts run over.

Each test gets an empty store of its own. `mongo` is nx-27017; `mongodb` is the server that
MONGODB_TEST_URI names.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from accounts.base import Accounts
from accounts.mongo import MongoAccounts
from accounts.sqlite import SqliteAccounts
from chatbots.base import Chatbots
from chatbots.mongo import MongoChatbots
from chatbots.sqlite import SqliteChatbots
from history.mongo import MongoHistory
from history.sqlite import SqliteHistory
from storage.mongo import MongoDatabase
from storage.sqlite import SqliteDatabase
from tests.support.mongo import MONGODB_TEST_URI, MongoServer, running_mongo

MONGO_STORES = ["mongo", "mongodb"] if MONGODB_TEST_URI else ["mongo"]

PATIENCE_S = 20.0
"""Far above what a call takes: a busy machine must not fail a test that is not about deadlines."""

Database = SqliteDatabase | MongoDatabase


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@asynccontextmanager
async def _empty_mongo(store: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Yield the URI of a database that is not there yet; drop what came to be."""
    server: str = (
        MONGODB_TEST_URI if store == "mongodb" else request.getfixturevalue("mongo_server").uri
    )
    name = f"test_{secrets.token_hex(6)}"
    try:
        yield _with_database(server, name)
    finally:
        await _drop(server, name)


@pytest.fixture(params=MONGO_STORES)
async def mongo_uri(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with _empty_mongo(request.param, request) as uri:
        yield uri


@pytest.fixture
async def mongo_database(mongo_uri: str) -> AsyncIterator[MongoDatabase]:
    database = MongoDatabase(mongo_uri, timeout_s=PATIENCE_S)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", *MONGO_STORES])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        sqlite = SqliteDatabase(tmp_path / "chat.db", timeout_s=PATIENCE_S)
        yield sqlite
        await sqlite.close()
        return
    async with _empty_mongo(request.param, request) as uri:
        mongo = MongoDatabase(uri, timeout_s=PATIENCE_S)
        yield mongo
        await mongo.close()


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


@pytest.fixture
async def accounts(database: Database) -> Accounts:
    accounts: Accounts = (
        SqliteAccounts(database)
        if isinstance(database, SqliteDatabase)
        else MongoAccounts(database)
    )
    await accounts.open()
    return accounts


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
