"""One MongoDB client shared by all adapters: explicit guarantees, deadlines and indexes.

Durability: `w=majority`, so an answered write survives the loss of any minority of a replica set;
reads go to the primary, so a read that follows an answered write sees it.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pymongo
from bson.errors import BSONError
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from resilience.breaker import Breaker, BreakerOpenError
from storage.errors import StorageError, StorageOpenError, StorageUnavailableError
from storage.timing import OnCall, timed

DEFAULT_DATABASE = "chatstream"

MAX_CONNECTIONS = 64
"""Per process and server. A call holds one for a round trip; more would queue in the server."""

INDEX_TIMEOUT_S = 60.0
"""For building an index over what a long-lived collection already holds."""

_NAMESPACE_NOT_FOUND = 26


@dataclass(frozen=True, slots=True)
class Index:
    """A declared index. It is recognised by its fields: not every server keeps names.

    Args:
        collection: Name of the collection.
        fields: Each field with 1 (ascending) or -1.
        unique: Whether two documents may not have the same values.
        expires: Whether documents go once the instant in the (only) field is past.
    """

    collection: str
    fields: tuple[tuple[str, int], ...]
    unique: bool = False
    expires: bool = False

    @property
    def name(self) -> str:
        """Name for operators, such as `messages(conversation_id, seq)`."""
        return f"{self.collection}({', '.join(field for field, _ in self.fields)})"


class MongoDatabase:
    """A database behind one client. It connects at first use; close it once, for all adapters.

    Args:
        uri: `mongodb://` or `mongodb+srv://`; names the database, else `chatstream`. What it says
            of write concern, deadline or pool is overridden: our promises depend on them.
        timeout_s: Deadline of a call, finding a server and waiting for a connection included.
        breaker: Hears how all adapters' calls end; while it is open they fail at once.
        on_call: Told how long calls took; not of those that an open breaker refused.

    Raises:
        StorageOpenError: the URI is not one.
    """

    def __init__(
        self,
        uri: str,
        *,
        timeout_s: float = 2.0,
        breaker: Breaker | None = None,
        on_call: OnCall | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._on_call = on_call
        self._breaker = breaker
        timeout_ms = int(timeout_s * 1000)
        try:
            self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                uri,
                w="majority",
                retryWrites=True,
                retryReads=True,
                timeoutMS=timeout_ms,
                connectTimeoutMS=timeout_ms,
                maxPoolSize=MAX_CONNECTIONS,
                minPoolSize=0,
                maxIdleTimeMS=60_000,
                appName="chatstream",
                tz_aware=True,
                readPreference="primary",
            )
            self._database = self._client.get_default_database(DEFAULT_DATABASE)
        except (InvalidURI, ConfigurationError, ValueError) as exc:
            raise StorageOpenError(f"The MongoDB address cannot be used: {exc}") from exc

    def collection(self, name: str) -> AsyncCollection[Any]:
        """Return a collection; the caller says what its documents are."""
        return self._database[name]

    @asynccontextmanager
    async def deadline(self, timeout_s: float | None = None) -> AsyncIterator[None]:
        """Bound all calls inside together, and translate whatever the driver raises.

        A cancelled caller is let go once its calls have ended, so after the deadline at the
        latest: anyio cancels a task again until it ends, and the driver's locks are broken for
        the whole process if that happens while it looks for a server. Every call of the driver
        therefore belongs inside.

        Args:
            timeout_s: Seconds for all of them; the database's own where None.

        Raises:
            StorageUnavailableError: the store failed or did not answer in time.
            StorageError: a value cannot be stored (too large, not BSON).
        """
        # A loop that only calls the store must end too when it is cancelled.
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            limit_s = self.timeout_s if timeout_s is None else timeout_s
            with self._guarded(), anyio.CancelScope(shield=True), pymongo.timeout(limit_s):
                yield
        except BreakerOpenError as exc:
            detail = "MongoDB keeps failing and is left alone for a moment."
            raise StorageUnavailableError(detail) from exc
        except PyMongoError as exc:
            raise StorageUnavailableError(f"{type(exc).__name__}: {exc}") from exc
        except BSONError as exc:
            raise StorageError(f"{type(exc).__name__}: {exc}") from exc

    async def create_indexes(self, declared: Sequence[Index]) -> None:
        """Create the declared indexes that are missing; others are left alone.

        Raises:
            StorageUnavailableError: not done in time, or what is stored contradicts one.
        """
        missing = set(await self.missing_indexes(declared))
        async with self.deadline(INDEX_TIMEOUT_S):
            for index in declared:
                if index.name in missing:
                    await self._create(index)

    async def missing_indexes(self, declared: Sequence[Index]) -> list[str]:
        """Return the names of declared indexes that do not exist as declared.

        Raises:
            StorageUnavailableError: the store did not answer.
        """
        existing: dict[str, list[Mapping[str, Any]]] = {}
        async with self.deadline():
            for name in {index.collection for index in declared}:
                existing[name] = await self._existing(name)
        return [
            index.name
            for index in declared
            if not any(_is_same(index, found) for found in existing[index.collection])
        ]

    async def check(self) -> None:
        """Prove that the server answers.

        Raises:
            StorageUnavailableError: it does not.
        """
        async with self.deadline():
            await self._client.admin.command("ping")

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
        await self._client.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self._breaker is None:
            with timed(self._on_call, _is_lost):
                yield
            return
        with self._breaker.attempt() as attempt:
            try:
                with timed(self._on_call, _is_lost):
                    yield
            except PyMongoError as exc:
                attempt.failed() if _is_lost(exc) else attempt.succeeded()
                raise
            attempt.succeeded()

    async def _create(self, index: Index) -> None:
        options: dict[str, object] = {}
        if index.unique:
            options["unique"] = True
        if index.expires:
            options["expireAfterSeconds"] = 0
        model = IndexModel(list(index.fields), **options)
        await self._database[index.collection].create_indexes([model])

    async def _existing(self, collection: str) -> list[Mapping[str, Any]]:
        try:
            cursor = await self._database[collection].list_indexes()
            return list(await cursor.to_list())
        except OperationFailure as exc:
            if exc.code == _NAMESPACE_NOT_FOUND:  # no such collection yet
                return []
            raise


def _is_lost(error: Exception) -> bool:
    """Whether no server answered; one that refuses a command is there."""
    return isinstance(error, PyMongoError) and (
        error.timeout or isinstance(error, ConnectionFailure)
    )


def _is_same(index: Index, found: Mapping[str, Any]) -> bool:
    return (
        list(found["key"]) == [field for field, _ in index.fields]
        and bool(found.get("unique")) == index.unique
        and (found.get("expireAfterSeconds") == 0) == index.expires
    )
