"""Guarded rollouts as operators lead them from a shell: over a file and over a real Redis."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from flags.changes.editor import FlagEditor
from flags.client import Fallbacks, FlagClient
from flags.model import AuditEntry, Ruleset
from flags.rollout.batches import Arm, Batch
from flags.rollout.controller import RolloutController
from flags.rollout.model import Plan, State
from flags.rollout.operations import RolloutOperator
from flags.rollout.store.base import RolloutStore
from flags.rollout.store.memory import MemoryRolloutStore
from flags.rollout.store.redis import RedisRolloutStore
from flags.rollout.tally import Tally
from flags.store.base import Commit, Committed, FlagStore
from flags.store.file import FileFlagStore
from flags.store.redis import RedisFlagStore
from tests.flags.shell import LIMIT_S, Shell, an_editor, asked, ended
from tests.support.redis import RedisServer, running_redis
from tests.support.rollout_stores import PATIENCE_S, some

pytestmark = [pytest.mark.long, pytest.mark.services]

PLAN = Plan(stages=(1.0, 50.0, 100.0), bake_s=0.0, final_bake_s=0.0)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class Altered:
    """A store that has its way with the inputs of decisions."""

    kind = "altered"

    def __init__(self, store: FlagStore) -> None:
        self._store = store

    async def read(self) -> Ruleset:
        return await self._store.read()

    async def commit(self, commit: Commit) -> Committed:
        audit = [replace(each, evidence=_altered(each.evidence)) for each in commit.audit]
        return await self._store.commit(replace(commit, audit=audit))

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        return await self._store.next_version(seen, timeout_s=timeout_s)

    async def history(
        self, subject: str, *, limit: int, before: int | None = None
    ) -> Sequence[AuditEntry]:
        return await self._store.history(subject, limit=limit, before=before)

    async def close(self) -> None:
        await self._store.close()


def _altered(evidence: Mapping[str, object] | None) -> Mapping[str, object] | None:
    if evidence is None:
        return None
    seen = evidence["seen"]
    assert isinstance(seen, dict)
    return {**evidence, "seen": {**seen, "is_killed": True}}


async def led(flags: FlagStore, rollouts: RolloutStore) -> None:
    """Lead a rollout of `beta` to its end with healthy traffic."""
    client = FlagClient(flags, Fallbacks(Ruleset()))
    controller = RolloutController(
        rollouts, FlagEditor(flags), client, tallies={"beta": Tally("w1")}, worker="w1"
    )
    fence = await rollouts.lead("w1")
    assert fence is not None
    await client.open()
    number = 0
    while client.ruleset.rollouts["beta"].state is not State.COMPLETED:
        number += 1
        assert number < 100
        epoch = client.ruleset.flags["beta"].epoch
        counted = {(epoch, arm): some(*[0.2] * 500) for arm in Arm}
        await rollouts.add("beta", Batch("w1", number, counted), version=client.ruleset.version)
        await controller.tick("beta", fence)


@pytest.mark.parametrize("kind", ["file", "redis"])
async def test_a_rollout_is_led_watched_and_replayed(
    kind: str, tmp_path: Path, redis: RedisServer
) -> None:
    flags: FlagStore
    rollouts: RolloutStore
    if kind == "file":
        shell = Shell(tmp_path, DATA_DIR=str(tmp_path))
        flags = FileFlagStore(tmp_path / "flags.json")
        rollouts = MemoryRolloutStore(tmp_path / "rollout.json")
    else:
        shell = Shell(tmp_path, REDIS_URL=f"{redis.url}/2")
        flags = RedisFlagStore(f"{redis.url}/2", timeout_s=PATIENCE_S)
        rollouts = RedisRolloutStore(f"{redis.url}/2", timeout_s=PATIENCE_S)
    await an_editor(flags)
    await RolloutOperator(FlagEditor(flags)).start("beta", PLAN, asked("try it"))
    await led(flags, rollouts)
    await rollouts.close()
    await flags.close()

    status = await to_thread.run_sync(shell.done, "rollout", "status", "beta")
    replay = await to_thread.run_sync(shell.run, "rollout", "replay", "beta")
    limited = await to_thread.run_sync(
        lambda: shell.done("rollout", "replay", "beta", "--limit", "1")
    )
    history = await to_thread.run_sync(shell.run, "history", "beta", "--rollout")

    assert status["percentage"] == 100
    assert isinstance(status["report"], dict)
    assert status["report"]["state"] == "completed"
    assert (replay.status, replay.err) == (0, "")
    *rows, said = [line.split() for line in replay.out.splitlines()[1:]]
    assert said == f"{len(rows)} decisions, 0 of them other now; 1 changes by people.".split()
    steps = [row[3:] for row in rows if row[3] in {"promote", "complete"}]
    assert steps == [[each, each, "same"] for each in ("promote", "promote", "complete")]
    assert {row[-1] for row in rows} == {"same"}
    assert (limited["same"], len(list(limited["decisions"]))) == (True, 1)  # type: ignore[call-overload]
    assert "rollout_controller" in history.out


def test_what_people_do_is_answered_and_what_they_cannot_do_is_refused(shell: Shell) -> None:
    shell.done("put", "beta", "-", "--file", "f.json", given="{}")

    def run(*words: str) -> tuple[int, str]:
        ran = shell.run("rollout", *words, "--file", "f.json")
        return ran.status, ran.out or ran.err

    assert run("pause", "beta") == (1, "Refused: beta has no rollout; start one first.\n")
    assert run("start", "beta", "--stages", "1,50,100", "--approval-at", "1") == (
        0, "The rollout of beta has begun, at 1 % (stage 1 of 3, version 2).\n"
    )  # fmt: skip
    assert run("approve", "beta", "--if-version", "1")[0] == 1
    assert run("approve", "beta")[1].startswith("The rollout of beta may pass its stage, at 1 %")
    assert run("pause", "beta", "--why", "lunch")[1].startswith("The rollout of beta is paused")
    assert run("resume", "beta", "--stage", "50")[0] == 1
    assert run("resume", "beta")[1].startswith("The rollout of beta goes on, at 1 %")
    assert run("replay", "beta")[1].startswith("VERSION")
    assert "running, stage 1 of 3" in run("status", "beta")[1]
    assert run("replay", "other")[0] == 1
    assert run("watch", "other") == (
        1, "There is no flag 'other' in f.json; `list` shows those that are.\n"
    )  # fmt: skip


async def test_a_decision_that_would_be_other_now_is_told(shell: Shell) -> None:
    flags = FileFlagStore(shell.folder / "f.json")
    await an_editor(flags)
    await RolloutOperator(FlagEditor(flags)).start("beta", PLAN, asked())
    await led(Altered(flags), MemoryRolloutStore())

    ran = await to_thread.run_sync(shell.run, "--file", "f.json", "rollout", "replay", "beta")

    number = len(ran.out.splitlines()) - 2
    assert number >= 3
    assert (ran.status, ran.out.count("OTHER")) == (1, number)
    assert ran.err == f"{number} decisions of beta are other now.\n"


async def test_where_nobody_looks_a_watch_says_what_changes(shell: Shell) -> None:
    editor = FlagEditor(FileFlagStore(shell.folder / "f.json"))
    await editor.put_flag("beta", {}, asked())
    process = shell.start("rollout", "watch", "beta", "--file", "f.json")

    assert "beta: 0 %, without a rollout" in await next_line(process)
    await RolloutOperator(editor).start("beta", PLAN, asked())
    assert "beta: 1 %, running, stage 1 of 3" in await next_line(process)
    process.send_signal(signal.SIGINT)
    ran = await to_thread.run_sync(ended, process)

    assert (ran.status, ran.out, ran.err) == (0, "", "")


async def test_a_watch_ends_when_its_flag_does_or_nobody_listens(shell: Shell) -> None:
    editor = await an_editor(FileFlagStore(shell.folder / "f.json"))
    watching, deaf = (shell.start("rollout", "watch", "beta", "--file", "f.json") for _ in "12")
    await next_line(watching)
    await next_line(deaf)
    assert deaf.stdout is not None
    deaf.stdout.close()

    await editor.delete_flag("beta", asked())
    ran = await to_thread.run_sync(ended, watching)
    with deaf, anyio.fail_after(LIMIT_S):
        status = await to_thread.run_sync(deaf.wait, abandon_on_cancel=True)

    assert (ran.status, ran.err.split(" in ")[0]) == (1, "There is no flag 'beta'")
    assert status in {0, 1}


async def test_in_a_terminal_a_watch_draws_over_itself(shell: Shell) -> None:
    editor = FlagEditor(FileFlagStore(shell.folder / "f.json"))
    await editor.put_flag("beta", {}, asked())
    await RolloutOperator(editor).start("beta", PLAN, asked())
    ours, theirs = pty.openpty()
    process = shell.start("rollout", "watch", "beta", "--file", "f.json", output=theirs)
    os.close(theirs)

    def read_until(words: bytes) -> bytes:
        read = b""
        while words not in read:
            read += os.read(ours, 4096)
        return read

    with process, anyio.fail_after(LIMIT_S):
        first = await to_thread.run_sync(read_until, b"looked at it yet", abandon_on_cancel=True)
        again = await to_thread.run_sync(read_until, b"looked at it yet", abandon_on_cancel=True)
        process.send_signal(signal.SIGTERM)
        status = await to_thread.run_sync(process.wait, abandon_on_cancel=True)
    os.close(ours)

    assert b"[1] - 50 - 100" in first
    assert b"\x1b[5F\x1b[J" in again
    assert status == 128 + signal.SIGTERM


async def next_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    with anyio.fail_after(LIMIT_S):
        line: bytes = await to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
    return line.decode()
