"""Accounts as a whole, in one SQLite file."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from accounts import codec
from accounts.errors import AccountsUnavailableError
from accounts.sqlite.api_keys import SqliteApiKeys
from accounts.sqlite.audit import SqliteAudit
from accounts.sqlite.records import Records
from accounts.sqlite.schema import INDEXES, STEPS
from accounts.sqlite.sessions import SqliteSessions
from accounts.sqlite.users import SqliteUsers
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase


class SqliteAccounts:
    """`Accounts` in SQLite. Whoever made the database closes it.

    Each step is one transaction, so there is nothing to repair after a crash.

    Args:
        database: Where; its deadline is this adapter's.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._records = Records(database)
        self.users = SqliteUsers(self._records)
        self.sessions = SqliteSessions(self._records)
        self.api_keys = SqliteApiKeys(self._records)
        self.audit = SqliteAudit(self._records)

    async def open(self) -> None:
        try:
            await self._database.open()
            await self._database.migrate("accounts", STEPS)
        except StorageError as exc:
            raise AccountsUnavailableError(str(exc)) from exc

    async def sweep(self, now: datetime) -> None:
        sessions_ms = codec.to_ms(now - codec.SESSION_KEPT)
        keys_ms = codec.to_ms(now - codec.API_KEY_KEPT)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE expires_at <= ?", (sessions_ms,))
            connection.execute(
                "DELETE FROM api_keys WHERE revoked_at <= ?1 OR expires_at <= ?1", (keys_ms,)
            )

        await self._records.write(work)

    async def verify_indexes(self) -> Sequence[str]:
        try:
            await self._database.open()
            existing = await self._database.index_names()
        except StorageError as exc:
            raise AccountsUnavailableError(str(exc)) from exc
        return sorted(set(INDEXES) - existing)
