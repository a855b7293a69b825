"""The file store: what it writes, and what it makes of a damaged file."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from flags.errors import FlagStoreDamagedError, FlagStoreUnavailableError
from flags.model import Ruleset
from flags.store.base import Claim, Commit
from flags.store.file import FileFlagStore
from flags.store.file.content import MAX_CLAIMS, Content, committed
from flags.store.snapshot import read_snapshot
from tests.support.commits import a_commit, a_flag, a_segment

ROOT = Path(__file__).parents[3]
LIMIT_S = 10.0
PATIENCE_S = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


async def a_written_file(path: Path) -> FileFlagStore:
    store = FileFlagStore(path)
    claim = Claim("key", "change")
    await store.commit(a_commit(0, a_flag("a", 5), a_segment("s", "ada", "世界"), claim=claim))
    return store


async def test_a_store_that_is_only_read_leaves_nothing_behind(path: Path) -> None:
    store = FileFlagStore(path)

    await store.read()
    await store.next_version(0, timeout_s=0)
    await store.commit(Commit(-1, -1, {}, ()))

    assert [child.name for child in path.parent.iterdir()] == ["flags.json.lock"]


async def test_what_is_written_is_for_its_owner_only(path: Path) -> None:
    old_mask = os.umask(0)
    try:
        await a_written_file(path)
    finally:
        os.umask(old_mask)

    modes = {child.name: child.stat().st_mode & 0o777 for child in path.parent.iterdir()}
    assert modes == {"flags.json": 0o600, "flags.json.lock": 0o600}


async def test_indenting_the_file_does_no_harm_and_editing_it_does(path: Path) -> None:
    store = await a_written_file(path)
    before = await store.read()
    document = json.loads(path.read_bytes())

    path.write_text(json.dumps(document, indent=2, ensure_ascii=True))
    assert await store.read() == before

    document["content"]["version"] += 1
    path.write_text(json.dumps(document))
    with pytest.raises(FlagStoreDamagedError, match="checksum"):
        await store.read()


async def test_a_damaged_file_is_refused_and_never_overwritten(path: Path) -> None:
    store = await a_written_file(path)
    whole = path.read_bytes()
    damaged = whole.replace(b"ada", b"adb")
    path.write_bytes(damaged)

    for call in (
        store.read,
        lambda: store.commit(a_commit(0, a_flag("b"))),
        lambda: store.commit(a_commit(1, a_flag("b"))),
        lambda: store.next_version(1, timeout_s=PATIENCE_S),
        lambda: store.history("flag:a", limit=3),
    ):
        with pytest.raises(FlagStoreDamagedError, match="move it away, or put a backup") as caught:
            await call()
        assert str(path) in str(caught.value)
    assert path.read_bytes() == damaged

    path.write_bytes(whole)
    assert (await store.commit(a_commit(1, a_flag("b")))).held


async def test_no_flipped_byte_goes_unnoticed(path: Path, runs: int) -> None:
    before = await (await a_written_file(path)).read()
    whole = path.read_bytes()
    chance = random.Random(7)  # noqa: S311  # seeded, for tests
    noticed = 0

    for offset in chance.sample(range(len(whole)), min(runs, len(whole))):
        flipped = bytearray(whole)
        flipped[offset] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        try:
            assert await FileFlagStore(path).read() == before
        except FlagStoreDamagedError:
            noticed += 1

    assert noticed == min(runs, len(whole))


async def test_no_file_that_was_cut_short_is_read(path: Path, runs: int) -> None:
    await a_written_file(path)
    whole = path.read_bytes()

    chance = random.Random(7)  # noqa: S311  # seeded, for tests

    for length in chance.sample(range(len(whole)), min(runs, len(whole))):
        path.write_bytes(whole[:length])
        with pytest.raises(FlagStoreDamagedError):
            await FileFlagStore(path).read()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not JSON"),
        (b"\x00" * 4096, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a document of ours"),
        (b"{}", "not a document of ours"),
        (b'{"checksum":"x","content":{},"more":1}', "not a document of ours"),
        (b'{"checksum":7,"content":{}}', "checksum does not match"),
        (b'{"checksum":["sha256"],"content":{}}', "checksum does not match"),
    ],
)
async def test_a_file_that_is_something_else_is_refused(
    path: Path, content: bytes, fault: str
) -> None:
    path.write_bytes(content)

    with pytest.raises(FlagStoreDamagedError, match=fault):
        await FileFlagStore(path).read()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"format": 2, "version": 1}, "it has the format 2"),
        ({"version": 1}, "it has the format None"),
        ({"format": 1, "version": "x"}, "its content is not ours"),
        ({"format": 1, "definitions": {"flag:a": 7}}, "its content is not ours"),
        ([], "its content is not ours"),
    ],
)
async def test_a_sealed_file_of_another_kind_is_refused(
    path: Path, content: object, fault: str
) -> None:
    path.write_bytes(sealed(content))

    with pytest.raises(FlagStoreDamagedError, match=fault):
        await FileFlagStore(path).read()


async def test_a_file_of_a_later_release_is_read(path: Path) -> None:
    path.write_bytes(sealed({"format": 1, "version": 4, "colour": "red"}))

    assert await FileFlagStore(path).read() == Ruleset(4)


async def test_an_audit_entry_that_cannot_be_read_is_left_out(path: Path) -> None:
    kept = [{"subject": "flag:a", "version": 1, "entry": entry} for entry in ("{", "[]")]
    path.write_bytes(sealed({"format": 1, "version": 1, "audit": kept}))
    store = FileFlagStore(path)
    await store.commit(a_commit(1, a_flag("a")))

    with capture_logs() as logs:
        entries = await store.history("flag:a", limit=9)

    assert [entry.version for entry in entries] == [2]
    assert [(log["event"], log["key"]) for log in logs] == [
        ("flags.audit_unreadable", "flag:a")
    ] * 2


async def test_the_file_is_a_snapshot_as_well(path: Path) -> None:
    store = await a_written_file(path)

    assert read_snapshot(path) == await store.read()


async def test_the_audit_is_bounded_over_all_flags(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flags.store.file.content.MAX_ENTRIES", 10)
    store = FileFlagStore(path)
    for number in range(9):
        await store.commit(a_commit(number, a_flag("a"), a_flag("b")))

    for key in ("a", "b"):
        entries = await store.history(f"flag:{key}", limit=100)
        assert [entry.version for entry in entries] == [9, 8, 7, 6, 5]


def test_claims_are_dropped_when_they_expire_and_are_bounded() -> None:
    content = Content()
    for number in range(MAX_CLAIMS + 50):
        claim = Claim(f"key-{number}", "change")
        _, after = committed(content, a_commit(number, a_flag("a"), claim=claim), now=0)
        assert after is not None
        content = after

    assert [content.claims[0].key_hash, len(content.claims)] == ["key-50", MAX_CLAIMS]
    version = content.version
    _, later = committed(content, a_commit(version, a_flag("a")), now=24 * 3600 - 1)
    assert later is not None
    assert len(later.claims) == MAX_CLAIMS
    _, later = committed(content, a_commit(version, a_flag("a")), now=24 * 3600)
    assert later is not None
    assert later.claims == ()


async def test_a_write_wakes_its_own_process_without_looking(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flags.store.file.store.LOOK_S", PATIENCE_S)
    store = FileFlagStore(path)

    async def write() -> None:
        await anyio.wait_all_tasks_blocked()
        await store.commit(a_commit(0, a_flag("a")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        with anyio.fail_after(LIMIT_S):
            assert await store.next_version(0, timeout_s=PATIENCE_S) == 1


async def test_a_file_is_read_again_only_when_it_changed(path: Path) -> None:
    store = await a_written_file(path)
    first = await store.read()
    stat = path.stat()
    # Damage that neither the size, the time nor the checksum tells of: nobody looks there.
    with path.open("r+b") as file:
        file.seek(stat.st_size - 40)
        file.write(b"x")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert await store.read() == first

    with pytest.raises(FlagStoreDamagedError):
        await store.commit(a_commit(1, a_flag("a")))
    path.touch()
    with pytest.raises(FlagStoreDamagedError):
        await store.read()


async def test_a_change_that_only_the_checksum_tells_of_is_noticed(path: Path) -> None:
    store = FileFlagStore(path)
    path.write_bytes(sealed({"format": 1, "version": 4}))
    assert (await store.read()).version == 4
    stat = path.stat()
    path.write_bytes(sealed({"format": 1, "version": 5}))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = path.stat()
    assert (again.st_ino, again.st_size) == (stat.st_ino, stat.st_size)

    assert await store.next_version(4, timeout_s=0) == 5


async def test_a_file_put_back_with_its_old_time_is_noticed(path: Path) -> None:
    """As `cp -p` of a backup does."""
    store = await a_written_file(path)
    stat, old = path.stat(), path.read_bytes()
    await store.commit(a_commit(1, a_flag("a", 6)))
    assert (await store.read()).version == 2

    path.write_bytes(old)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    with anyio.fail_after(LIMIT_S):
        assert await store.next_version(2, timeout_s=PATIENCE_S) == 1


async def test_a_folder_that_is_not_there_or_a_folder_in_the_place_is_told(tmp_path: Path) -> None:
    missing = FileFlagStore(tmp_path / "missing" / "flags.json")
    assert await missing.read() == Ruleset()
    with pytest.raises(FlagStoreUnavailableError, match="No such file or directory"):
        await missing.commit(a_commit(0, a_flag("a")))

    folder = FileFlagStore(tmp_path)
    with pytest.raises(FlagStoreUnavailableError, match="Is a directory"):
        await folder.read()


async def test_a_file_that_cannot_be_read_is_told(path: Path) -> None:
    path.mkdir()
    (path.parent / "in").write_text("x")
    store = FileFlagStore(path.parent / "in" / "flags.json")

    with pytest.raises(FlagStoreUnavailableError, match="Not a directory"):
        await store.read()
    with pytest.raises(FlagStoreUnavailableError, match="Is a directory"):
        await FileFlagStore(path).commit(a_commit(0, a_flag("a")))


def sealed(content: object) -> bytes:
    """Return a document whose checksum is right, made without the code under test."""
    program = (
        "import sys,json,hashlib\n"
        "c=json.loads(sys.argv[1])\n"
        "t=json.dumps(c,ensure_ascii=False,separators=(',',':'),sort_keys=True)\n"
        "d='sha256:'+hashlib.sha256(t.encode()).hexdigest()\n"
        "print(json.dumps({'checksum':d,'content':c}))\n"
    )
    command = [sys.executable, "-c", program, json.dumps(content)]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout
