"""Whatever happens to a turn: one terminal event, and the record is written before it."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from history.model import TurnStatus
from streaming.errors import (
    SourceError,
    SourceFilteredError,
    SourceProtocolError,
    SourceRateLimitedError,
    SourceRefusedError,
    SourceReportedError,
    SourceTruncatedError,
    SourceUnavailableError,
)
from streaming.llm.base import Finish
from streaming.turn import Cancelled, Deadlines, Interrupted
from tests.streaming.harness import PATIENT, WAIT_S, Told, deltas, on_stage, opened_history
from tests.streaming.harness import Stage as BareStage
from tests.support.sources import (
    STOP,
    DribblingTokenSource,
    FailingTokenSource,
    ScriptedTokenSource,
    SlowClosingTokenSource,
    StallingTokenSource,
)

BOTH_ARMS = pytest.mark.parametrize("streaming", [True, False], ids=["on", "off"])


def last(events: list[Told]) -> dict[str, Any]:
    return events[-1].data


@BOTH_ARMS
async def test_an_answer_is_logged_stored_and_completed(tmp_path: Path, streaming: bool) -> None:
    source = ScriptedTokenSource(["Hel", "", "lo ", "🦉\r\n", STOP])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=streaming)
        events = await stage.ended(turn)

        record = await stage.record(turn)
        assert record.status is TurnStatus.COMPLETED
        assert record.text == "Hello 🦉\r\n"
        assert record.finish_reason == "stop"
        assert record.error is None
        assert last(events)["usage"] == {"input_tokens": 3, "output_tokens": 5, "source": "exact"}
        assert last(events)["timings"]["ttft_s"] is not None
        assert [prompt.messages[-1].text for prompt in source.asked] == ["How are you?"]
        assert source.closed == 1
        assert deltas(events) == ("Hello 🦉\r\n" if streaming else "")


async def test_the_arms_log_what_they_should_and_store_the_same(tmp_path: Path) -> None:
    source = ScriptedTokenSource(["One ", "two ", "three.", STOP])
    async with on_stage(tmp_path, source) as stage:
        on, off = await stage.start(streaming=True), await stage.start(streaming=False)
        told_on, told_off = await stage.ended(on), await stage.ended(off)

        assert [event.name for event in told_on] == [
            "turn.started",
            *["text.delta"] * 3,
            "text.done",
            "turn.completed",
        ]
        assert [(event.cursor.seq, event.name) for event in told_off] == [
            (1, "turn.started"),
            (2, "turn.completed"),
        ]
        assert [told_on[0].data["streaming"], told_off[0].data["streaming"]] == [True, False]
        assert (await stage.record(on)).text == (await stage.record(off)).text


@BOTH_ARMS
async def test_who_sees_the_end_finds_it_in_the_record(tmp_path: Path, streaming: bool) -> None:
    source = ScriptedTokenSource(["Some ", "text", STOP])
    async with on_stage(tmp_path, source) as stage:
        gate = stage.history.turns.gate = anyio.Event()
        turn = await stage.start(streaming=streaming)
        ends: list[tuple[str, str]] = []

        async def read() -> None:
            events = await stage.follow(turn)
            record = await stage.record(turn)
            assert record.status.value == events[-1].name.removeprefix("turn.")
            ends.append((record.text, last(events)["text"]))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(read)
            with anyio.fail_after(WAIT_S):
                await stage.history.turns.at_gate.wait()
            assert ends == []
            gate.set()

        assert ends == [("Some text", "Some text")] * 5


@BOTH_ARMS
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize(
    "error",
    [
        SourceError("x"),
        SourceUnavailableError("x"),
        SourceRateLimitedError("x", retry_after_s=3),
        SourceRefusedError("x"),
        SourceTruncatedError("x"),
        SourceProtocolError("x"),
        SourceReportedError("x"),
        SourceFilteredError("x"),
    ],
    ids=lambda error: error.code,
)
async def test_a_source_that_fails_fails_the_turn_and_its_text_stands(
    tmp_path: Path, error: SourceError, after: int, streaming: bool
) -> None:
    async with on_stage(tmp_path, FailingTokenSource(after=after, error=error)) as stage:
        turn = await stage.start(streaming=streaming)
        events = await stage.ended(turn)

        assert events[-1].name == "turn.failed"
        assert (last(events)["code"], last(events)["detail"]) == (error.code, "x")
        assert last(events)["retryable"] is error.retryable
        assert last(events)["text"] == "".join(f"piece {n} " for n in range(after))
        assert last(events)["usage"]["source"] == "estimated"
        record = await stage.record(turn)
        assert record.error == {"code": error.code, "detail": "x", "retryable": error.retryable}


@pytest.mark.fault(33)
@BOTH_ARMS
async def test_an_answer_without_a_finish_reason_is_truncated(
    tmp_path: Path, streaming: bool
) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource(["Cut o"])) as stage:
        events = await stage.ended(await stage.start(streaming=streaming))

        assert (events[-1].name, last(events)["code"]) == ("turn.failed", "upstream_truncated")
        assert last(events)["text"] == "Cut o"


@BOTH_ARMS
@pytest.mark.parametrize("after", [0, 2])
async def test_a_bug_ends_the_turn_it_hit_and_no_other(
    tmp_path: Path, after: int, streaming: bool
) -> None:
    source = FailingTokenSource(after=after, error=ValueError("secret"))
    async with on_stage(tmp_path, source) as stage:
        for _ in range(2):
            turn = await stage.start(streaming=streaming)
            events = await stage.ended(turn)

            assert (events[-1].name, last(events)["code"]) == ("turn.failed", "internal_error")
            assert "secret" not in str(events)
            assert source.closed == source.opened


@BOTH_ARMS
async def test_text_that_is_no_text_ends_the_turn_it_hit_and_no_other(
    tmp_path: Path, streaming: bool
) -> None:
    source = ScriptedTokenSource(["Fine ", "\ud83d", "\ude00", STOP])
    async with on_stage(tmp_path, source) as stage:
        for _ in range(2):
            events = await stage.ended(await stage.start(streaming=streaming))

            assert (events[-1].name, last(events)["code"]) == ("turn.failed", "internal_error")
            assert last(events)["text"] == "Fine "


@BOTH_ARMS
@pytest.mark.parametrize(
    ("pieces", "deadlines", "awaited"),
    [
        ([], Deadlines(0.05, 60, 60), "first token"),
        (["Well", ", "], Deadlines(60, 0.05, 60), "further token"),
        (["Well", ", "], Deadlines(60, 60, 0.05), "end of the answer"),
        ([], Deadlines(60, 60, 0.05), "end of the answer"),
    ],
)
async def test_each_wait_for_the_model_has_its_deadline(
    tmp_path: Path, *, pieces: list[str], deadlines: Deadlines, awaited: str, streaming: bool
) -> None:
    source = StallingTokenSource(pieces)
    async with on_stage(tmp_path, source, deadlines=deadlines) as stage:
        events = await stage.ended(await stage.start(streaming=streaming))

        assert (events[-1].name, last(events)["code"]) == ("turn.failed", "upstream_timeout")
        assert last(events)["detail"] == f"No {awaited} within 0.05 s."
        assert last(events)["text"] == "".join(pieces)
        # A model that falls silent in mid-answer is asked twice to go on.
        assert source.closed == (3 if awaited == "further token" else 1)


async def test_a_model_that_only_shows_that_it_lives_meets_the_last_deadline(
    tmp_path: Path,
) -> None:
    # The two others are far above the pause between two empty pieces, and below the last one.
    deadlines = Deadlines(first_token_s=30, inter_token_s=30, turn_s=0.05)
    async with on_stage(tmp_path, DribblingTokenSource(), deadlines=deadlines) as stage:
        events = await stage.ended(await stage.start())

        assert last(events)["detail"] == "No end of the answer within 0.05 s."
        assert last(events)["text"] == ""


@BOTH_ARMS
async def test_an_answer_that_grows_too_long_is_cut_and_the_model_stopped(
    tmp_path: Path, streaming: bool
) -> None:
    source = ScriptedTokenSource(["A short sentence. "] * 100)
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start(streaming=streaming, max_chars=500)
        events = await stage.ended(turn)

        assert (events[-1].name, last(events)["finish_reason"]) == ("turn.completed", "length")
        assert last(events)["text"] == ("A short sentence. " * 27)[:-1]  # 485 of 500
        assert last(events)["usage"]["source"] == "estimated"
        assert source.closed == 1


@BOTH_ARMS
async def test_the_models_own_cap_is_a_normal_end(tmp_path: Path, streaming: bool) -> None:
    source = ScriptedTokenSource(["As far as", Finish("length")])
    async with on_stage(tmp_path, source) as stage:
        events = await stage.ended(await stage.start(streaming=streaming, max_chars=9))

        assert last(events)["finish_reason"] == "length"
        assert last(events)["text"] == "As far as"
        assert last(events)["usage"] == {
            "input_tokens": 3,
            "output_tokens": 3,
            "source": "estimated",
        }


@BOTH_ARMS
async def test_what_was_held_back_near_the_cap_comes_with_every_end_but_a_cancel(
    tmp_path: Path, streaming: bool
) -> None:
    stalling = StallingTokenSource(["x" * 90, " and then"])
    failing = ScriptedTokenSource(["x" * 90, " and then", SourceTruncatedError("x")])
    crashing = ScriptedTokenSource(["x" * 90, " and then", ValueError("x")])
    whole = "x" * 90 + " and then"
    for source in (failing, crashing):
        async with on_stage(tmp_path, source) as stage:
            turn = await stage.start(streaming=streaming, max_chars=100)
            assert last(await stage.ended(turn))["text"] == whole
    async with on_stage(tmp_path, stalling) as stage:
        turn = await stage.start(streaming=streaming, max_chars=100)
        await stalling.until_stalled()
        turn.stop(Interrupted("test"))
        assert last(await stage.ended(turn))["text"] == whole


@BOTH_ARMS
@pytest.mark.parametrize("pieces", [[], ["Half an ", "answer"]], ids=["before", "within"])
async def test_turns_left_at_the_end_are_interrupted_and_stored(
    tmp_path: Path, pieces: list[str], streaming: bool
) -> None:
    source = StallingTokenSource(pieces)
    async with opened_history(tmp_path) as history:
        stage = BareStage(history, source, PATIENT)
        with anyio.fail_after(WAIT_S):
            async with stage.runner.running():
                turns = [await stage.start(streaming=streaming) for _ in range(3)]
                await source.until_stalled()

        for turn in turns:
            events = await stage.ended(turn)
            assert (events[-1].name, last(events)["reason"]) == ("turn.interrupted", "shutdown")
            assert last(events)["text"] == "".join(pieces)
        assert source.closed == source.opened


async def test_a_turn_started_as_everything_ends_is_interrupted_too(tmp_path: Path) -> None:
    async with opened_history(tmp_path) as history:
        stage = BareStage(history, StallingTokenSource())
        with anyio.fail_after(WAIT_S):
            async with stage.runner.running():
                turn = await stage.start()

        events = await stage.ended(turn)
        assert [event.name for event in events] == ["turn.started", "turn.interrupted"]


async def test_a_group_cancelled_from_outside_interrupts_its_turns(tmp_path: Path) -> None:
    source = StallingTokenSource(["Half"])
    async with opened_history(tmp_path) as history:
        stage = BareStage(history, source)
        with anyio.fail_after(WAIT_S), anyio.CancelScope() as outer:
            async with stage.runner.running():
                turn = await stage.start()
                await source.until_stalled()
                outer.cancel()
                await anyio.sleep_forever()

        assert last(await stage.ended(turn))["text"] == "Half"


async def test_a_stop_that_came_first_decides_though_everything_ends(tmp_path: Path) -> None:
    source = StallingTokenSource(["Half"])
    async with opened_history(tmp_path) as history:
        stage = BareStage(history, source)
        with anyio.fail_after(WAIT_S):
            async with stage.runner.running():
                turn = await stage.start()
                await source.until_stalled()
                assert turn.stop(Cancelled("user"))
                assert not turn.stop(Interrupted("too late"))

        events = await stage.ended(turn)
        assert (events[-1].name, last(events)["by"]) == ("turn.cancelled", "user")


async def test_a_stop_that_came_first_decides_though_the_source_breaks_on_it(
    tmp_path: Path,
) -> None:
    class BreakingSource(StallingTokenSource):
        """Has a bug in the closing of its connection."""

        async def stream(self, prompt: Any) -> Any:
            try:
                async for item in super().stream(prompt):
                    yield item
            finally:
                raise ValueError

    source = BreakingSource(["Half"])
    async with on_stage(tmp_path, source) as stage:
        turn = await stage.start()
        await source.until_stalled()
        turn.stop(Cancelled("user"))

        assert (await stage.ended(turn))[-1].name == "turn.cancelled"


async def test_a_finished_answer_stays_finished_however_long_closing_takes(tmp_path: Path) -> None:
    source = SlowClosingTokenSource(["All of it.", STOP])
    async with on_stage(tmp_path, source, deadlines=Deadlines(60, 60, 0.05)) as stage:
        turn = await stage.start()
        with anyio.fail_after(WAIT_S):
            await source.closing.wait()

        assert not turn.stop(Cancelled("user"))
        events = await stage.ended(turn)  # the deadline ends the closing, not the answer

        assert (events[-1].name, last(events)["finish_reason"]) == ("turn.completed", "stop")


async def test_a_finished_answer_stays_finished_though_closing_fails(tmp_path: Path) -> None:
    class FailingToClose(ScriptedTokenSource):
        async def stream(self, prompt: Any) -> Any:
            try:
                async for item in super().stream(prompt):
                    yield item
            finally:
                raise SourceTruncatedError("The connection was closed already.")

    async with on_stage(tmp_path, FailingToClose(["All of it.", STOP])) as stage:
        assert (await stage.ended(await stage.start()))[-1].name == "turn.completed"


async def test_what_happened_is_counted_once_a_turn(tmp_path: Path) -> None:
    async with on_stage(tmp_path, ScriptedTokenSource(["a", "b", STOP])) as stage:
        for streaming in (True, False):
            await stage.ended(await stage.start(streaming=streaming))

        text = stage.metrics.exposition()[0].decode()
        ended = [line for line in text.splitlines() if line.startswith("chat_turns_total{")]
        assert sum(float(line.rpartition(" ")[2]) for line in ended) == 2
