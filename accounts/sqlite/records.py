"""The database as accounts' parts use it: work in, values or the seam's own errors out."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from accounts.errors import AccountsUnavailableError
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase

T = TypeVar("T")


class Records:
    """Runs work against the file; whatever the store raises becomes `AccountsUnavailableError`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one snapshot."""
        try:
            return await self._database.read(work)
        except StorageError as exc:
            raise AccountsUnavailableError(str(exc)) from exc

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` all or nothing."""
        try:
            return await self._database.write(work)
        except StorageError as exc:
            raise AccountsUnavailableError(str(exc)) from exc
