"""SQLite files: copied whole while others write, put back where nobody has them open."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from operations.backup.archive import Part, pack, sealed, unpack
from operations.findings import OperationError


def dump(source: Path, folder: Path) -> Part:
    """Copy a database as it is at one moment; writers go on meanwhile.

    Raises:
        OperationError: it cannot be read, or is damaged.
    """
    copy = folder / f"{source.name}.copy"
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as origin,
            closing(sqlite3.connect(copy)) as target,
        ):
            # All pages in one step: one snapshot of the log, never begun anew by a writer.
            origin.backup(target, pages=-1)
            target.execute("PRAGMA journal_mode = DELETE")
        counts = counted(copy)
    except sqlite3.Error as error:
        raise OperationError(f"{source} cannot be copied: {error}.") from None
    packed = folder / f"{source.name}.gz"
    pack(copy, packed)
    copy.unlink()
    part = sealed(packed, "sqlite", entries=sum(counts.values()))
    return msgspec.structs.replace(part, counts=counts)


def load(part: Part, folder: Path, target: Path) -> None:
    """Put a copy in the place of a database; what was there is kept beside, with its time.

    Raises:
        OperationError: a process has the database open, or the copy is not what was archived.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.restored")
    fresh.unlink(missing_ok=True)
    try:
        unpack(folder / part.path, fresh)
        if counted(fresh) != part.counts:
            raise OperationError(f"{part.path} holds other rows than were archived.")
        if target.exists():
            _put_aside(target)
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        fresh.replace(target)
    except sqlite3.Error as error:
        raise OperationError(f"{target} cannot be restored: {error}.") from None
    finally:
        fresh.unlink(missing_ok=True)


def counted(path: Path) -> dict[str, int]:
    """Return the rows of each table.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {verdict}")
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608  # names from the schema
            for (name,) in sorted(tables)
        }


def _put_aside(target: Path) -> None:
    """Fold the log into the file, which takes that nobody else has it open; rename it."""
    try:
        with closing(sqlite3.connect(target, timeout=1)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        raise OperationError(f"{target} is open: stop the server first.") from None
    except sqlite3.DatabaseError:
        pass  # damaged: that may be why it is replaced
    target.rename(target.with_name(f"{target.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"))
