"""Archives of what is stored: whole, checked, and put back equal."""

import gzip
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
from pymongo import MongoClient

from flags.store.base import FlagStore
from flags.store.redis import RedisFlagStore
from operations.backup import __main__ as backup
from operations.backup import mongo_tools, restore
from operations.backup.archive import MANIFEST, prune, read_manifest
from operations.backup.mongo import ordered
from operations.findings import OperationError
from server.services import choose_stores
from server.settings import Settings
from tests.history.factories import OWNER, a_first_turn, an_end
from tests.support.commits import a_commit, a_flag
from tests.support.mongo import MongoServer, running_mongo
from tests.support.redis import RedisServer, running_redis

TURNS = 20


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the service that the commands find; nothing of this machine's counts."""
    folder = tmp_path / "data"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def uri(mongo: MongoServer, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> str:
    """Return the address of a database of the test's own, which the commands find."""
    del data_dir
    uri = f"{mongo.uri}/backup_{next(_numbers)}"
    monkeypatch.setenv("MONGODB_URI", uri)
    return uri


_numbers = count()


async def _write(turns: int) -> None:
    stores = choose_stores(Settings())
    try:
        await stores.history.open()
        await stores.chatbots.open()
        await stores.accounts.open()
        for _ in range(turns):
            record, _ = await stores.history.turns.begin(a_first_turn())
            await stores.history.turns.end(an_end(record))
        running, _ = await stores.history.turns.begin(a_first_turn())
        assert running.owner_id == OWNER
    finally:
        await stores.history.close()


def fill(turns: int = TURNS) -> None:
    """Store turns by the service's own adapters; one of them still runs."""
    anyio.run(_write, turns)


def archived(root: Path, *options: str) -> Path:
    """Make an archive and return it."""
    assert backup.main([str(root), *options]) == 0
    return max(root.glob("chatstream-*"))


def rows(path: Path) -> dict[str, list[Any]]:
    """Return all that is in a SQLite file, in its order."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: connection.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608  # names from the schema
            for (name,) in names
        }


def documents(uri: str) -> dict[str, Any]:
    """Return all that is in a database: documents with the order of their fields, and indexes."""
    with MongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        return {
            name: (
                [list(each.items()) for each in database[name].find().sort("_id", 1)],
                sorted(
                    (list(index["key"].items()), index.get("unique"), "expireAfterSeconds" in index)
                    for index in database[name].list_indexes()
                ),
            )
            for name in sorted(database.list_collection_names())
        }


def wipe(uri: str) -> None:
    """Lose a database."""
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(client.get_default_database().name)


def test_files_come_back_as_they_were(data_dir: Path, tmp_path: Path) -> None:
    fill()
    (data_dir / "flags.json").write_text('{"version": 7}', encoding="utf-8")
    (data_dir / "jwt-secret").write_text("s" * 40, encoding="ascii")
    before = rows(data_dir / "chat.db")

    archive = archived(tmp_path / "archives")
    shutil.rmtree(data_dir)
    assert restore.main([str(archive)]) == 0

    assert rows(data_dir / "chat.db") == before
    assert (len(before["turns"]), len(before["messages"])) == (TURNS + 1, 2 * TURNS + 1)
    assert (data_dir / "flags.json").read_text("utf-8") == '{"version": 7}'
    assert sorted(path.name for path in data_dir.iterdir()) == ["chat.db", "flags.json"]
    assert {path.stat().st_mode & 0o077 for path in (*archive.iterdir(), archive)} == {0}


def test_secrets_are_archived_and_put_back_only_where_asked(data_dir: Path, tmp_path: Path) -> None:
    data_dir.mkdir()
    (data_dir / "jwt-secret").write_text("s" * 40, encoding="ascii")
    (tmp_path / ".env").write_text("LOG_LEVEL=info\n", encoding="ascii")

    archive = archived(tmp_path / "archives", "--with-secrets")
    shutil.rmtree(data_dir)
    (tmp_path / ".env").unlink()
    assert restore.main([str(archive)]) == 0
    assert not (data_dir / "jwt-secret").exists()
    assert restore.main([str(archive), "--with-secrets"]) == 0

    assert (data_dir / "jwt-secret").read_text("ascii") == "s" * 40
    assert (data_dir / "jwt-secret").stat().st_mode & 0o077 == 0
    assert (tmp_path / ".env").read_text("ascii") == "LOG_LEVEL=info\n"


def test_what_is_there_is_replaced_only_where_asked_and_kept_beside(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")
    before = rows(data_dir / "chat.db")
    fill(2)

    assert restore.main([str(archive)]) == 1
    assert "--yes" in capsys.readouterr().err
    assert rows(data_dir / "chat.db") != before
    assert restore.main([str(archive), "--yes"]) == 0

    assert rows(data_dir / "chat.db") == before
    aside = [path for path in data_dir.iterdir() if path.name.startswith("chat.db.2")]
    assert [len(rows(path)["turns"]) for path in aside] == [5]


def test_a_file_that_somebody_has_open_is_not_replaced(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")

    with closing(sqlite3.connect(data_dir / "chat.db")) as server:
        server.execute("SELECT count(*) FROM turns").fetchone()
        assert restore.main([str(archive), "--yes"]) == 1

    assert "stop the server first" in capsys.readouterr().err
    assert restore.main([str(archive)]) == 0, "it goes on without being asked again"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _turn_a_bit(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


@pytest.mark.parametrize("harm", [_cut, _turn_a_bit, Path.unlink])
def test_a_damaged_archive_is_refused_before_anything_is_touched(
    data_dir: Path,
    tmp_path: Path,
    harm: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")
    shutil.rmtree(data_dir)
    harm(archive / "chat.db.gz")

    assert restore.main([str(archive), "--check"]) == 1
    assert restore.main([str(archive), "--yes"]) == 1

    assert "chat.db.gz" in capsys.readouterr().err
    assert not data_dir.exists()


def test_a_manifest_that_names_files_elsewhere_is_refused(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    manifest = archived(tmp_path / "archives") / MANIFEST
    told = manifest.read_text("utf-8")
    manifest.chmod(0o600)
    manifest.write_text(told.replace("chat.db.gz", "../data/chat.db"), encoding="utf-8")

    assert restore.main([str(manifest.parent)]) == 1
    assert "names files elsewhere" in capsys.readouterr().err
    assert data_dir.exists()


def test_an_archive_is_not_restored_into_another_kind_of_store(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/x")

    assert restore.main([str(archive)]) == 1
    assert "MONGODB_URI" in capsys.readouterr().err
    assert len(rows(data_dir / "chat.db")["turns"]) == 2


def test_only_the_newest_archives_are_kept_and_nothing_else_is_removed(tmp_path: Path) -> None:
    names = [f"chatstream-2026010{day}T000000Z" for day in range(1, 6)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).touch()
    (tmp_path / "chatstream-notes").mkdir()

    assert prune(tmp_path, 2) == names[:3]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names[3:], "chatstream-notes"]


def test_an_archive_is_whole_or_not_there(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir.mkdir()
    (data_dir / "chat.db").write_text("no database", encoding="ascii")

    assert backup.main([str(tmp_path / "archives")]) == 1

    assert "chat.db cannot be copied" in capsys.readouterr().err
    assert list((tmp_path / "archives").iterdir()) == []


def test_a_copy_of_a_file_that_is_written_to_is_one_moment_of_it(
    data_dir: Path, tmp_path: Path
) -> None:
    fill(1)
    is_over = threading.Event()
    writer = threading.Thread(target=partial(_keep_writing, data_dir / "chat.db", is_over))
    writer.start()
    try:
        archives = [archived(tmp_path / f"archives-{number}") for number in range(3)]
    finally:
        is_over.set()
        writer.join()

    for archive in archives:
        shutil.rmtree(data_dir)
        assert restore.main([str(archive)]) == 0
        pairs = rows(data_dir / "chat.db")["pairs"]
        assert [number for (number,) in pairs] == list(range(len(pairs)))
        assert len(pairs) % 2 == 0


def _keep_writing(path: Path, is_over: threading.Event) -> None:
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        connection.execute("CREATE TABLE pairs (number INTEGER PRIMARY KEY)")
        for first in count(step=2):
            with connection:
                connection.executemany("INSERT INTO pairs VALUES (?)", [(first,), (first + 1,)])
            if is_over.is_set():
                return


def test_collections_that_lead_to_others_are_copied_before_them() -> None:
    names = ["users", "turns", "conversations", "chatbots", "messages", "sessions"]

    assert ordered(names) == [
        "chatbots",
        "messages",
        "turns",
        "conversations",
        "sessions",
        "users",
    ]


@pytest.mark.services
def test_a_database_comes_back_document_by_document(uri: str, tmp_path: Path) -> None:
    fill()
    before = documents(uri)

    archive = archived(tmp_path / "archives", "--engine", "built-in")
    wipe(uri)
    assert restore.main([str(archive)]) == 0

    assert documents(uri) == before
    assert len(before["messages"][0]) == 2 * TURNS + 1


@pytest.mark.services
def test_a_restore_that_broke_off_goes_on(
    uri: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(3)
    before = documents(uri)
    archive = archived(tmp_path / "archives", "--engine", "built-in")
    fill(1)
    assert restore.main([str(archive)]) == 1
    assert "messages" in capsys.readouterr().err

    whole = (archive / "turns.jsonl.gz").read_bytes()
    manifest = (archive / MANIFEST).read_bytes()
    settings, parts = Settings(), read_manifest(archive)
    broken = restore.Restore(settings, archive, parts, env_file=None)
    (archive / "turns.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(OperationError, match="turns holds 0 documents"):
        broken.run()
    (archive / "turns.jsonl.gz").write_bytes(whole)
    assert (archive / MANIFEST).read_bytes() == manifest
    assert (data_dir / restore.PROGRESS).exists()

    assert restore.main([str(archive)]) == 0
    assert documents(uri) == before
    assert not (data_dir / restore.PROGRESS).exists()


@pytest.mark.services
def test_flags_in_redis_come_back_with_their_history(
    redis: RedisServer, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis.url)
    fill(1)
    anyio.run(_change_flags, redis.url)
    with redis.client() as client:
        client.set("chat:other", "not ours to touch")
    before = _flags_in(redis)

    archive = archived(tmp_path / "archives")
    shutil.rmtree(data_dir)
    anyio.run(partial(_change_flags, redis.url, expected=2, percentage=90))
    assert restore.main([str(archive)]) == 1, "there are flags already"
    assert restore.main([str(archive), "--yes"]) == 0

    assert _flags_in(redis) == before
    assert anyio.run(_percentage, redis.url) == 25
    with redis.client() as client:
        assert client.get("chat:other") == b"not ours to touch"


async def _change_flags(url: str, *, expected: int = 0, percentage: float = 25) -> None:
    store: FlagStore = RedisFlagStore(url)
    try:
        await store.commit(a_commit(expected, a_flag("streaming", 5)))
        await store.commit(a_commit(expected + 1, a_flag("streaming", percentage)))
    finally:
        await store.close()


async def _percentage(url: str) -> float:
    store = RedisFlagStore(url)
    try:
        return (await store.read()).flags["streaming"].rollout.percentage
    finally:
        await store.close()


def _flags_in(redis: RedisServer) -> list[Any]:
    with redis.client() as client:
        return [
            client.get("{flags}:version"),
            client.hgetall("{flags}:definitions"),
            client.xrange("{flags}:audit:flag:streaming"),
        ]


def test_addresses_with_passwords_are_no_argument_of_mongodump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither program is a dependency: one that writes down how it was called stands in here."""
    program = tmp_path / "mongodump"
    program.write_text(
        "#!/bin/sh\n"
        'for word in "$@"; do case $word in\n'
        '--config=*) cp "${word#--config=}" "$SEEN/config"; ls -l "${word#--config=}";;\n'
        '--archive=*) echo "$@" > "${word#--archive=}";;\n'
        "esac; done\n",
        encoding="ascii",
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SEEN", str(tmp_path))
    folder = tmp_path / "archive"
    folder.mkdir()

    part = mongo_tools.dump("mongodb://me:hidden@db/x", "x", folder)

    arguments = (folder / part.path).read_text("ascii")
    assert "--db=x" in arguments
    assert "hidden" not in arguments
    assert (tmp_path / "config").read_text("ascii") == 'uri: "mongodb://me:hidden@db/x"\n'
    assert not mongo_tools.are_here(), "mongorestore is needed as well"


def test_a_program_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mongodump"
    program.write_text("#!/bin/sh\necho no such host >&2\nexit 1\n", encoding="ascii")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(OperationError, match="mongodump ended with 1: no such host"):
        mongo_tools.dump("mongodb://db/x", "x", tmp_path)


@pytest.mark.services
@pytest.mark.long
def test_a_copy_taken_while_turns_begin_and_end_is_one_that_the_service_mends(
    uri: str, tmp_path: Path
) -> None:
    fill(1)
    is_over = threading.Event()
    writer = threading.Thread(target=partial(_keep_talking, is_over))
    writer.start()
    try:
        archives = [
            archived(tmp_path / f"archives-{number}", "--engine", "built-in") for number in range(4)
        ]
    finally:
        is_over.set()
        writer.join()

    for archive in archives:
        wipe(uri)
        assert restore.main([str(archive)]) == 0
        anyio.run(_mend)
        held = documents(uri)
        conversations = {doc["_id"]: doc for doc in map(dict, held["conversations"][0])}
        messages = [dict(doc) for doc in held["messages"][0]]
        turns = {dict(doc)["_id"] for doc in held["turns"][0]}
        assert messages
        for message in messages:
            assert message["seq"] <= conversations[message["conversation_id"]]["last_seq"]
        slots = {doc["active_turn_id"] for doc in conversations.values()} - {None}
        assert slots <= turns


def _keep_talking(is_over: threading.Event) -> None:
    while not is_over.is_set():
        fill(5)


async def _mend() -> None:
    """Do what the service does at its start."""
    stores = choose_stores(Settings())
    try:
        await stores.history.open()
        await stores.history.sweep(datetime.now(UTC))
    finally:
        await stores.history.close()
