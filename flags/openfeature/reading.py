"""What another service may do with a flag store: read it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from flags.errors import FlagsError, FlagStoreDamagedError, FlagStoreError
from flags.model import AuditEntry, Ruleset
from flags.store.base import Commit, Committed, FlagStore

log = structlog.get_logger(__name__)


class ReadOnlyStore:
    """Reads a store, and tells after each of its answers and faults. It never writes.

    A `FlagClient` gives a store that has lost its flags those that it knows. That is for the
    service whose flags they are; others go on with what they know until it has done so.

    Args:
        open_store: Makes the store, on the event loop that will use it.
        least_version: A version that the store has had: a lower one means that it lost its rules.
        tell: Called on the event loop once the client has taken notice.
    """

    def __init__(
        self,
        open_store: Callable[[], FlagStore],
        *,
        least_version: Callable[[], int],
        tell: Callable[[], None],
    ) -> None:
        self._open_store = open_store
        self._least_version = least_version
        self._tell = tell
        self._store: FlagStore | None = None

    kind = "read_only"

    async def read(self) -> Ruleset:
        async with self._asking() as store:
            ruleset = await store.read()
            least = self._least_version()
            if ruleset.version < least:
                raise FlagStoreDamagedError(
                    f"the store has lost its flags: it was at {least} and is at {ruleset.version}"
                )
            return ruleset

    async def commit(self, commit: Commit) -> Committed:
        raise FlagStoreError(f"this service only reads; version {commit.version} is not written")

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        async with self._asking() as store:
            return await store.next_version(seen, timeout_s=timeout_s)

    async def history(
        self, subject: str, *, limit: int, before: int | None = None
    ) -> Sequence[AuditEntry]:
        async with self._asking() as store:
            return await store.history(subject, limit=limit, before=before)

    async def close(self) -> None:
        store, self._store = self._store, None
        if store:
            await store.close()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[FlagStore]:
        """Give the store; a fault that it does not declare is a fault of the store all the same."""
        if self._store is None:
            self._store = self._open_store()
        try:
            yield self._store
        except FlagsError:
            raise
        except Exception as error:
            log.exception("flags.store_failed")
            raise FlagStoreError(f"{type(error).__name__}: {error}") from error
        finally:
            # Soon, not now: the client goes on in this same step, and has then taken notice.
            asyncio.get_running_loop().call_soon(self._tell)
