"""The database as accounts' parts use it: typed collections, deadlines, the seam's errors."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from pymongo.asynchronous.collection import AsyncCollection

from accounts.errors import AccountsError, AccountsUnavailableError
from accounts.mongo.documents import (
    ApiKeyDoc,
    AuditDoc,
    ClaimDoc,
    DemotionDoc,
    SessionDoc,
    UserDoc,
)
from storage.errors import StorageError, StorageUnavailableError
from storage.mongo import MongoDatabase


class Records:
    """The collections of accounts."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self.users: AsyncCollection[UserDoc] = database.collection("users")
        self.claims: AsyncCollection[ClaimDoc] = database.collection("user_identities")
        self.demotions: AsyncCollection[DemotionDoc] = database.collection("user_demotions")
        self.sessions: AsyncCollection[SessionDoc] = database.collection("sessions")
        self.api_keys: AsyncCollection[ApiKeyDoc] = database.collection("api_keys")
        self.audit_log: AsyncCollection[AuditDoc] = database.collection("audit_log")

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Bound a whole call, however many round trips it takes.

        Raises:
            AccountsUnavailableError: the store failed or did not answer in time.
            AccountsError: a value cannot be stored.
        """
        with translated():
            async with self._database.deadline():
                yield


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the store raises into the seam's errors."""
    try:
        yield
    except StorageUnavailableError as exc:
        raise AccountsUnavailableError(str(exc)) from exc
    except StorageError as exc:
        raise AccountsError(str(exc)) from exc
