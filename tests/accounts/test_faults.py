"""Accounts when their store fails."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from accounts.base import Accounts
from accounts.errors import AccountsError, AccountsUnavailableError
from accounts.mongo import MongoAccounts
from accounts.sqlite import SqliteAccounts
from storage.mongo import MongoDatabase
from storage.sqlite import SqliteDatabase
from tests.accounts.factories import (
    GRACE,
    NOW,
    a_session,
    a_user,
    an_api_key,
    an_entry,
    an_identity,
)
from tests.support.mongo import running_mongo

CALLS: dict[str, Callable[[Accounts], Awaitable[object]]] = {
    "open": lambda accounts: accounts.open(),
    "sweep": lambda accounts: accounts.sweep(NOW),
    "verify_indexes": lambda accounts: accounts.verify_indexes(),
    "create a user": lambda accounts: accounts.users.create(a_user(identities=(an_identity(),))),
    "get a user": lambda accounts: accounts.users.get("user-1"),
    "find a user": lambda accounts: accounts.users.find(email="ann@example.com"),
    "list users": lambda accounts: accounts.users.list(limit=1),
    "put a user": lambda accounts: accounts.users.put(a_user(), if_version=1),
    "begin a session": lambda accounts: accounts.sessions.begin(a_session()),
    "get a session": lambda accounts: accounts.sessions.get("session-1"),
    "rotate": lambda accounts: accounts.sessions.rotate("s", generation=1, now=NOW, grace=GRACE),
    "end": lambda accounts: accounts.sessions.end(user_id="u", reason="revoked", now=NOW),
    "list sessions": lambda accounts: accounts.sessions.list("user-1"),
    "ended": lambda accounts: accounts.sessions.ended(["session-1"], now=NOW),
    "create a key": lambda accounts: accounts.api_keys.create(an_api_key()),
    "get a key": lambda accounts: accounts.api_keys.get("key-1"),
    "list keys": lambda accounts: accounts.api_keys.list("user-1"),
    "revoke a key": lambda accounts: accounts.api_keys.revoke("user-1", "key-1", now=NOW),
    "use a key": lambda accounts: accounts.api_keys.used("key-1", at=NOW),
    "add an entry": lambda accounts: accounts.audit.add(an_entry()),
    "list entries": lambda accounts: accounts.audit.list(limit=1),
}


async def test_a_closed_file_is_unavailable_to_every_call(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "chat.db")
    accounts = SqliteAccounts(database)
    await accounts.open()
    await database.close()

    await _assert_unavailable(accounts)


async def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(AccountsUnavailableError, match="cannot be used"):
        await SqliteAccounts(SqliteDatabase(tmp_path)).open()


@pytest.mark.services
async def test_a_server_that_answers_no_more_is_unavailable_to_every_call(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as server:
        database = MongoDatabase(f"{server.uri}/x", timeout_s=1)
        accounts = MongoAccounts(database)
        await accounts.open()

        server.pause()
        await _assert_unavailable(accounts)

        server.resume()
        await database.close()


@pytest.mark.services
async def test_what_cannot_be_stored_is_told_as_final(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as server:
        database = MongoDatabase(f"{server.uri}/x", timeout_s=20)

        with pytest.raises((AccountsError, OverflowError)) as refused:
            await MongoAccounts(database).sessions.begin(a_session(generation=2**70))

        assert not isinstance(refused.value, AccountsUnavailableError)
        await database.close()


async def _assert_unavailable(accounts: Accounts) -> None:
    async def refused(call: Callable[[Accounts], Awaitable[object]]) -> None:
        with pytest.raises(AccountsUnavailableError):
            await call(accounts)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for call in CALLS.values():
                tasks.start_soon(refused, call)
