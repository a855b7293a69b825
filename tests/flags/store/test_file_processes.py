"""The file store beside full disks, crashes and other processes."""

import fcntl
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from flags.errors import FlagStoreUnavailableError
from flags.store.base import Claim
from flags.store.file import FileFlagStore
from tests.support.commits import a_commit, a_flag, a_segment

pytestmark = pytest.mark.long

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


LIMITED = """
import anyio, os, resource, sys
from pathlib import Path
from flags.errors import FlagStoreUnavailableError
from flags.store.file import FileFlagStore
from tests.support.commits import a_commit, a_flag

async def main(path, fault):
    store = FileFlagStore(path)
    if fault == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    elif os.geteuid() == 0:
        os.setuid(65534)
    try:
        await store.commit(a_commit(1, a_flag("a", description="x" * 9000)))
    except FlagStoreUnavailableError as error:
        print(error)
    print((await store.read()).version)

anyio.run(main, Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize(
    ("fault", "reason"), [("full", "File too large"), ("read-only", "Permission denied")]
)
async def test_a_disk_that_takes_no_more_leaves_the_old_file_whole(fault: str, reason: str) -> None:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    path = folder / "flags.json"
    try:
        await a_written_file(path)
        before = path.read_bytes()
        (folder / "flags.json.lock").chmod(0o666)
        path.chmod(0o644)
        folder.chmod(0o555)

        ended = run_python(LIMITED, str(path), fault)

        assert (ended.stdout.splitlines()[1:], ended.stderr) == (["1"], "")
        assert reason in ended.stdout
        assert path.read_bytes() == before
        assert sorted(child.name for child in folder.iterdir()) == ["flags.json", "flags.json.lock"]
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


FORKING = """
import os, sys
from pathlib import Path
from flags.store.file import store

real_write, (child_ends, parent_ends) = store.write_sealed, os.pipe()
def forks_while_it_writes(path, content):
    if os.fork() == 0:
        os.close(parent_ends)
        os.close(1)
        os.close(2)
        os.read(child_ends, 1)
        os._exit(0)
    real_write(path, content)
store.write_sealed = forks_while_it_writes

import anyio
from tests.support.commits import a_commit, a_flag
async def main(path):
    one = store.FileFlagStore(path)
    await one.commit(a_commit(0, a_flag("a")))
    store.write_sealed = real_write
    print((await one.commit(a_commit(1, a_flag("a")))).held)
anyio.run(main, Path(sys.argv[1]))
"""


def test_a_child_forked_while_its_parent_writes_does_not_keep_the_lock(path: Path) -> None:
    ended = run_python(FORKING, str(path))

    assert (ended.stdout, ended.stderr) == ("True\n", "")


async def test_a_lock_that_others_hold_too_long_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flags.store.file.store.LOCK_WAIT_S", 0.2)
    store = await a_written_file(path)
    lock = path.with_name("flags.json.lock")
    with locked(lock):
        with anyio.fail_after(LIMIT_S), pytest.raises(FlagStoreUnavailableError, match="others"):
            await store.commit(a_commit(1, a_flag("a")))
        assert (await store.read()).version == 1

    assert (await store.commit(a_commit(1, a_flag("a")))).held


async def test_a_lock_that_is_given_back_in_time_lets_the_write_through(path: Path) -> None:
    store = await a_written_file(path)
    outcomes: list[bool] = []

    async def write() -> None:
        outcomes.append((await store.commit(a_commit(1, a_flag("a")))).held)

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            with locked(path.with_name("flags.json.lock")):
                tasks.start_soon(write)
                await anyio.sleep(0.1)
                assert outcomes == []

    assert outcomes == [True]


async def test_a_lock_file_that_was_removed_locks_nobody_out_and_nobody_in(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds a removed lock must not believe that it is alone."""
    store = await a_written_file(path)
    lock = path.with_name("flags.json.lock")
    real_flock = fcntl.flock
    removed: list[int] = []

    def flock(descriptor: int, operation: int) -> None:
        real_flock(descriptor, operation)
        if operation & fcntl.LOCK_EX and len(removed) < 2:
            removed.append(descriptor)
            lock.unlink()
            if len(removed) == 2:
                lock.touch()

    monkeypatch.setattr(fcntl, "flock", flock)

    assert (await store.commit(a_commit(1, a_flag("a")))).held
    assert len(removed) == 2


async def test_leftovers_of_dead_writers_are_removed_and_those_of_living_ones_not(
    path: Path,
) -> None:
    dead, living = path.with_name(".flags.json.a.tmp"), path.with_name(".flags.json.b.tmp")
    other = path.with_name(".other.json.a.tmp")
    for leftover in (dead, living, other):
        leftover.write_text("x")
    for leftover in (dead, other):
        os.utime(leftover, (time.time() - 61, time.time() - 61))

    await a_written_file(path)

    assert not dead.exists()
    assert living.exists()
    assert other.exists()


WRITER = """
import anyio, sys
from pathlib import Path
from flags.store.file import FileFlagStore
from tests.support.commits import a_commit, a_flag

async def main(path, count):
    store = FileFlagStore(path)
    held = 0
    while held < count:
        version = (await store.read()).version
        flag = a_flag("a", version % 100, description=str(version) * 5000)
        held += (await store.commit(a_commit(version, flag))).held

anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
"""


async def test_a_writer_killed_anywhere_leaves_a_whole_file(path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  # seeded, for tests
    store = FileFlagStore(path)
    for _ in range(10):
        seen = (await store.read()).version
        with python(WRITER, str(path), "1000000") as writer, anyio.fail_after(3 * LIMIT_S):
            version = seen
            while version < seen + 3:
                version = (await store.read()).version
            # Into the next write, somewhere.
            await anyio.sleep(chance.random() * 0.01)
            writer.kill()
            writer.wait()

        flag = (await store.read()).flags["a"]
        assert flag.version >= version
        assert flag.description == str(flag.version - 1) * 5000
        assert [e.version for e in await store.history("flag:a", limit=1)] == [flag.version]
        assert (await store.commit(a_commit(flag.version, a_flag("b")))).held


async def test_processes_that_write_at_once_lose_no_write(path: Path) -> None:
    store = FileFlagStore(path)
    with python(WRITER, str(path), "30") as one, python(WRITER, str(path), "30") as two:
        seen = 0
        with anyio.fail_after(6 * LIMIT_S):
            while seen < 60:
                version = await store.next_version(seen, timeout_s=PATIENCE_S)
                assert version > seen
                seen = version
        assert (one.wait(timeout=LIMIT_S), two.wait(timeout=LIMIT_S)) == (0, 0)

    entries = await store.history("flag:a", limit=100)
    assert [entry.version for entry in entries] == list(range(60, 0, -1))


async def test_a_writer_stopped_with_the_lock_lets_others_read_and_delays_their_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flags.store.file.store.LOCK_WAIT_S", 0.2)
    store = await a_written_file(path)
    holder = (
        "import fcntl,sys\n"
        "file = open(sys.argv[1], 'a')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with python(holder, f"{path}.lock") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(FlagStoreUnavailableError):
            await store.commit(a_commit(1, a_flag("a")))
        assert (await store.read()).version == 1
        other.kill()
        other.wait()

    assert (await store.commit(a_commit(1, a_flag("a")))).held


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def python(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
