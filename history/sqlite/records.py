"""The database as the record's parts use it: work in, values or the seam's own errors out."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from history.errors import ConversationNotFoundError, HistoryUnavailableError, TurnNotFoundError
from history.model import Conversation, TurnRecord
from history.sqlite.schema import conversation_of, turn_of
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase

T = TypeVar("T")


class Records:
    """Runs work against the file; whatever the store raises becomes `HistoryUnavailableError`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one snapshot."""
        try:
            return await self._database.read(work)
        except StorageError as exc:
            raise HistoryUnavailableError(str(exc)) from exc

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` all or nothing."""
        try:
            return await self._database.write(work)
        except StorageError as exc:
            raise HistoryUnavailableError(str(exc)) from exc


def find_conversation(
    connection: sqlite3.Connection, owner_id: str, conversation_id: str
) -> Conversation:
    """Return an owner's conversation.

    Raises:
        ConversationNotFoundError: not there, or another owner's.
    """
    row = connection.execute(
        "SELECT * FROM conversations WHERE conversation_id = ? AND owner_id = ?",
        (conversation_id, owner_id),
    ).fetchone()
    if row is None:
        raise ConversationNotFoundError(conversation_id)
    return conversation_of(row)


def find_turn(connection: sqlite3.Connection, turn_id: str) -> TurnRecord:
    """Return a turn's record, whoever owns it.

    Raises:
        TurnNotFoundError: not there.
    """
    row = connection.execute("SELECT * FROM turns WHERE turn_id = ?", (turn_id,)).fetchone()
    if row is None:
        raise TurnNotFoundError(turn_id)
    return turn_of(row)
