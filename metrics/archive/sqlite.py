"""The archive in a SQLite file of its own, for a service of one process."""

import sqlite3
import time
from collections.abc import Callable, Sequence

import anyio

from metrics.archive.base import LEVELS, ArchiveUnavailableError, Charted, Level, Period
from metrics.delta import Delta
from metrics.histogram import COARSE_BOUNDS
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase

_WRITER_KEPT_S = 86_400.0
_STEPS = (
    (
        """
        CREATE TABLE periods (
            level TEXT NOT NULL,
            number INTEGER NOT NULL,
            figures BLOB NOT NULL,
            PRIMARY KEY (level, number)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE writers (
            writer TEXT PRIMARY KEY,
            number INTEGER NOT NULL,
            wrote_at REAL NOT NULL
        ) WITHOUT ROWID
        """,
    ),
)


class SqliteArchive:
    """Periods as rows. The file is opened with the first call; one that cannot be is tried again.

    Args:
        make: Returns the file, not opened yet.
        clock: Seconds since 1970. One that is set back or forward moves figures, and loses none
            but those that it makes older than they may become.
    """

    def __init__(
        self, make: Callable[[], SqliteDatabase], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._make = make
        self._clock = clock
        self._opening = anyio.Lock()
        self._database: SqliteDatabase | None = None

    async def add(self, charted: Sequence[Charted]) -> None:
        now = self._clock()

        def work(connection: sqlite3.Connection) -> None:
            for each in charted:
                if _is_new(connection, each, now):
                    _add(connection, each, now)
            _expire(connection, now)

        try:
            database = await self._opened()
            await database.write(work)
        except StorageError as error:
            raise ArchiveUnavailableError(str(error)) from error

    async def read(
        self, level: Level, periods: int, *, until_s: float | None = None
    ) -> Sequence[Period]:
        last = int((self._clock() if until_s is None else until_s) // level.step_s)

        def work(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
            rows = connection.execute(
                "SELECT number, figures FROM periods"
                " WHERE level = ? AND number > ? AND number <= ? ORDER BY number",
                (level.name, last - periods, last),
            )
            return [(row["number"], row["figures"]) for row in rows]

        try:
            database = await self._opened()
            rows = await database.read(work)
        except StorageError as error:
            raise ArchiveUnavailableError(str(error)) from error
        return [
            Period(number * level.step_s, Delta.decode(figures, COARSE_BOUNDS))
            for number, figures in rows
        ]

    async def close(self) -> None:
        """Close the file; safe to call twice."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def _opened(self) -> SqliteDatabase:
        async with self._opening:
            if self._database is None:
                database = self._make()
                await database.open()
                try:
                    await database.migrate("archive", _STEPS)
                except StorageError:
                    await database.close()
                    raise
                self._database = database
            return self._database


def _is_new(connection: sqlite3.Connection, charted: Charted, now: float) -> bool:
    """Note who wrote, and say whether it is the first time."""
    written = connection.execute(
        "INSERT INTO writers VALUES (?1, ?2, ?3) ON CONFLICT (writer)"
        " DO UPDATE SET number = ?2, wrote_at = ?3 WHERE number < ?2",
        (charted.writer, charted.number, now),
    )
    return written.rowcount > 0


def _add(connection: sqlite3.Connection, charted: Charted, now: float) -> None:
    for level in LEVELS:
        place = (level.name, int((now - charted.age_s) // level.step_s))
        row = connection.execute(
            "SELECT figures FROM periods WHERE level = ? AND number = ?", place
        ).fetchone()
        held = Delta.decode(row["figures"] if row else b"{}", COARSE_BOUNDS)
        held.add(charted.delta)
        connection.execute("REPLACE INTO periods VALUES (?, ?, ?)", (*place, held.encode()))


def _expire(connection: sqlite3.Connection, now: float) -> None:
    for level in LEVELS:
        oldest = int((now - level.keep_s) // level.step_s)
        connection.execute(
            "DELETE FROM periods WHERE level = ? AND number < ?", (level.name, oldest)
        )
    connection.execute("DELETE FROM writers WHERE wrote_at < ?", (now - _WRITER_KEPT_S,))
