"""Archives of MongoDB and of the flags in Redis: put back document by document."""

import gzip
import re
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest
from bson import CodecOptions, Int64, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from flags.store.base import FlagStore
from flags.store.redis import RedisFlagStore
from operations.__main__ import run
from operations.backup import mongo_tools, restore
from operations.backup.archive import MANIFEST, read_manifest
from operations.backup.making import PROGRESS
from operations.backup.mongo import ordered
from operations.findings import OperationError
from server.services import choose_stores
from server.settings import Settings
from tests.operations.stored import TURNS, archived, documents, fill, wipe
from tests.support.commits import a_commit, a_flag
from tests.support.mongo import MongoServer, running_mongo
from tests.support.redis import RedisServer, running_redis


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with running_mongo(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


_numbers = count()


@pytest.fixture
def uri(mongo: MongoServer, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> str:
    """Return the address of a database of the test's own, which the commands find."""
    del data_dir
    uri = f"{mongo.uri}/backup_{next(_numbers)}"
    monkeypatch.setenv("MONGODB_URI", uri)
    return uri


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
    assert run("restore", [str(archive)]) == 0

    assert documents(uri) == before
    assert len(before["messages"][0]) == 2 * TURNS + 1


@pytest.mark.services
@pytest.mark.usefixtures("uri")
def test_a_mongodb_that_answers_is_told_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate-env", []) == 0

    said = capsys.readouterr().out
    assert re.search(r"^(ok|warn) +MONGODB_URI: MongoDB ", said, re.MULTILINE), said
    assert "MONGODB_URI clock" not in said


@pytest.mark.services
def test_every_type_comes_back_as_it_was_and_what_was_not_there_goes(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds: dict[str, Any] = {
        "_id": "kinds",
        "when": datetime(2026, 11, 22, 3, 4, 5, 678_000, tzinfo=UTC),
        "bytes": b"\x00\xff",
        "long": Int64(5),
        "huge": 2**62,
        "float": 5.0,
        "nothing": None,
        "z": {"b": [1, {"a": "ü\n"}], "a": ObjectId()},
    }
    with MongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        database["chatbots"].insert_one(kinds)
        # A server may keep this one with its id last; it cannot be inserted so.
        database["turns"].insert_one({"_id": "replaced", "a": 1})
        database["turns"].replace_one({"_id": "replaced"}, {"a": 2})
        raw = database["chatbots"].with_options(CodecOptions(document_class=RawBSONDocument))
        before = raw.find_one().raw  # type: ignore[union-attr]  # it is there

        archive = archived(tmp_path / "archives", "--engine", "built-in")
        database["chatbots"].delete_many({})
        database["users"].insert_one({"_id": "later"})
        assert run("restore", [str(archive)]) == 1
        assert "users" in capsys.readouterr().err, "what is not in the archive is named, too"
        assert run("restore", [str(archive), "--yes"]) == 0

        assert raw.find_one().raw == before  # type: ignore[union-attr]  # it is there
        assert database["users"].find_one() is None


@pytest.mark.services
def test_figures_of_charts_come_back_for_as_long_as_they_live(
    redis: RedisServer, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis.url)
    fill(1)
    now = int(time.time())
    minute, hour = f"{{metrics}}:minute:{now // 60 - 1}", f"{{metrics}}:hour:{now // 3600}"
    with redis.client() as client:
        client.flushall()
        client.mset({minute: '{"c":{"a":1}}', hour: '{"c":{"a":2}}', "{metrics}:live": "no"})
        archive = archived(tmp_path / "archives")
        client.delete(minute, "{metrics}:live")
        client.set(hour, "newer")
        shutil.rmtree(data_dir)
        assert run("restore", [str(archive)]) == 0

        assert client.get(minute) == b'{"c":{"a":1}}'
        assert 29.9 * 86_400 < client.ttl(minute) <= 30 * 86_400
        assert (client.get(hour), client.exists("{metrics}:live")) == (b"newer", 0)


@pytest.mark.services
@pytest.mark.usefixtures("data_dir")
def test_nothing_is_restored_while_a_worker_listens(
    redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("REDIS_URL", redis.url)
    fill(1)
    archive = archived(tmp_path / "archives")
    with redis.client() as client, client.pubsub() as worker:
        client.sadd("chat:workers", "worker_here", "worker_gone")
        worker.subscribe("chat:worker:worker_here")
        worker.get_message(timeout=5)
        assert run("restore", [str(archive), "--yes"]) == 1
        said = capsys.readouterr().err
        worker.unsubscribe()
        worker.get_message(timeout=5)
        assert run("restore", [str(archive), "--yes"]) == 0

    assert "worker_here; stop every one first (1)" in said


@pytest.mark.services
def test_a_restore_that_broke_off_goes_on(
    uri: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(3)
    before = documents(uri)
    archive = archived(tmp_path / "archives", "--engine", "built-in")
    fill(1)
    assert run("restore", [str(archive)]) == 1
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
    assert (data_dir / PROGRESS).exists()

    assert run("restore", [str(archive)]) == 0
    assert documents(uri) == before
    assert not (data_dir / PROGRESS).exists()


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
    assert run("restore", [str(archive)]) == 1, "there are flags already"
    assert run("restore", [str(archive), "--yes"]) == 0

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

    part = mongo_tools.dump("mongodb://me:hidden@db/x", "x", "turns", folder)

    arguments = (folder / part.path).read_text("ascii")
    assert "--db=x --collection=turns" in arguments
    assert (folder / part.path).stat().st_mode & 0o077 == 0
    assert "hidden" not in arguments
    assert (tmp_path / "config").read_text("ascii") == 'uri: "mongodb://me:hidden@db/x"\n'
    assert not mongo_tools.are_here(), "mongorestore is needed as well"


def test_a_program_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mongodump"
    program.write_text("#!/bin/sh\necho no such host >&2\nexit 1\n", encoding="ascii")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(OperationError, match="mongodump ended with 1: no such host"):
        mongo_tools.dump("mongodb://db/x", "x", "turns", tmp_path)


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
        assert run("restore", [str(archive)]) == 0
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
