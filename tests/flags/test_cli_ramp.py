"""A ramp by hand: how it climbs, and every way in which it stops."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from flags.cli.climb import Climb, End
from flags.errors import FlagStoreUnavailableError
from flags.model import AuditEntry, Flag, InFlight, Ruleset
from flags.store.base import Commit, Committed
from flags.store.file import FileFlagStore
from tests.flags.shell import LIMIT_S, Ran, Shell, an_editor, asked, ended, flag_in

pytestmark = pytest.mark.long


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


async def ramping(shell: Shell, *arguments: str) -> subprocess.Popen[bytes]:
    """Return a ramp of hours that has taken its first step."""
    process = shell.start("ramp", "beta", "50", "--every", "1h", *arguments)
    assert process.stdout is not None
    for expected in (b"beta: 1 % ", b"  5 % "):
        with anyio.fail_after(LIMIT_S):
            line = await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
        assert expected in line
    return process


async def end_of(process: subprocess.Popen[bytes]) -> Ran:
    return await anyio.to_thread.run_sync(ended, process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_ramp_that_is_interrupted_leaves_the_flag_at_its_last_step(
    number: signal.Signals, shell: Shell
) -> None:
    store = FileFlagStore(shell.folder / "f.json")
    await an_editor(store)
    process = await ramping(shell, "--file", "f.json")

    process.send_signal(number)
    ran = await end_of(process)

    assert ran.status == 128 + number
    assert ran.err == "Interrupted: beta stays at 5 %; the same command goes on from there.\n"
    assert (await flag_in(store)).rollout.percentage == 5


@pytest.mark.parametrize("kind", ["kill", "set", "delete"])
async def test_a_ramp_stops_when_somebody_else_changes_the_flag(kind: str, shell: Shell) -> None:
    store = FileFlagStore(shell.folder / "f.json")
    editor = await an_editor(store)
    process = await ramping(shell, "--file", "f.json")

    await editor.put_flag("another", {}, asked("which is none of its business"))
    match kind:
        case "kill":
            await editor.kill("beta", asked("errors rise"), in_flight=InFlight.DRAIN)
            words = "Stopped: ada killed it (errors rise)."
        case "set":
            await editor.set_percentage("beta", 3, asked())
            words = "Stopped: ada made a change: rollout.percentage 5 → 3."
        case _:
            await editor.delete_flag("beta", asked())
            words = "Stopped: ada made a change: deleted."
    ran = await end_of(process)

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"{words} Look at beta, then decide.\n"


async def test_a_ramp_of_a_flag_that_lets_nobody_in_is_refused(shell: Shell) -> None:
    editor = await an_editor(FileFlagStore(shell.folder / "f.json"))
    await editor.put_flag("off", {"enabled": False}, asked())
    await editor.kill("beta", asked(), in_flight=InFlight.DRAIN)

    disabled, killed = shell.together("ramp off 5 --file f.json", "ramp beta 5 --file f.json")

    assert (disabled.status, killed.status) == (1, 1)
    assert "enable its definition first" in disabled.err
    assert "end-kill first" in killed.err


class DeafStore:
    """A file whose answers are lost: each write holds, and the first say that it may not have."""

    kind = "deaf"

    def __init__(self, store: FileFlagStore, *, lost: int) -> None:
        self._store = store
        self._lost = lost

    async def read(self) -> Ruleset:
        return await self._store.read()

    async def commit(self, commit: Commit) -> Committed:
        committed = await self._store.commit(commit)
        self._lost -= 1
        if self._lost >= 0:
            raise FlagStoreUnavailableError("lost")
        return committed

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        return await self._store.next_version(seen, timeout_s=timeout_s)

    async def history(
        self, subject: str, *, limit: int, before: int | None = None
    ) -> Sequence[AuditEntry]:
        return await self._store.history(subject, limit=limit, before=before)

    async def close(self) -> None:
        await self._store.close()


class BlindStore(DeafStore):
    """A store that never tells of a change."""

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        await anyio.sleep(timeout_s)
        return seen


async def test_a_change_that_nobody_told_of_is_not_overwritten_by_the_next_step(
    tmp_path: Path,
) -> None:
    store = FileFlagStore(tmp_path / "f.json")
    editor = await an_editor(store)
    flag = await flag_in(store)
    await editor.set_percentage("beta", 3, asked())
    blind = BlindStore(store, lost=0)
    climb = Climb(blind, asked(), every_s=0.1, told=lambda _: None, said=lambda _: None)

    with anyio.fail_after(10):
        end = await climb.run(flag, [5, 10])

    assert (end.end, end.flag) == (End.OVERTAKEN, flag)
    assert (await flag_in(store)).rollout.percentage == 3


async def test_a_step_whose_answer_is_lost_is_taken_once(tmp_path: Path) -> None:
    store = FileFlagStore(tmp_path / "f.json")
    await an_editor(store)
    deaf, told, said = DeafStore(store, lost=1), list[Flag](), list[str]()
    climb = Climb(deaf, asked(), every_s=0.6, told=told.append, said=said.append)

    with anyio.fail_after(10):
        end = await climb.run(await flag_in(store), [5, 10])

    assert (end.end, end.flag.rollout.percentage) == (End.DONE, 10)
    assert [flag.version for flag in told] == [2, 3]
    assert said == ["The flags cannot be reached (lost); waiting for them ..."]


class LostStore(DeafStore):
    """A store that cannot be watched."""

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        raise FlagStoreUnavailableError(f"lost after {seen}, {timeout_s:.0f}")


async def test_a_step_that_was_heard_of_in_the_end_is_in_no_doubt(tmp_path: Path) -> None:
    store = FileFlagStore(tmp_path / "f.json")
    await an_editor(store)
    said = list[str]()
    lost = LostStore(store, lost=1)
    climb = Climb(lost, asked(), every_s=0.6, told=lambda _: None, said=said.append)

    with anyio.fail_after(10):
        end = await climb.run(await flag_in(store), [5, 10])

    assert (end.end, end.flag.rollout.percentage, end.in_doubt) == (End.STORE_LOST, 5, None)
    assert len(said) == 2  # once when the step was lost, once while it was watched


async def test_nothing_is_waited_for_after_the_last_step(tmp_path: Path) -> None:
    store = FileFlagStore(tmp_path / "f.json")
    await an_editor(store)
    climb = Climb(store, asked(), every_s=3600, told=lambda _: None, said=lambda _: None)

    with anyio.fail_after(10):
        end = await climb.run(await flag_in(store), [5])

    assert end.end is End.DONE


async def test_a_store_that_stays_lost_ends_a_ramp_with_a_step_in_doubt(tmp_path: Path) -> None:
    store = FileFlagStore(tmp_path / "f.json")
    await an_editor(store)
    flag = await flag_in(store)
    deaf = DeafStore(store, lost=1000)
    climb = Climb(deaf, asked(), every_s=0.1, told=lambda _: None, said=lambda _: None)

    with anyio.fail_after(10):
        end = await climb.run(flag, [5, 10])

    assert (end.end, end.flag, end.in_doubt, end.fault) == (End.STORE_LOST, flag, 5, "lost")
