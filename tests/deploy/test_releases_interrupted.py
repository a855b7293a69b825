"""Deployments that end midway, meet each other, or find no room; instances that are killed.

A real supervisord and the real scripts; a release is a stand-in that is ready after a moment.
"""

import os
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio
import anyio.abc
import pytest

from tests.deploy.sources import stand_in
from tests.support.chat import until
from tests.support.server import ROOT
from tests.support.supervisor import Installation, installed, running_supervisor

pytestmark = [pytest.mark.services, pytest.mark.long]

WAIT_S = 90.0
FULL = 'ulimit -f 1; trap "" XFSZ; exec "$0" "$@"'
"""No file may have more than 1 KiB: as on a disk that is full."""
ENDS_AT_START = "import sys\nraise SystemExit(0 if sys.argv[1:] else 5)\n"
VENV = ("--venv", str(ROOT / ".venv"))


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[Installation, None]:
    """Run two instances of release 1.0, and have 2.0 packed beside them, until the block ends."""
    made = installed(folder / "site", {})
    first = stand_in(folder, "1.0")
    stand_in(folder, "2.0")
    done = await made.run("deploy", "--from", str(first), "--name", "1.0", *VENV, "--no-roll")
    assert done.returncode == 0, done.stderr
    async with running_supervisor(made):
        await until_they_run(made, ["1.0", "1.0"])
        yield made


async def until_they_run(made: Installation, names: list[str]) -> None:
    """Wait until these releases run, by port: who has just been started counts after 2 s."""
    await until(lambda: made.releases() == names, within_s=WAIT_S)


def to_second(made: Installation, *options: str) -> list[str]:
    """Return the words that deploy 2.0."""
    source = made.folder.parent / "2.0.tar"
    return made.command("deploy", "--from", str(source), "--name", "2.0", *VENV, *options)


def links(made: Installation) -> tuple[str, str]:
    """Return what `current` and `previous` lead to; "" where there is none."""
    places = (made.root / "current", made.root / "previous")
    return places[0].resolve().name, places[1].resolve().name if places[1].exists() else ""


@asynccontextmanager
async def midway(made: Installation) -> AsyncGenerator[anyio.abc.Process, None]:
    """Deploy 2.0 up to where its first instance runs, and is not ready until the block ends."""
    hold = made.folder / "data/hold-2.0"
    hold.touch()
    words = ["env", "--default-signal=INT", *to_second(made)]  # ours may be ignored
    async with await anyio.open_process(words, stdout=DEVNULL, stderr=DEVNULL) as process:
        await until_they_run(made, ["2.0", "1.0"])
        yield process
        hold.unlink()


async def finished(words: list[str]) -> tuple[int, str]:
    """Run a command to its end; return its status, and what it complained of."""
    with anyio.fail_after(WAIT_S):
        done = await anyio.run_process(words, check=False)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)],
)
async def test_a_deployment_that_ends_midway_leaves_nobody_down_and_is_gone_on_with(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    async with serving(tmp_path) as made:
        async with midway(made) as process:
            process.send_signal(number)
            with anyio.fail_after(WAIT_S):
                assert await process.wait() == status
            await until_they_run(made, ["2.0", "1.0"])
        assert links(made) == ("2.0", "1.0")

        assert await finished(to_second(made)) == (0, "")
        await until_they_run(made, ["2.0", "2.0"])


async def test_a_deployment_that_ends_while_an_instance_leaves_leaves_it_not_down(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as made:
        first = made.pids()[0]
        os.kill(first, signal.SIGSTOP)  # it is asked to leave, and cannot yet
        async with await anyio.open_process(to_second(made)) as process:
            await until(lambda: links(made) == ("2.0", "1.0"), within_s=WAIT_S)
            await until(lambda: is_asked_to_leave(first), within_s=WAIT_S)
            process.kill()
        os.kill(first, signal.SIGCONT)

        await until_they_run(made, ["2.0", "1.0"])


def is_asked_to_leave(pid: int) -> bool:
    """Whether a SIGTERM is waiting for a process."""
    found = re.search(r"^ShdPnd:\s+(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) & 1 << (signal.SIGTERM - 1))


async def test_what_was_begun_and_cannot_be_gone_on_with_goes_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as made:
        async with midway(made) as process:
            process.kill()
        (made.root / "releases/2.0/server/__main__.py").write_text(ENDS_AT_START)
        os.kill(made.pids()[0], signal.SIGKILL)

        status, told = await finished(to_second(made))

        await until_they_run(made, ["1.0", "1.0"])
        assert links(made) == ("1.0", "")
    assert (status, "1.0 serves as before" in told) == (1, True), told


async def test_of_two_changes_at_once_the_second_is_told_to_wait(tmp_path: Path) -> None:
    async with serving(tmp_path) as made:
        async with midway(made) as process:
            second = await finished(to_second(made))
            rollback = await made.run("rollback")
        assert process.returncode == 0

        await until_they_run(made, ["2.0", "2.0"])
    assert (second[0], rollback.returncode) == (75, 75)
    assert "Another deployment" in second[1]


async def test_a_release_that_cannot_be_made_changes_nothing_and_can_be_made_later(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as made:
        before, words = made.pids(), to_second(made)
        missing = await finished([*words[: -len(VENV)], "--wheels", str(tmp_path)])
        full = await finished(["bash", "-c", FULL, *words])
        after, led_to = made.pids(), links(made)
        later = await finished(words)

        await until_they_run(made, ["2.0", "2.0"])
    assert (missing[0], full[0], later) == (1, 1, (0, "")), full
    assert "No matching distribution found" in missing[1]
    assert "2.0.tar cannot be unpacked" in full[1]
    assert missing[1].count("\n") == full[1].count("\n") == 1
    assert (after, led_to) == (before, ("1.0", ""))


async def test_where_the_release_before_is_gone_there_is_nothing_to_go_back_to(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as made:
        assert await finished(to_second(made)) == (0, "")
        (made.root / "releases/1.0").rename(tmp_path / "gone")

        done = await made.run("rollback")
        named = await made.run("rollback", "--to", "1.0")

        await until_they_run(made, ["2.0", "2.0"])
        assert links(made)[0] == "2.0"
    assert (done.returncode, named.returncode) == (1, 1)
    assert "--to" in done.stderr
    assert "There is no whole release '1.0'" in named.stderr


async def test_an_instance_that_does_not_leave_is_killed(tmp_path: Path) -> None:
    async with serving(tmp_path) as made:
        stuck = made.pids()[0]
        os.kill(stuck, signal.SIGSTOP)

        done = await made.run("deploy", "--restart", "--stop-s", "1")

        assert stuck not in made.pids()
        await until_they_run(made, ["1.0", "1.0"])
    assert done.returncode == 0, done.stderr
    assert "has not left 1 s after SIGTERM" in done.stdout


async def test_instances_that_are_killed_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as made:
        pids = made.pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

        await until_they_run(made, ["1.0", "1.0"])
        assert not set(pids) & set(made.pids())


async def test_a_supervisord_that_is_killed_is_started_again_beside_its_instances(
    tmp_path: Path,
) -> None:
    made = installed(tmp_path / "site", {})
    source = stand_in(tmp_path, "1.0")
    await made.run("deploy", "--from", str(source), "--name", "1.0", *VENV, "--no-roll")
    async with running_supervisor(made) as first:
        await until_they_run(made, ["1.0", "1.0"])
        orphans = made.pids()
        first.kill()
        await first.wait()
        alive = [Path(f"/proc/{pid}").exists() for pid in orphans]
        async with running_supervisor(made):
            await anyio.sleep(1)
            for pid in orphans:
                os.kill(pid, signal.SIGTERM)
            await until_they_run(made, ["1.0", "1.0"])

            assert not set(orphans) & set(made.pids())
    assert alive == [True, True]
