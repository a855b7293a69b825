"""Ending the turns whose worker is gone."""

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import anyio
import pytest

from history.errors import HistoryUnavailableError
from history.model import TurnRecord, TurnStatus
from streaming.cursor import Cursor
from streaming.ending import last_covered, terminal_from_record
from streaming.events import TurnInterrupted
from streaming.reaper import SILENT_AFTER_S, SilenceWatch, reap
from tests.history.factories import OWNER, a_checkpoint, a_first_turn, an_end
from tests.streaming.harness import UnreachableHistory, on_stage, opened_history
from tests.support.sources import StallingTokenSource

HOUR = timedelta(hours=1)


def nobodys(turn_id: str) -> bool:  # noqa: ARG001  # the reaper's question
    return False


async def a_running(
    history: UnreachableHistory, *, silent_s: float, text: str = "Half", seq: int = 2
) -> TurnRecord:
    """Return a turn that runs somewhere, last heard of so many seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=silent_s)
    turn = a_first_turn(started_at=at - HOUR)
    await history.turns.begin(turn)
    await history.turns.checkpoint([a_checkpoint(turn, text=text, last_seq=seq, at=at)])
    return await history.turns.get(OWNER, turn.turn_id)


async def test_a_silent_turn_is_interrupted_with_its_checkpoint_in_a_new_epoch(
    tmp_path: Path,
) -> None:
    async with opened_history(tmp_path) as history:
        before = await a_running(history, silent_s=SILENT_AFTER_S + 1)

        assert await reap(history, is_ours=nobodys, silent_after_s=SILENT_AFTER_S) == 1

        after = await history.turns.get(OWNER, before.turn_id)
        assert after.status is TurnStatus.INTERRUPTED
        assert (after.epoch, after.last_seq, after.text) == (2, 3, "Half")
        assert after.error is not None
        assert after.error["retryable"] is True
        assert terminal_from_record(after) == TurnInterrupted(
            message_id=before.message_id,
            stored=True,
            text="Half",
            usage=terminal_from_record(after).usage,
            reason="worker_lost",
        )
        assert last_covered(after) == Cursor(1, 2)
        message = await history.messages.get(OWNER, before.message_id)
        assert (message.text, message.status) == ("Half", TurnStatus.INTERRUPTED)
        conversation = await history.conversations.get(OWNER, before.conversation_id)
        assert conversation.active_turn_id is None


async def test_a_turn_that_shows_life_is_left_alone(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        alive = await a_running(history, silent_s=SILENT_AFTER_S / 2)

        assert await reap(history, is_ours=nobodys, silent_after_s=SILENT_AFTER_S) == 0

        assert (await history.turns.get(OWNER, alive.turn_id)).status is TurnStatus.RUNNING


async def test_at_the_start_every_running_turn_is_a_lost_one(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        fresh = await a_running(history, silent_s=0)
        unheard = a_first_turn()
        await history.turns.begin(unheard)

        assert await reap(history, is_ours=nobodys, silent_after_s=None) == 2

        for turn_id, covered in ((fresh.turn_id, 3), (unheard.turn_id, 2)):
            record = await history.turns.get(OWNER, turn_id)
            assert (record.status, record.last_seq) == (TurnStatus.INTERRUPTED, covered)


async def test_a_turn_that_runs_here_is_ours_however_silent(tmp_path: Path) -> None:
    source = StallingTokenSource(["Half"])
    async with on_stage(tmp_path, source) as stage:
        ours = await stage.start()
        theirs = await a_running(stage.history, silent_s=60)

        def is_ours(turn_id: str) -> bool:
            return stage.runner.find(turn_id) is not None

        assert await reap(stage.history, is_ours=is_ours, silent_after_s=None) == 1

        assert (await stage.record(ours)).status is TurnStatus.RUNNING
        stored = await stage.history.turns.get(OWNER, theirs.turn_id)
        assert stored.status is TurnStatus.INTERRUPTED


async def test_of_two_reapers_one_ends_the_turn(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        turns = [await a_running(history, silent_s=60) for _ in range(20)]

        async with anyio.create_task_group() as tasks:
            for _ in range(2):

                async def one_of_two() -> None:
                    await reap(history, is_ours=nobodys, silent_after_s=SILENT_AFTER_S)

                tasks.start_soon(one_of_two)

        for turn in turns:
            record = await history.turns.get(OWNER, turn.turn_id)
            assert (record.status, record.epoch, record.last_seq) == ("interrupted", 2, 3)
            page = await history.messages.list(OWNER, turn.conversation_id, limit=9, before=None)
            assert len(page.items) == 2
        assert await reap(history, is_ours=nobodys, silent_after_s=None) == 0


async def test_a_worker_that_ends_its_turn_first_is_not_overruled(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        turn = await a_running(history, silent_s=60)
        gate = history.turns.gate = anyio.Event()
        reaped: list[int] = []

        async def reap_slowly() -> None:
            reaped.append(await reap(history, is_ours=nobodys, silent_after_s=SILENT_AFTER_S))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reap_slowly)
            with anyio.fail_after(10):
                await history.turns.at_gate.wait()
            history.turns.gate = None
            await history.turns.end(an_end(turn))
            gate.set()

        assert reaped == [0]
        assert (await history.turns.get(OWNER, turn.turn_id)).status is TurnStatus.COMPLETED


async def test_a_turn_whose_conversation_is_deleted_meanwhile_is_passed_over(
    tmp_path: Path,
) -> None:
    async with opened_history(tmp_path) as history:
        gone = await a_running(history, silent_s=60)
        lost = await a_running(history, silent_s=50)
        gate = history.turns.gate = anyio.Event()
        reaped: list[int] = []

        async def reap_slowly() -> None:
            reaped.append(await reap(history, is_ours=nobodys, silent_after_s=SILENT_AFTER_S))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reap_slowly)
            with anyio.fail_after(10):
                await history.turns.at_gate.wait()
            await history.conversations.delete(OWNER, gone.conversation_id)
            gate.set()

        assert reaped == [1]
        assert (await history.turns.get(OWNER, lost.turn_id)).status is TurnStatus.INTERRUPTED


async def test_a_store_that_cannot_be_reached_is_told_to_whoever_reaps(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        await a_running(history, silent_s=60)
        history.cut()

        with pytest.raises(HistoryUnavailableError):
            await reap(history, is_ours=nobodys, silent_after_s=SILENT_AFTER_S)


async def test_a_clock_that_is_an_hour_off_makes_no_turn_a_silent_one(tmp_path: Path) -> None:
    watch = SilenceWatch(watched_s=0.05)
    async with opened_history(tmp_path) as history:
        behind = await a_running(history, silent_s=3600)
        lost = await a_running(history, silent_s=3600)

        async def look(number: int) -> int:
            at = behind.heartbeat_at + timedelta(milliseconds=number)
            sign = a_checkpoint(behind, text="Half", last_seq=2, at=at)
            await history.turns.checkpoint([sign])
            return await reap(history, is_ours=nobodys, silent_after_s=SILENT_AFTER_S, watch=watch)

        at_first = await look(1)
        numbers = count(2)
        with anyio.fail_after(5):
            while not await look(next(numbers)):  # noqa: ASYNC110  time has to pass
                await anyio.sleep(0.01)

        assert at_first == 0
        assert (await history.turns.get(OWNER, lost.turn_id)).status is TurnStatus.INTERRUPTED
        assert (await history.turns.get(OWNER, behind.turn_id)).status is TurnStatus.RUNNING
