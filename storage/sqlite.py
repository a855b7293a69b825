"""One SQLite file shared by all embedded adapters: threads, deadlines and migrations.

Durability: WAL with `synchronous=FULL`. What was answered survives a crash of the process and a
power cut (as far as the disk tells the truth); writes that wait together share one flush, so the
cost of it does not grow with the number of turns.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio

from storage.errors import StorageError, StorageOpenError, StorageUnavailableError
from storage.sqlite_worker import SqliteWorker
from storage.timing import OnCall, timed

T = TypeVar("T")

FILE_VERSION = 1
"""`user_version` of the file: grows only when an older release could no longer use it."""

APPLICATION_ID = 0x43686174
"""Marks the file as ours, so that a wrong path cannot fill another program's database."""

MAX_PENDING = 4096
"""Calls that may wait for one thread: about a second of work; more would miss their deadline."""

_CREATE_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS schema_versions"
    " (component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"
)


class SqliteDatabase:
    """A file with one writing and one reading thread. Open it before use, close it once.

    A read that follows an answered write sees it. Any number of adapters may share one instance:
    each opens it (the first does the work); closing is for all.

    Args:
        path: The file; it and its folder are made where missing, readable by their owner only.
        timeout_s: Deadline of a call, waiting included.
        max_pending: Calls that may wait for each thread.
        on_call: Told how long calls took, waiting included.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout_s: float = 2.0,
        max_pending: int = MAX_PENDING,
        on_call: OnCall | None = None,
    ) -> None:
        self.path = path
        self._on_call = on_call
        self._timeout_s = timeout_s
        self._opening = anyio.Lock()
        self._is_open = False
        self._writer = SqliteWorker(
            "sqlite-writer",
            self._connect_writer,
            begin="BEGIN IMMEDIATE",
            max_pending=max_pending,
        )
        self._reader = SqliteWorker(
            "sqlite-reader", self._connect_reader, begin="BEGIN", max_pending=max_pending
        )

    async def open(self) -> None:
        """Make or open the file; safe to call again. A closed database is not opened again.

        Raises:
            StorageOpenError: the path cannot be written, or holds something else.
        """
        async with self._opening:
            if self._is_open:
                return
            await self._writer.start()
            try:
                await self._reader.start()
            except StorageError:
                await self._writer.stop(timeout_s=self._timeout_s)
                raise
            self._is_open = True

    async def migrate(self, component: str, steps: Sequence[Sequence[str]]) -> None:
        """Bring a component's tables up to `len(steps)`: each missing step once, all or nothing.

        Steps only add: an older release finds its tables in a newer file and goes on.

        Args:
            component: Whose tables; each component counts its own steps.
            steps: SQL statements per step, in order; never changed once released.
        """

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "SELECT version FROM schema_versions WHERE component = ?", (component,)
            ).fetchone()
            for step in steps[row["version"] if row else 0 :]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_versions VALUES (?, ?) ON CONFLICT (component)"
                " DO UPDATE SET version = max(version, excluded.version)",
                (component, len(steps)),
            )

        await self.write(work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction of the writing thread; return once it is on disk.

        What `work` raises undoes all that it wrote. Cancelled or late, it may still happen.

        Raises:
            StorageUnavailableError: failed, or not done within the deadline.
            StorageConflictError: a constraint refused it.
        """
        with timed(self._on_call, _is_fault):
            return await self._writer.run(work, timeout_s=self._timeout_s)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one snapshot, in the reading thread; it cannot write.

        Raises:
            StorageUnavailableError: failed, or not done within the deadline.
        """
        with timed(self._on_call, _is_fault):
            return await self._reader.run(work, timeout_s=self._timeout_s)

    async def check(self) -> None:
        """Prove that both threads answer and that the file can be locked for writing.

        Raises:
            StorageUnavailableError: they do not.
        """
        await self.write(_touch)
        await self.read(_touch)

    async def index_names(self) -> frozenset[str]:
        """Return the names of all indexes of the file."""

        def work(connection: sqlite3.Connection) -> frozenset[str]:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
            return frozenset(row["name"] for row in rows)

        return await self.read(work)

    async def close(self) -> None:
        """Finish the writes that wait, fold the log into the file, end the threads."""
        await self._reader.stop(timeout_s=self._timeout_s)
        await self._writer.stop(timeout_s=self._timeout_s)

    def _connect_writer(self) -> sqlite3.Connection:
        try:
            _create_private(self.path)
        except OSError as exc:
            cause = f"{exc.filename}: {exc.strerror}"
            raise StorageOpenError(f"{self.path} cannot be used: {cause}.") from exc
        return self._connect(_prepare)

    def _connect_reader(self) -> sqlite3.Connection:
        return self._connect(_forbid_writes)

    def _connect(self, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            # Half the deadline for another process's lock leaves the other half for the work.
            connection = sqlite3.connect(
                self.path, timeout=self._timeout_s / 2, isolation_level=None, cached_statements=256
            )
            connection.row_factory = sqlite3.Row
            prepare(connection)
        except (sqlite3.Error, StorageOpenError) as exc:
            if connection is not None:
                connection.close()
            cause = str(exc).rstrip(".")
            raise StorageOpenError(f"{self.path} cannot be used: {cause}.") from exc
        return connection


def insert_row(
    connection: sqlite3.Connection,
    table: str,
    values: Mapping[str, object],
    *,
    conflict: str = "",
) -> None:
    """Insert a row by column name, so that a newer release's added columns do not matter.

    Args:
        connection: Within a transaction.
        table: Name of the table, from code.
        values: What goes into which column; names come from code, never from a caller.
        conflict: An `ON CONFLICT …` clause.
    """
    columns = ", ".join(values)
    places = ", ".join(f":{column}" for column in values)
    statement = f"INSERT INTO {table} ({columns}) VALUES ({places}) {conflict}"  # noqa: S608  # names from code
    connection.execute(statement, values)


def _is_fault(error: Exception) -> bool:
    return isinstance(error, StorageUnavailableError)


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    _refuse_foreign_file(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_CREATE_VERSIONS)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FILE_VERSION}")
    connection.execute("COMMIT")


def _refuse_foreign_file(connection: sqlite3.Connection) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application_id != APPLICATION_ID and (application_id or version or tables):
        raise StorageOpenError("it is another program's database")
    if version > FILE_VERSION:
        raise StorageOpenError(
            f"it was written by a newer release (format {version}, known {FILE_VERSION})"
        )


def _forbid_writes(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM schema_versions").fetchone()
