"""Which turns are taken, and how a process stops taking them."""

from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from history.model import TurnStatus
from streaming.errors import BusyError, DrainingError
from streaming.turn import Cancelled
from tests.streaming.harness import WAIT_S, Stage, on_stage, opened_history
from tests.support.sources import STOP, ScriptedTokenSource, StallingTokenSource

FOR_EVER_S = 3600.0


async def test_no_more_turns_are_taken_than_may_run(tmp_path: Path) -> None:
    go_on = anyio.Event()
    source = ScriptedTokenSource([go_on, "Done.", STOP])
    async with on_stage(tmp_path, source, max_live=2) as stage:
        turns = []
        for _ in range(2):
            stage.runner.admit()
            turns.append(await stage.start())

        with pytest.raises(BusyError):
            stage.runner.admit()

        go_on.set()
        for turn in turns:
            await stage.ended(turn)
        stage.runner.admit()


async def test_draining_takes_no_turn_and_lets_the_running_ones_finish(tmp_path: Path) -> None:
    go_on = anyio.Event()
    async with on_stage(tmp_path, ScriptedTokenSource(["All ", go_on, "of it.", STOP])) as stage:
        turns = [await stage.start() for _ in range(3)]

        async def finish_once_draining() -> None:
            while not stage.runner.is_draining:
                await checkpoint()
            with pytest.raises(DrainingError):
                stage.runner.admit()
            go_on.set()

        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(finish_once_draining)
                await stage.runner.drain(FOR_EVER_S)

        assert stage.runner.live_count == 0
        for turn in turns:
            events = await stage.ended(turn)
            assert events[-1].name == "turn.completed"
            assert events[-1].data["text"] == "All of it."


async def test_what_still_runs_after_the_deadline_is_interrupted_and_stored(tmp_path: Path) -> None:
    source = StallingTokenSource(["Half"])
    async with on_stage(tmp_path, source) as stage:
        turns = [await stage.start(streaming=n > 0) for n in range(3)]
        await source.until_stalled()
        with anyio.fail_after(WAIT_S):
            await stage.runner.drain(0.05)

        assert stage.runner.live_count == 0
        for turn in turns:
            events = await stage.ended(turn)
            assert (events[-1].name, events[-1].data["reason"]) == ("turn.interrupted", "shutdown")
            assert events[-1].data["text"] == "Half"


async def test_draining_where_nothing_runs_ends_at_once(tmp_path: Path) -> None:
    async with on_stage(tmp_path, StallingTokenSource()) as stage:
        with anyio.fail_after(WAIT_S):
            await stage.runner.drain(FOR_EVER_S)

        with pytest.raises(DrainingError):
            stage.runner.admit()


async def test_whoever_drains_too_is_told_as_well(tmp_path: Path) -> None:
    go_on = anyio.Event()
    async with on_stage(tmp_path, ScriptedTokenSource([go_on, STOP])) as stage:
        await stage.start()
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.runner.drain, FOR_EVER_S)
                tasks.start_soon(stage.runner.drain, FOR_EVER_S)
                await checkpoint()
                go_on.set()

        assert stage.runner.live_count == 0


async def test_draining_waits_for_an_end_that_history_was_not_told_yet(tmp_path: Path) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource(["All", STOP])) as stage:
        stage.history.cut()
        turn = await stage.start()
        await stage.follow(turn)
        stage.history.turns.attempted = anyio.Event()

        async def mend_after_the_first_retry() -> None:
            await stage.history.turns.attempted.wait()
            await checkpoint()
            stage.history.mend()

        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(mend_after_the_first_retry)
                await stage.runner.drain(FOR_EVER_S)

        assert (await stage.record(turn)).status is TurnStatus.COMPLETED


async def test_draining_gives_up_on_a_history_that_stays_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.runner.STOP_GRACE_S", 0.05)
    async with on_stage(tmp_path, ScriptedTokenSource(["All", STOP])) as stage:
        stage.history.cut()
        turn = await stage.start()
        with anyio.fail_after(WAIT_S):
            await stage.runner.drain(FOR_EVER_S)

        assert stage.keeper.unstored(turn.spec.turn_id) is not None


async def test_a_cancel_while_draining_still_counts(tmp_path: Path) -> None:
    source = StallingTokenSource(["Half"])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start()
        await source.until_stalled()
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.runner.drain, FOR_EVER_S)
                await checkpoint()
                await stage.runner.cancel(
                    turn.spec.turn_id, Cancelled("operator"), wait_s=FOR_EVER_S
                )

        assert (await stage.ended(turn))[-1].data["by"] == "operator"


async def test_a_turn_is_found_while_it_runs_and_not_before_or_after(tmp_path: Path) -> None:
    go_on = anyio.Event()
    async with on_stage(tmp_path, ScriptedTokenSource([go_on, STOP])) as stage:
        assert stage.runner.find("unknown") is None
        turn = await stage.start()
        assert stage.runner.find(turn.spec.turn_id) is turn
        assert stage.runner.live_count == 1
        go_on.set()
        await stage.ended(turn)

        assert stage.runner.find(turn.spec.turn_id) is None


async def test_a_runner_that_does_not_run_starts_nothing(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        stage = Stage(history, StallingTokenSource())

        with pytest.raises(AssertionError, match="running"):
            await stage.start()
        assert stage.runner.live_count == 0
