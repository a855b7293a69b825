"""The client that the MongoDB adapters share, against a server of this module's own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from resilience.breaker import Breaker, BreakerOpenError, BreakerState
from storage.errors import StorageError, StorageOpenError, StorageUnavailableError
from storage.mongo import Index, MongoDatabase
from tests.support.mongo import MongoServer, running_mongo

pytestmark = pytest.mark.services

DECLARED = (
    Index("notes", (("owner", 1), ("at", -1))),
    Index("notes", (("place", 1),), unique=True),
    Index("keys", (("expires_at", 1),), expires=True),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture
async def database(server: MongoServer, tmp_path: Path) -> AsyncIterator[MongoDatabase]:
    database = MongoDatabase(f"{server.uri}/{tmp_path.name[:20]}", timeout_s=20)
    yield database
    await database.close()


@pytest.mark.parametrize(
    "uri",
    ["", "http://localhost", "mongodb://", "mongodb://h:port", "mongodb://h/a b"],
)
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(StorageOpenError, match="MongoDB address"):
        MongoDatabase(uri)


async def test_the_guarantees_hold_whatever_the_address_says(server: MongoServer) -> None:
    database = MongoDatabase(f"{server.uri}/x?w=0&retryWrites=false&timeoutMS=99&maxPoolSize=1")

    options = database.collection("notes").database.client.options
    concern = database.collection("notes").write_concern

    assert concern.document == {"w": "majority"}
    assert options.timeout == 2.0
    assert (options.retry_writes, options.pool_options.max_pool_size) == (True, 64)
    assert options.pool_options.appname == "chatstream"
    await database.close()


async def test_the_address_names_the_database(server: MongoServer) -> None:
    named = MongoDatabase(f"{server.uri}/theirs")
    unnamed = MongoDatabase(server.uri)

    assert named.collection("notes").full_name == "theirs.notes"
    assert unnamed.collection("notes").full_name == "chatstream.notes"
    await named.close()
    await unnamed.close()


async def test_missing_indexes_are_named_until_they_are_created(database: MongoDatabase) -> None:
    before = await database.missing_indexes(DECLARED)

    await database.create_indexes(DECLARED)
    await database.create_indexes(DECLARED)

    assert before == ["notes(owner, at)", "notes(place)", "keys(expires_at)"]
    assert await database.missing_indexes(DECLARED) == []


async def test_an_index_that_is_not_as_declared_is_missing(database: MongoDatabase) -> None:
    await database.create_indexes([Index("notes", (("place", 1),))])

    assert await database.missing_indexes(DECLARED[1:2]) == ["notes(place)"]


async def test_what_cannot_be_stored_is_told_as_final(database: MongoDatabase) -> None:
    with pytest.raises(StorageError) as refused:
        async with database.deadline():
            await database.collection("notes").insert_one({"value": object()})

    assert not isinstance(refused.value, StorageUnavailableError)


async def test_cancelled_calls_leave_the_client_usable(database: MongoDatabase) -> None:
    with anyio.fail_after(20):
        for _ in range(20):
            # At first the client still looks for the server: the worst time to be cancelled.
            await _find_and_cancel(database)

        await database.check()


async def test_a_loop_that_only_calls_the_store_ends_when_it_is_cancelled(
    database: MongoDatabase,
) -> None:
    async def call_for_ever() -> None:
        while True:
            await database.check()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_for_ever)
            await database.check()
            tasks.cancel_scope.cancel()


async def test_a_server_that_was_never_there_is_unavailable() -> None:
    # No TCP port: a driver that is closed while it connects to one forgets the socket.
    database = MongoDatabase("mongodb://%2Fnowhere%2Fmongo.sock", timeout_s=0.3)

    with anyio.fail_after(10):
        with pytest.raises(StorageUnavailableError):
            await database.check()
        with pytest.raises(StorageUnavailableError):
            await database.missing_indexes(DECLARED)
        await database.close()
        await database.close()


async def _find_and_cancel(database: MongoDatabase) -> None:
    async def find() -> None:
        async with database.deadline():
            await database.collection("notes").find_one({"_id": "x"})

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(find)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_a_server_that_answers_no_more_is_left_alone_and_found_again(tmp_path: Path) -> None:
    now = [100.0]
    breaker = Breaker("history", failures=2, open_s=4, clock=lambda: now[0])
    with running_mongo(tmp_path) as mortal:
        database = MongoDatabase(f"{mortal.uri}/x", timeout_s=0.5, breaker=breaker)
        await database.check()
        mortal.pause()
        for _ in range(2):
            assert breaker.state is BreakerState.CLOSED
            with pytest.raises(StorageUnavailableError):
                await database.check()

        with pytest.raises(StorageUnavailableError) as left_alone:
            await database.check()
        assert isinstance(left_alone.value.__cause__, BreakerOpenError)
        mortal.resume()
        now[0] += 4
        await database.check()

        assert breaker.state is BreakerState.CLOSED
        await database.close()


async def test_a_command_that_is_refused_shows_that_the_server_is_there(
    server: MongoServer,
) -> None:
    breaker = Breaker("history", failures=2)
    database = MongoDatabase(f"{server.uri}/x", timeout_s=20, breaker=breaker)

    async def insert() -> None:
        async with database.deadline():
            await database.collection("things").insert_one({"_id": "taken"})

    await insert()
    with breaker.attempt() as attempt:
        attempt.failed()
    with pytest.raises(StorageUnavailableError):
        await insert()

    assert breaker.snapshot().failures == 0
    await database.close()


async def test_a_caller_that_is_cancelled_tells_nothing_of_the_server(tmp_path: Path) -> None:
    breaker = Breaker("history", failures=1)
    with running_mongo(tmp_path) as mortal:
        database = MongoDatabase(f"{mortal.uri}/x", timeout_s=5, breaker=breaker)

        with anyio.move_on_after(0):
            await database.check()

        assert breaker.snapshot().failures == 0
        await database.close()
