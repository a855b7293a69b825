"""Stopping a turn: at any moment, by anybody, once."""

import gc
import random
import weakref
from collections import Counter
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from streaming.cursor import Cursor
from streaming.turn import Cancelled, LiveTurn
from tests.streaming.harness import WAIT_S, Stage, deltas, on_stage, wait_for_entry
from tests.support.sources import STOP, FailingTokenSource, ScriptedTokenSource, StallingTokenSource

RACES = 300
PIECES = ["Fine", ", ", "thank ", "you", " 🦉."]
LONG_S = 3600.0

BOTH_ARMS = pytest.mark.parametrize("streaming", [True, False], ids=["on", "off"])


async def cancel(stage: Stage, turn: LiveTurn, seen: Cursor | None = None) -> None:
    await stage.runner.cancel(turn.spec.turn_id, Cancelled("user", seen), wait_s=WAIT_S)


@BOTH_ARMS
async def test_a_cancel_before_the_first_token_leaves_an_empty_answer(
    tmp_path: Path, streaming: bool
) -> None:
    source = StallingTokenSource()
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=streaming)
        await source.until_stalled()
        await cancel(stage, turn)

        events = await stage.ended(turn)
        assert [event.name for event in events] == ["turn.started", "turn.cancelled"]
        assert (events[-1].data["text"], events[-1].data["by"]) == ("", "user")
        assert source.closed == 1


@BOTH_ARMS
async def test_a_cancel_before_the_model_was_asked_ends_the_turn(
    tmp_path: Path, streaming: bool
) -> None:
    source = ScriptedTokenSource([*PIECES, STOP])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=streaming)
        await cancel(stage, turn)

        assert (await stage.ended(turn))[-1].name == "turn.cancelled"
        assert source.closed == source.opened


@BOTH_ARMS
async def test_a_cancel_in_the_middle_keeps_what_came(tmp_path: Path, streaming: bool) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=streaming)
        await source.until_stalled()
        await cancel(stage, turn)

        events = await stage.ended(turn)
        assert events[-1].data["text"] == "".join(PIECES)
        assert events[-1].data["usage"] == {
            "input_tokens": 3,
            "output_tokens": 5,
            "source": "estimated",
        }
        assert source.closed == 1


async def test_what_was_held_back_was_never_shown_and_a_cancel_leaves_it_out(
    tmp_path: Path,
) -> None:
    source = StallingTokenSource(["x" * 90, " never sent"])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(max_chars=101)
        await source.until_stalled()
        await cancel(stage, turn)

        events = await stage.ended(turn)
        assert events[-1].data["text"] == deltas(events)
        assert "never sent" not in events[-1].data["text"]


async def test_a_cancel_after_the_end_changes_nothing(tmp_path: Path) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource([*PIECES, STOP])) as stage:
        turn = await stage.start()
        before = await stage.ended(turn)
        with anyio.fail_after(WAIT_S):
            await cancel(stage, turn)
            await stage.runner.cancel("unknown", Cancelled("user"), wait_s=WAIT_S)

        assert not turn.stop(Cancelled("user"))
        assert await stage.ended(turn) == before


async def test_a_cancel_while_the_end_is_being_stored_waits_for_it(tmp_path: Path) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource([*PIECES, STOP])) as stage:
        gate = stage.history.turns.gate = anyio.Event()
        turn = await stage.start()
        with anyio.fail_after(WAIT_S):
            await stage.history.turns.at_gate.wait()
            await stage.runner.cancel(turn.spec.turn_id, Cancelled("user"), wait_s=0.01)
            assert not turn.ended.is_set()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel, stage, turn)
                await checkpoint()
                gate.set()

        assert turn.ended.is_set()
        assert (await stage.ended(turn))[-1].name == "turn.completed"


async def test_of_many_cancels_the_first_counts(tmp_path: Path) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start()
        await source.until_stalled()
        async with anyio.create_task_group() as tasks:
            for seen in (3, 2, 1):
                tasks.start_soon(cancel, stage, turn, Cursor(1, seen))

        assert (await stage.ended(turn))[-1].data["text"] == "Fine, "


@pytest.mark.parametrize("seen", range(1, len(PIECES) + 2))
async def test_the_text_ends_where_the_page_had_seen_it(tmp_path: Path, seen: int) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start()
        await source.until_stalled()
        await cancel(stage, turn, Cursor(1, seen))

        events = await stage.ended(turn)
        assert events[-1].data["text"] == "".join(PIECES[: seen - 1])
        assert deltas(events) == "".join(PIECES)


@pytest.mark.parametrize(
    "seen", [Cursor(2, 3), Cursor(1, len(PIECES) + 2), Cursor(999_999_999, 10**18 - 1)]
)
async def test_a_seen_that_is_not_of_this_log_is_ignored(tmp_path: Path, seen: Cursor) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start()
        await source.until_stalled()
        await cancel(stage, turn, seen)

        assert (await stage.ended(turn))[-1].data["text"] == "".join(PIECES)


async def test_where_nothing_was_shown_there_is_no_seen(tmp_path: Path) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=False)
        await source.until_stalled()
        await cancel(stage, turn, Cursor(1, 1))

        assert (await stage.ended(turn))[-1].data["text"] == "".join(PIECES)


async def race(stage: Stage, seed: int, ends: Counter[str]) -> None:
    """Let a cancel meet the end of a turn at a moment that the seed chooses."""
    dice = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
    turn = await stage.start(streaming=dice.random() < 0.7)
    seen = Cursor(1, dice.randint(1, 9)) if dice.random() < 0.4 else None

    async with anyio.create_task_group() as tasks:

        async def cancel_at_some_moment() -> None:
            for _ in range(dice.randint(0, 40)):
                await checkpoint()
            await cancel(stage, turn, seen)

        tasks.start_soon(cancel_at_some_moment)
        events = await stage.ended(turn)

    text, shown = events[-1].data["text"], deltas(events)
    ends[events[-1].name] += 1
    assert "".join(PIECES).startswith(text)
    if turn.spec.streaming and events[-1].name == "turn.cancelled":
        is_clamped = seen is not None and seen.seq <= len(events) - 1
        cut = seen.seq - 1 if seen is not None and is_clamped else len(PIECES)
        assert text == "".join(event.data["text"] for event in events[1:-1][:cut])
        assert shown.startswith(text)


async def race_thirty(folder: Path, first: int, ends: Counter[str]) -> None:
    """Run thirty races at once against a model whose pauses the first seed chooses."""
    dice = random.Random(first)  # noqa: S311  # seeded, so that a failure can be repeated
    source = ScriptedTokenSource([*PIECES, STOP], yields=[dice.randint(0, 6) for _ in range(7)])
    async with on_stage(folder, source) as stage:
        async with anyio.create_task_group() as tasks:
            for seed in range(first, first + 30):
                tasks.start_soon(race, stage, seed, ends)
        assert stage.runner.live_count == 0


@pytest.mark.fault(16)
async def test_whenever_a_cancel_meets_the_end_there_is_one_end_and_the_record_agrees(
    tmp_path: Path,
) -> None:
    ends: Counter[str] = Counter()
    for first in range(0, RACES, 30):
        await race_thirty(tmp_path / str(first), first, ends)

    assert set(ends) == {"turn.completed", "turn.cancelled"}  # else nothing raced
    assert min(ends.values()) > RACES // 10
    assert ends.total() == RACES


async def test_a_failure_that_came_first_is_not_turned_into_a_cancel(tmp_path: Path) -> None:
    async with on_stage(tmp_path, FailingTokenSource(after=1, error=ValueError())) as stage:
        stage.history.turns.gate = anyio.Event()
        turn = await stage.start()
        with anyio.fail_after(WAIT_S):
            await stage.history.turns.at_gate.wait()
        assert not turn.stop(Cancelled("user"))
        stage.history.turns.gate.set()

        assert (await stage.ended(turn))[-1].name == "turn.failed"


async def test_a_turn_that_nobody_reads_is_abandoned(tmp_path: Path) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source, abandon_after_s=0.05) as stage:
        events = await stage.ended(await stage.start())

        assert (events[-1].name, events[-1].data["by"]) == ("turn.cancelled", "abandoned")


async def test_a_turn_is_abandoned_when_its_last_reader_has_left(tmp_path: Path) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source, abandon_after_s=0.05) as stage:
        watched = await stage.start()
        turn_id = watched.spec.turn_id
        stage.runner.readership.joined(turn_id)
        stage.runner.readership.joined(turn_id)
        stage.runner.readership.left(turn_id)
        await stage.ended(await stage.start())  # abandoned meanwhile: as long as it takes

        assert stage.runner.find(turn_id) is watched
        stage.runner.readership.left(turn_id)
        assert (await stage.ended(watched))[-1].data["by"] == "abandoned"


async def test_a_reader_that_comes_back_in_time_keeps_the_turn(tmp_path: Path) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source, abandon_after_s=0.05) as stage:
        turn = await stage.start()
        stage.runner.readership.joined(turn.spec.turn_id)
        stage.runner.readership.left(turn.spec.turn_id)
        stage.runner.readership.joined(turn.spec.turn_id)
        await stage.ended(await stage.start())

        assert stage.runner.find(turn.spec.turn_id) is turn
        await cancel(stage, turn)


async def test_by_default_no_turn_is_abandoned(tmp_path: Path) -> None:
    source = StallingTokenSource(PIECES)
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start()
        stage.runner.readership.joined(turn.spec.turn_id)
        stage.runner.readership.left(turn.spec.turn_id)

        for _ in range(3):
            await checkpoint()
        assert turn.outcome is None
        await cancel(stage, turn)


async def test_readers_of_a_turn_that_does_not_run_here_count_for_nothing(tmp_path: Path) -> None:
    async with on_stage(tmp_path, StallingTokenSource(), abandon_after_s=0.05) as stage:
        stage.runner.readership.joined("unknown")
        stage.runner.readership.left("unknown")

        assert stage.runner.live_count == 0


async def test_nothing_keeps_a_turn_that_has_ended(tmp_path: Path) -> None:
    source = ScriptedTokenSource([*PIECES, STOP])
    async with on_stage(tmp_path, source, abandon_after_s=LONG_S) as stage:
        turn = await stage.start()
        for _ in range(3):
            stage.runner.readership.joined(turn.spec.turn_id)
            stage.runner.readership.left(turn.spec.turn_id)
        await wait_for_entry(stage.log.attach(turn.spec.turn_id, Cursor(1, 1)), 2)
        await stage.ended(turn)
        kept = weakref.ref(turn.ended)
        await checkpoint()
        del turn
        gc.collect()

        assert kept() is None
