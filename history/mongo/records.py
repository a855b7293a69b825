"""The database as the record's parts use it: typed collections, deadlines, the seam's errors."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pymongo.asynchronous.collection import AsyncCollection

from history.errors import HistoryError, HistoryUnavailableError
from history.mongo.documents import ConversationDoc, KeyDoc, MessageDoc, TurnDoc
from storage.errors import StorageError, StorageUnavailableError
from storage.mongo import MongoDatabase


class Records:
    """The four collections of the record."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self.conversations: AsyncCollection[ConversationDoc] = database.collection("conversations")
        self.messages: AsyncCollection[MessageDoc] = database.collection("messages")
        self.turns: AsyncCollection[TurnDoc] = database.collection("turns")
        self.keys: AsyncCollection[KeyDoc] = database.collection("idempotency_keys")

    @asynccontextmanager
    async def deadline(self, timeout_s: float | None = None) -> AsyncIterator[None]:
        """Bound a whole call, however many round trips it takes.

        Raises:
            HistoryUnavailableError: the store failed or did not answer in time.
            HistoryError: a value cannot be stored.
        """
        with translated():
            async with self._database.deadline(timeout_s):
                yield

    async def purge(self, conversation_id: str) -> None:
        """Remove all that belongs to a conversation, but not its own document.

        Turns go first: a write under way that then finds its turn gone removes what it wrote.
        """
        mine = {"conversation_id": conversation_id}
        await self.turns.delete_many(mine)
        await self.messages.delete_many(mine)
        await self.keys.delete_many(mine)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the store raises into the seam's errors."""
    try:
        yield
    except StorageUnavailableError as exc:
        raise HistoryUnavailableError(str(exc)) from exc
    except StorageError as exc:
        raise HistoryError(str(exc)) from exc
