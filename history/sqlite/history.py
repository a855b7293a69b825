"""The record as a whole, in one SQLite file."""

import sqlite3
from datetime import datetime

from history import codec
from history.errors import HistoryUnavailableError
from history.sqlite.conversations import SqliteConversations
from history.sqlite.messages import SqliteMessages
from history.sqlite.records import Records
from history.sqlite.schema import INDEXES, STEPS
from history.sqlite.turns import SqliteTurns
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase


class SqliteHistory:
    """`History` in SQLite. Closing it closes the database, also for others that share it.

    Each step is one transaction, so there is nothing to repair after a crash.

    Args:
        database: Where; its deadline is this adapter's.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._records = Records(database)
        self.conversations = SqliteConversations(self._records)
        self.messages = SqliteMessages(self._records)
        self.turns = SqliteTurns(self._records)

    async def open(self) -> None:
        try:
            await self._database.open()
            await self._database.migrate("history", STEPS)
        except StorageError as exc:
            raise HistoryUnavailableError(str(exc)) from exc

    async def sweep(self, now: datetime) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM idempotency_keys WHERE expires_at <= ?", (codec.to_ms(now),)
            )

        await self._records.write(work)

    async def check(self) -> None:
        try:
            await self._database.check()
        except StorageError as exc:
            raise HistoryUnavailableError(str(exc)) from exc

    async def verify_indexes(self) -> list[str]:
        """Return the names of declared indexes that are missing; empty when all is well."""
        try:
            await self._database.open()
            existing = await self._database.index_names()
        except StorageError as exc:
            raise HistoryUnavailableError(str(exc)) from exc
        return sorted(set(INDEXES) - existing)

    async def close(self) -> None:
        await self._database.close()
