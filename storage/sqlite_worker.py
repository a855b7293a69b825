"""One thread with one SQLite connection, fed from the event loop. Not for use outside `storage`."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from storage.errors import StorageConflictError, StorageError, StorageUnavailableError

T = TypeVar("T")

MAX_GROUP = 64
"""Writes committed together at most: bounds how long the first of a group waits for the last."""


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    work: Callable[[sqlite3.Connection], T]
    answer: asyncio.Future[T]
    abandoned: bool = False


class SqliteWorker:
    """Runs calls one after another off the event loop, each all or nothing.

    Writes that wait together are committed together, each in its own savepoint: under load many
    share one flush to disk. A call answers only after its commit.

    Args:
        connect: Makes the connection, in the worker's thread.
        begin: How a transaction starts: `BEGIN IMMEDIATE` for a writer, `BEGIN` for a reader.
        max_pending: Calls that may wait; beyond it a call is refused at once.
    """

    def __init__(
        self, name: str, connect: Callable[[], sqlite3.Connection], *, begin: str, max_pending: int
    ) -> None:
        self._connect = connect
        self._begin = begin
        self._group = MAX_GROUP if begin == "BEGIN IMMEDIATE" else 1
        self._max_pending = max_pending
        self._pending = 0
        self._calls: queue.SimpleQueue[_Call[object] | None] = queue.SimpleQueue()
        # A daemon, so that a disk that hangs for ever cannot keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    async def start(self) -> None:
        """Start the thread and connect.

        Raises:
            StorageError: the connection could not be made; the thread has ended.
        """
        self._loop = asyncio.get_running_loop()
        connected = self._loop.create_future()
        self._connected = connected
        self._thread.start()
        await connected

    async def run(self, work: Callable[[sqlite3.Connection], T], *, timeout_s: float) -> T:
        """Run `work` in a transaction and return its answer once committed.

        A call given up before it began is dropped; one that began runs to its end.

        Raises:
            StorageUnavailableError: not done within `timeout_s`, too many wait, or it failed.
            StorageConflictError: a constraint refused the write.
        """
        if self._loop is None or self._stopping:
            raise StorageUnavailableError("The database is not open.")
        if self._pending >= self._max_pending:
            raise StorageUnavailableError(f"{self._pending} calls wait for the database already.")
        answer: asyncio.Future[T] = self._loop.create_future()
        call = _Call(work, answer)
        self._pending += 1
        self._calls.put(call)  # type: ignore[arg-type]  # the queue does not care for the answer's type
        try:
            with anyio.fail_after(timeout_s):
                return await answer
        except TimeoutError as exc:
            raise StorageUnavailableError(f"No answer within {timeout_s:g} s.") from exc
        finally:
            call.abandoned = not answer.done() or answer.cancelled()

    async def stop(self, *, timeout_s: float) -> None:
        """Finish what waits, close the connection, end the thread; safe to call twice."""
        if self._loop is None:
            return
        if not self._stopping:
            self._stopping = True
            self._calls.put(None)
        with anyio.move_on_after(timeout_s):
            await anyio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)

    def _serve(self) -> None:
        try:
            connection = self._connect()
        except StorageError as exc:
            self._tell(_fail, self._connected, exc)
            return
        self._tell(_succeed, self._connected, None)
        while True:
            batch = self._next_batch()
            calls = [call for call in batch if call is not None]
            self._commit_together(connection, calls)
            self._tell(self._forget, len(calls))
            if len(calls) < len(batch):  # the request to stop is the last of its batch
                connection.close()
                return

    def _next_batch(self) -> Sequence[_Call[object] | None]:
        batch = [self._calls.get()]
        while len(batch) < self._group and batch[-1] is not None:
            try:
                batch.append(self._calls.get_nowait())
            except queue.Empty:
                break
        return batch

    def _commit_together(
        self, connection: sqlite3.Connection, calls: Sequence[_Call[object]]
    ) -> None:
        try:
            connection.execute(self._begin)
            answers = [self._attempt(connection, call) for call in calls if not call.abandoned]
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            _roll_back(connection)
            for call in calls:
                self._tell(_fail, call.answer, _translated(exc))
            return
        for answer in answers:
            answer()

    def _attempt(self, connection: sqlite3.Connection, call: _Call[object]) -> Callable[[], None]:
        """Run one call in a savepoint; return what tells its answer after the commit.

        Raises:
            sqlite3.Error: the whole transaction is lost, not this call alone.
        """
        connection.execute("SAVEPOINT call")
        try:
            result = call.work(connection)
        except Exception as exc:  # the caller's own: it travels to the caller
            if not connection.in_transaction:
                raise sqlite3.OperationalError(f"The transaction was lost: {exc}") from exc
            connection.execute("ROLLBACK TO call")
            connection.execute("RELEASE call")
            return self._teller(_fail, call.answer, _translated(exc))
        connection.execute("RELEASE call")
        return self._teller(_succeed, call.answer, result)

    def _teller(self, tell: Callable[..., None], *args: object) -> Callable[[], None]:
        return lambda: self._tell(tell, *args)

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None  # noqa: S101  # the thread starts after the loop is known
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)

    def _forget(self, count: int) -> None:
        self._pending -= count


def _succeed(answer: asyncio.Future[object], result: object) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[object], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _translated(error: Exception) -> Exception:
    match error:
        case sqlite3.IntegrityError():
            translated: Exception = StorageConflictError(str(error))
        case sqlite3.Error():
            translated = StorageUnavailableError(str(error))
        case _:
            return error
    translated.__cause__ = error
    return translated
