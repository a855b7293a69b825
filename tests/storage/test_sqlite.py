"""The SQLite file that the embedded adapters share."""

import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from storage.errors import (
    StorageConflictError,
    StorageError,
    StorageOpenError,
    StorageUnavailableError,
)
from storage.sqlite import SqliteDatabase, insert_row

NOBODY = 65534

STEPS = (("CREATE TABLE notes (note TEXT PRIMARY KEY) STRICT",),)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "notes.db", timeout_s=20)
    await database.open()
    await database.migrate("notes", STEPS)
    yield database
    await database.close()


async def test_the_file_and_its_folder_are_made_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "chat.db"
    database = SqliteDatabase(path)

    await database.open()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await database.close()


async def test_a_path_that_cannot_be_used_is_named_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage.db").write_bytes(b"\x00garbage\xff" * 1000)

    for path, cause in (
        (tmp_path / "file" / "chat.db", "File exists"),
        (tmp_path / "folder", "unable to open database file"),
        (tmp_path / "garbage.db", "file is not a database"),
    ):
        with pytest.raises(StorageOpenError, match=cause) as refused:
            await SqliteDatabase(path).open()
        assert str(path) in str(refused.value)


async def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with _unprivileged(), pytest.raises(StorageOpenError, match="Permission denied"):
        await SqliteDatabase(tmp_path / "chat.db").open()

    tmp_path.chmod(0o700)


async def test_a_file_that_may_not_be_written_is_named() -> None:
    # Not in `tmp_path`: its parents are closed to the user as whom the file is opened.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chat.db"
        await _opened_and_closed(path)
        path.chmod(0o444)
        path.parent.chmod(0o777)  # the file alone is to be in the way

        with _unprivileged(), pytest.raises(StorageOpenError, match="readonly"):
            await SqliteDatabase(path).open()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()

    with pytest.raises(StorageOpenError, match="another program's"):
        await SqliteDatabase(path).open()

    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()


async def test_a_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    await _opened_and_closed(path)
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 2")
    newer.close()

    with pytest.raises(StorageOpenError, match="newer release"):
        await SqliteDatabase(path).open()


async def test_what_was_written_is_read_at_once_and_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    database = SqliteDatabase(path)
    await database.open()
    await database.migrate("notes", STEPS)

    await _note(database, "one")
    at_once = await _notes(database)
    await database.close()
    database = SqliteDatabase(path)
    await database.open()
    reopened = await _notes(database)
    await database.close()

    assert at_once == reopened == ["one"]
    assert [file.name for file in tmp_path.iterdir()] == ["notes.db"]


async def test_a_call_that_fails_is_undone_and_its_error_told(database: SqliteDatabase) -> None:
    def work(connection: sqlite3.Connection) -> None:
        insert_row(connection, "notes", {"note": "lost"})
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await database.write(work)

    assert await _notes(database) == []


async def test_calls_that_are_committed_together_fail_alone(database: SqliteDatabase) -> None:
    conflicts: list[str] = []

    async def note(text: str) -> None:
        try:
            await _note(database, text)
        except StorageConflictError:
            conflicts.append(text)

    async with _held_up(database) as tasks:
        for number in range(50):
            tasks.start_soon(note, f"{number // 2:02}")

    assert len(conflicts) == 25
    assert await _notes(database) == [f"{number:02}" for number in range(25)]


async def test_a_call_that_takes_too_long_is_told_but_may_still_happen(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "notes.db", timeout_s=0.2)
    await database.open()
    await database.migrate("notes", STEPS)
    release = threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        insert_row(connection, "notes", {"note": "late"})
        release.wait(20)

    with anyio.fail_after(20):
        with pytest.raises(StorageUnavailableError, match="within"):
            await database.write(slow)
        with pytest.raises(StorageUnavailableError, match="within"):
            await _note(database, "given up before it began")
        release.set()
        await database.close()

    assert _notes_in(tmp_path / "notes.db") == ["late"]


async def test_a_cancelled_caller_leaves_the_database_usable(database: SqliteDatabase) -> None:
    async with _held_up(database), anyio.create_task_group() as cancelled:
        cancelled.start_soon(_note, database, "dropped")
        await anyio.lowlevel.checkpoint()
        cancelled.cancel_scope.cancel()

    await _note(database, "kept")
    assert await _notes(database) == ["kept"]


async def test_more_calls_than_may_wait_are_refused_at_once(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "notes.db", timeout_s=20, max_pending=3)
    await database.open()
    await database.migrate("notes", STEPS)
    refused: list[str] = []

    async def note(text: str) -> None:
        try:
            await _note(database, text)
        except StorageUnavailableError:
            refused.append(text)

    async with _held_up(database) as tasks:
        for text in "abcd":
            tasks.start_soon(note, text)
        await anyio.lowlevel.checkpoint()

    assert refused == ["c", "d"]
    assert await _notes(database) == ["a", "b"]
    await database.close()


async def test_closing_finishes_the_writes_that_wait(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "notes.db", timeout_s=20)
    await database.open()
    await database.migrate("notes", STEPS)

    async with _held_up(database) as tasks:
        for number in range(200):
            tasks.start_soon(_note, database, f"{number:03}")
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(database.close)
        await anyio.lowlevel.checkpoint()
    await database.close()

    assert len(_notes_in(tmp_path / "notes.db")) == 200
    with pytest.raises(StorageUnavailableError, match="not open"):
        await _notes(database)


async def test_a_database_that_was_never_opened_is_not_open(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "notes.db")

    with pytest.raises(StorageUnavailableError, match="not open"):
        await database.check()
    await database.close()


async def test_the_reading_side_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(StorageUnavailableError, match="readonly"):
        await database.read(lambda connection: insert_row(connection, "notes", {"note": "no"}))


async def test_a_call_that_ends_the_transaction_itself_harms_no_later_call(
    database: SqliteDatabase,
) -> None:
    with pytest.raises(StorageUnavailableError):
        await database.write(lambda connection: connection.execute("ROLLBACK"))

    await _note(database, "after")
    assert await _notes(database) == ["after"]


@pytest.mark.fault(44)
async def test_a_full_disk_is_told_and_what_was_kept_stays(database: SqliteDatabase) -> None:
    await _note(database, "before")
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 16"))

    with pytest.raises(StorageUnavailableError, match="full"):
        await _note(database, "x" * 200_000)

    await database.check()
    assert await _notes(database) == ["before"]


async def test_two_processes_may_write_the_same_file(
    database: SqliteDatabase, tmp_path: Path
) -> None:
    other = SqliteDatabase(tmp_path / "notes.db", timeout_s=20)
    await other.open()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(_note, (database, other)[number % 2], f"{number:02}")

    assert len(await _notes(database)) == 40
    await other.close()


async def test_each_step_of_a_schema_runs_once(database: SqliteDatabase) -> None:
    second = (*STEPS, ("ALTER TABLE notes ADD COLUMN colour TEXT",))

    await database.migrate("notes", second)
    await database.migrate("notes", second)

    await _note(database, "coloured")
    assert await database.read(
        lambda connection: connection.execute("SELECT colour FROM notes").fetchone()[0] is None
    )


async def test_an_older_release_goes_on_with_a_newer_schema(database: SqliteDatabase) -> None:
    newer = (*STEPS, ("ALTER TABLE notes ADD COLUMN colour TEXT",))
    await database.migrate("notes", newer)

    await database.migrate("notes", STEPS)
    await database.migrate("notes", newer)

    await _note(database, "still written")
    assert await _notes(database) == ["still written"]


async def test_a_step_that_fails_leaves_the_schema_as_it_was(database: SqliteDatabase) -> None:
    broken = (*STEPS, ("CREATE TABLE more (x)", "CREATE NONSENSE"))

    with pytest.raises(StorageError):
        await database.migrate("notes", broken)
    await database.migrate("notes", (*STEPS, ("CREATE TABLE more (x)",)))

    await database.write(lambda connection: connection.execute("INSERT INTO more VALUES (1)"))


async def _note(database: SqliteDatabase, text: str) -> None:
    await database.write(lambda connection: insert_row(connection, "notes", {"note": text}))


async def _notes(database: SqliteDatabase) -> list[str]:
    def work(connection: sqlite3.Connection) -> list[str]:
        return [row["note"] for row in connection.execute("SELECT note FROM notes ORDER BY note")]

    return await database.read(work)


def _notes_in(path: Path) -> list[str]:
    """Read the file as any other program would."""
    connection = sqlite3.connect(path)
    notes = [note for (note,) in connection.execute("SELECT note FROM notes ORDER BY note")]
    connection.close()
    return notes


async def _opened_and_closed(path: Path) -> None:
    database = SqliteDatabase(path)
    await database.open()
    await database.close()


@asynccontextmanager
async def _held_up(database: SqliteDatabase) -> AsyncIterator[TaskGroup]:
    """Keep the writing thread busy inside the block, so that calls wait together."""
    begun = anyio.Event()
    loop = anyio.lowlevel.current_token()
    release = threading.Event()

    def work(_: sqlite3.Connection) -> None:
        anyio.from_thread.run_sync(begun.set, token=loop)
        release.wait(20)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(database.write, work)
            await begun.wait()
            try:
                yield tasks
            finally:
                release.set()


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Work as nobody where the tests run as root, who may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
