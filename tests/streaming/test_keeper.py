"""The record of turns that run here: checkpoints, ends, and what comes when history is lost."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from history.errors import HistoryUnavailableError
from history.model import TurnStatus
from streaming import keeper as keeper_module
from streaming import runner as runner_module
from streaming.ending import interrupted_end
from streaming.turn import LiveTurn
from tests.history.factories import OWNER, a_first_turn, an_end
from tests.streaming.harness import (
    WAIT_S,
    Stage,
    Told,
    deltas,
    on_stage,
    opened_history,
    wait_for_entry,
)
from tests.support.sources import STOP, ScriptedTokenSource, StallingTokenSource, Step

BOTH_ARMS = pytest.mark.parametrize("streaming", [True, False], ids=["on", "off"])


async def stalled(stage: Stage, source: StallingTokenSource, **options: Any) -> LiveTurn:
    """Start a turn and let it come to where its model falls silent."""
    source.stalled = anyio.Event()
    turn = await stage.start(**options)
    await source.until_stalled()
    return turn


async def until(event: anyio.Event | asyncio.Event) -> None:
    with anyio.fail_after(WAIT_S):
        await event.wait()


def text_at(events: list[Told], seq: int) -> str:
    return deltas([event for event in events if event.cursor.seq <= seq])


async def test_a_checkpoint_holds_the_text_that_its_seq_covers(tmp_path: Path) -> None:
    steps = [anyio.Event() for _ in range(6)]
    script = [part for n, step in enumerate(steps) for part in (f"part {n} ", f"and {n}. ", step)]
    async with on_stage(tmp_path, ScriptedTokenSource([*script, STOP])) as stage:
        turn = await stage.start()
        reader = stage.log.attach(turn.spec.turn_id, turn.writer.cursor)
        for place, step in enumerate(steps, 1):
            await wait_for_entry(reader, 1 + 2 * place)
            await stage.keeper.checkpoint([turn])
            record = await stage.record(turn)
            assert record.status is TurnStatus.RUNNING
            assert (record.text, record.last_seq) == (turn.draft.text, 1 + 2 * place)
            step.set()
        events = await stage.ended(turn)

        assert len(stage.history.turns.rounds) == 6
        for (written,) in stage.history.turns.rounds:
            assert written.text == text_at(events, written.last_seq)


async def test_a_checkpoint_of_a_talking_turn_is_never_torn(tmp_path: Path) -> None:
    gates = [anyio.Event() for _ in range(20)]
    script: list[Step] = []
    for gate in gates:
        script += [gate, *["word "] * 20]
    async with on_stage(tmp_path, ScriptedTokenSource([*script, STOP])) as stage:
        turn = await stage.start()
        for gate in gates:
            gate.set()  # it talks while the checkpoint is being written
            await checkpoint()
            await stage.keeper.checkpoint([turn])
        events = await stage.ended(turn)

        written = [entry for entries in stage.history.turns.rounds for entry in entries]
        assert len({entry.last_seq for entry in written}) > 1
        for entry in written:
            assert entry.text == text_at(events, entry.last_seq)


async def test_one_round_writes_once_for_all_turns_and_only_what_has_grown(tmp_path: Path) -> None:
    source = StallingTokenSource(["Some text"])
    async with on_stage(tmp_path, source) as stage:
        turns = [await stalled(stage, source, streaming=n % 2 == 0) for n in range(7)]
        await stage.keeper.checkpoint(turns)
        await stage.keeper.checkpoint(turns)
        await stage.keeper.checkpoint([])

        assert [len(entries) for entries in stage.history.turns.rounds] == [7]
        for turn in turns:
            assert (await stage.record(turn)).text == "Some text"


async def test_a_silent_turn_shows_that_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = StallingTokenSource()
    async with on_stage(tmp_path, source) as stage:
        turn = await stalled(stage, source)
        await stage.keeper.checkpoint([turn])
        before = (await stage.record(turn)).heartbeat_at
        monkeypatch.setattr(keeper_module, "HEARTBEAT_EVERY_S", -1.0)
        await stage.keeper.checkpoint([turn])

        assert len(stage.history.turns.rounds) == 2
        assert (await stage.record(turn)).heartbeat_at >= before


async def test_a_turn_that_runs_is_checkpointed_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "CHECKPOINT_EVERY_S", 0.01)
    monkeypatch.setattr(runner_module, "EXPIRE_EVERY_S", 0.01)
    source = StallingTokenSource(["Some text"])
    async with on_stage(tmp_path, source) as stage:
        turn = await stalled(stage, source)
        stage.history.turns.attempted = anyio.Event()
        with anyio.fail_after(WAIT_S):
            while (await stage.record(turn)).text != "Some text":
                await checkpoint()

        assert (await stage.record(turn)).last_seq == 2


async def test_a_checkpoint_that_failed_is_due_in_the_next_round(tmp_path: Path) -> None:
    source = StallingTokenSource(["Some text"])
    async with on_stage(tmp_path, source) as stage:
        turn = await stalled(stage, source)
        stage.history.cut()
        await stage.keeper.checkpoint([turn])
        stage.history.mend()
        await stage.keeper.checkpoint([turn])

        assert (await stage.record(turn)).text == "Some text"
        assert not turn.ended.is_set()


async def test_a_turn_that_ended_while_its_checkpoint_was_written_stays_as_it_ended(
    tmp_path: Path,
) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource(["Done.", STOP])) as stage:
        turn = await stage.start()
        await stage.ended(turn)
        turn.checkpointed = -1
        await stage.keeper.checkpoint([turn])

        assert (await stage.ended(turn))[-1].name == "turn.completed"


@BOTH_ARMS
async def test_a_turn_whose_record_another_ended_stops_and_tells_that_end(
    tmp_path: Path, streaming: bool
) -> None:
    source = StallingTokenSource(["Told ", "and stored"])
    async with on_stage(tmp_path, source) as stage:
        turn = await stalled(stage, source, streaming=streaming)
        await stage.keeper.checkpoint([turn])
        record = await stage.record(turn)
        theirs = interrupted_end(record, at=datetime.now(UTC))
        await stage.history.turns.end(theirs)
        turn.checkpointed = -1
        await stage.keeper.checkpoint([turn])

        events = await stage.follow(turn)
        await until(turn.ended)
        assert events[-1].name == "turn.interrupted"
        assert events[-1].data == (await stage.record(turn)).end
        assert events[-1].data["reason"] == "worker_lost"
        assert [event.cursor.seq for event in events] == list(range(1, len(events) + 1))
        assert source.closed == 1


@pytest.mark.parametrize("finishes", [True, False])
async def test_a_turn_that_another_worker_goes_on_with_stops_here_and_leaves_the_record_alone(
    tmp_path: Path, finishes: bool
) -> None:
    go_on = anyio.Event()
    source = ScriptedTokenSource(["Told", go_on, STOP])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start()
        await wait_for_entry(stage.log.attach(turn.spec.turn_id, turn.writer.cursor), 2)
        await stage.keeper.checkpoint([turn])
        (mine,) = stage.history.turns.rounds[0]
        await stage.history.turns.checkpoint([replace(mine, epoch=2, text="Told on")])
        if finishes:
            go_on.set()
        else:
            turn.checkpointed = -1
            await stage.keeper.checkpoint([turn])

        events = await stage.follow(turn)
        await until(turn.ended)
        record = await stage.record(turn)
        assert (record.status, record.epoch, record.text) == (TurnStatus.RUNNING, 2, "Told on")
        assert (events[-1].name, events[-1].data["reason"]) == ("turn.interrupted", "fenced")
        assert events[-1].data["stored"] is False
        assert stage.keeper.unstored_count == 0
        assert stage.runner.live_count == 0


@BOTH_ARMS
async def test_history_lost_in_mid_turn_is_told_of_the_end_later(
    tmp_path: Path, streaming: bool
) -> None:
    go_on = anyio.Event()
    source = ScriptedTokenSource(["One ", go_on, "two", STOP])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=streaming)
        turn_id = turn.spec.turn_id
        stage.history.cut()
        go_on.set()
        events = await stage.follow(turn)
        await until(turn.ended)

        assert events[-1].name == "turn.completed"
        assert {e.data["stored"] for e in events if "stored" in e.data} == {False}
        assert events[-1].data["text"] == "One two"
        assert (await stage.record(turn)).status is TurnStatus.RUNNING
        end = stage.keeper.unstored(turn_id)
        assert end is not None
        assert (end.status, end.text) == (TurnStatus.COMPLETED, "One two")
        await stage.keeper.retry_ends()
        assert stage.keeper.unstored_count == 1

        stage.history.mend()
        await stage.keeper.retry_ends()
        record = await stage.record(turn)
        assert (record.status, record.text) == (TurnStatus.COMPLETED, "One two")
        assert (record.epoch, record.last_seq) == (1, events[-1].cursor.seq)
        assert record.end == events[-1].data | {"stored": True}
        assert stage.keeper.unstored(turn_id) is None
        assert stage.keeper.unstored_count == 0
        assert await stage.follow(turn) == events


async def test_an_end_is_retried_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "RETRY_EVERY_S", 0.01)
    async with on_stage(tmp_path, ScriptedTokenSource(["All", STOP])) as stage:
        stage.history.cut()
        turn = await stage.start()
        await until(turn.ended)
        stage.history.turns.attempted = anyio.Event()
        await until(stage.history.turns.attempted)
        stage.history.mend()
        with anyio.fail_after(WAIT_S):
            while stage.keeper.unstored_count:
                await checkpoint()

        assert (await stage.record(turn)).status is TurnStatus.COMPLETED


@pytest.mark.fault(29)
async def test_an_end_whose_answer_was_lost_is_stored_once(tmp_path: Path) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource(["All", STOP])) as stage:
        stage.history.cut()
        turn = await stage.start()
        await until(turn.ended)
        end = stage.keeper.unstored(turn.spec.turn_id)
        assert end is not None
        stage.history.mend()
        await stage.history.turns.end(end)  # as if the call had arrived and its answer had not
        await stage.keeper.retry_ends()

        assert stage.keeper.unstored_count == 0
        assert (await stage.record(turn)).text == "All"


async def test_one_end_that_never_holds_does_not_keep_the_others_from_the_record(
    tmp_path: Path,
) -> None:
    async with opened_history(tmp_path) as history:
        stage = Stage(history, ScriptedTokenSource([]))
        turns = [a_first_turn() for _ in range(4)]
        for turn in turns:
            await history.turns.begin(turn)
        poisoned = turns[0].turn_id
        history.cut()
        for turn in turns:
            await stage.keeper.store_end(an_end(turn))
        history.turns.only = poisoned

        for _ in turns:
            await stage.keeper.retry_ends()

        assert stage.keeper.unstored_count == 1
        assert stage.keeper.unstored(poisoned) is not None
        for turn in turns[1:]:
            stored = await history.turns.get(OWNER, turn.turn_id)
            assert stored.status is TurnStatus.COMPLETED


async def test_a_bug_in_the_store_ends_the_turn_it_hit_and_no_other(tmp_path: Path) -> None:
    go_on = anyio.Event()
    async with on_stage(tmp_path, ScriptedTokenSource(["All", go_on, STOP])) as stage:
        hit, other = await stage.start(), await stage.start()
        stage.history.turns.fault = ValueError("a bug")
        stage.history.turns.only = hit.spec.turn_id
        go_on.set()
        events = await stage.follow(hit)

        assert (events[-1].name, events[-1].data["stored"]) == ("turn.completed", False)
        assert (await stage.ended(other))[-1].data["stored"] is True
        await until(hit.ended)
        assert stage.keeper.unstored_count == 0  # a bug is not retried; the reaper frees the record


@BOTH_ARMS
@pytest.mark.parametrize("notices", [True, False], ids=["at a checkpoint", "at the end"])
async def test_a_conversation_deleted_meanwhile_ends_the_turn_and_leaves_nothing(
    tmp_path: Path, notices: bool, streaming: bool
) -> None:
    go_on = anyio.Event()
    source = ScriptedTokenSource(["Some text", go_on, STOP])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=streaming)
        await stage.history.conversations.delete(OWNER, turn.spec.conversation_id)
        if notices:
            await stage.keeper.checkpoint([turn])
        else:
            go_on.set()
        events = await stage.follow(turn)
        await until(turn.ended)

        assert events[-1].name == ("turn.interrupted" if notices else "turn.completed")
        assert events[-1].data["stored"] is False
        assert stage.keeper.unstored_count == 0
        assert await stage.history.turns.find_running(silent_since=None) == []


async def test_an_unstored_end_of_a_deleted_conversation_is_forgotten(tmp_path: Path) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource(["All", STOP])) as stage:
        stage.history.cut()
        gone, kept = await stage.start(), await stage.start()
        await until(gone.ended)
        await until(kept.ended)
        stage.history.mend()
        await stage.history.conversations.delete(OWNER, gone.spec.conversation_id)
        await stage.keeper.retry_ends()

        assert stage.keeper.unstored_count == 0
        assert (await stage.record(kept)).status is TurnStatus.COMPLETED


async def test_a_store_that_cannot_be_reached_is_counted(tmp_path: Path) -> None:
    source = StallingTokenSource()
    async with on_stage(tmp_path, source) as stage:
        turn = await stalled(stage, source)
        stage.history.cut()
        await stage.keeper.checkpoint([turn])
        await stage.keeper.store_end(an_end(a_first_turn()))
        with pytest.raises(HistoryUnavailableError):
            await stage.history.turns.end(an_end(a_first_turn()))
        stage.history.mend()

        text = stage.metrics.exposition()[0].decode()
        failed = [line for line in text.splitlines() if line.startswith("chat_history_failures")]
        assert {line.partition("{")[2].partition("}")[0] for line in failed} >= {
            'operation="checkpoint"',
            'operation="end"',
        }
