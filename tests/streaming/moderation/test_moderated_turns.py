"""Turns whose text is checked, as their readers and their record see them."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from metrics.turns import TurnMetrics
from streaming.errors import SourceTruncatedError
from streaming.moderation.base import Verdict
from streaming.speech.turn_speech import SpeechSpec
from streaming.turn import Cancelled, OnBreak
from tests.streaming.harness import WAIT_S, Told, deltas, on_stage
from tests.streaming.moderation.moderators import MarkModerator, checks_of
from tests.support.sources import STOP, ScriptedTokenSource, StallingTokenSource, Step, a_chain
from tests.support.speakers import ScriptedSpeaker

SAID: list[Step] = ["Fine so", " far. All", " well. This is", " BAD. Nobody", " sees it.", STOP]


def texts(events: Sequence[Told]) -> list[str]:
    return [event.data["text"] for event in events if event.name == "text.delta"]


async def test_a_turn_under_block_is_shown_by_whole_sentences(tmp_path: Path) -> None:
    source = ScriptedTokenSource(
        [
            "Fine so",
            " far. All w",
            *[""] * 20,
            "ell.\n\n```",
            *[""] * 20,
            "\nx. y\n``",
            "`\n ",
            STOP,
        ]
    )
    async with on_stage(tmp_path, source, checks=checks_of(MarkModerator())) as stage:
        events = await stage.ended(await stage.start(moderation="block"))

    assert texts(events) == ["Fine so far.", " All well.", "\n\n```\nx. y\n```", "\n "]
    assert events[-1].name == "turn.completed"
    assert events[-1].data["usage"]["source"] == "exact"


@pytest.mark.parametrize("streaming", [True, False])
async def test_what_may_not_be_said_is_never_shown_and_ends_the_turn(
    tmp_path: Path, *, streaming: bool
) -> None:
    source = StallingTokenSource(
        ["Fine so", " far. All", " well. This is", " BAD. Nobody", " sees"]
    )
    async with on_stage(tmp_path, source, checks=checks_of(MarkModerator())) as stage:
        turn = await stage.start(moderation="block", streaming=streaming)
        events = await stage.ended(turn)

    last = events[-1]
    assert (last.name, last.data["code"], last.data["retryable"]) == (
        "turn.failed", "content_blocked", False,
    )  # fmt: skip
    assert last.data["text"] == "Fine so far. All well."
    assert deltas(events) == ("Fine so far. All well." if streaming else "")
    assert source.closed == 1  # the model was left at once: it stalls


async def test_under_flag_everything_is_shown_as_it_comes(tmp_path: Path) -> None:
    metrics = TurnMetrics()
    checks = checks_of(MarkModerator(), metrics=metrics)
    async with on_stage(tmp_path, ScriptedTokenSource(SAID), checks=checks) as stage:
        events = await stage.ended(await stage.start(moderation="flag"))
        await until_counted(metrics, 'stage="output",verdict="flagged"', 1)

    assert texts(events) == SAID[:-1]
    assert events[-1].name == "turn.completed"


async def test_under_flag_a_moderator_that_takes_for_ever_delays_nothing(tmp_path: Path) -> None:
    moderator = MarkModerator()
    moderator.gate = anyio.Event()
    source = ScriptedTokenSource(SAID)
    async with on_stage(tmp_path, source, checks=checks_of(moderator)) as stage:
        events = await stage.ended(await stage.start(moderation="flag"))
        assert events[-1].name == "turn.completed"
        moderator.gate.set()


async def test_under_flag_the_question_and_what_was_shown_of_a_stopped_turn_are_judged(
    tmp_path: Path,
) -> None:
    metrics, moderator = TurnMetrics(), MarkModerator("Hello")
    source = StallingTokenSource(["One. And a Hello without an end"])
    checks = checks_of(moderator, metrics=metrics)
    async with on_stage(tmp_path, source, checks=checks) as stage:
        turn = await stage.start(moderation="flag")
        await source.until_stalled()
        turn.stop(Cancelled("user"))
        await stage.ended(turn)
        await until_counted(metrics, 'stage="output",verdict="flagged"', 1)

    asked = [text for each in moderator.asked for text in each]
    assert set(asked) == {turn.spec.prompt.messages[-1].text, "One.", "And a Hello without an end"}


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        (["It is.\n", *[""] * 20, "It DOWN", ". More", STOP], "It is."),
        (["DOWN", STOP], ""),
    ],
)
async def test_what_nobody_can_judge_is_not_shown_and_may_be_asked_again(
    tmp_path: Path, script: Sequence[Step], shown: str
) -> None:
    source = ScriptedTokenSource(script)
    async with on_stage(tmp_path, source, checks=checks_of(MarkModerator())) as stage:
        events = await stage.ended(await stage.start(moderation="block"))

    last = events[-1]
    assert (last.name, last.data["code"], last.data["retryable"], last.data["text"]) == (
        "turn.failed", "moderation_unavailable", True, shown,
    )  # fmt: skip


@pytest.mark.parametrize("policy", ["flag", "block"])
async def test_where_it_is_allowed_what_nobody_can_judge_is_shown(
    tmp_path: Path, policy: str
) -> None:
    metrics = TurnMetrics()
    checks = checks_of(MarkModerator(), metrics=metrics, when_down="allow")
    source = ScriptedTokenSource(["It DOWN. More.", STOP])
    async with on_stage(tmp_path, source, checks=checks) as stage:
        turn = await stage.start(moderation="flag" if policy == "flag" else "block")
        events = await stage.ended(turn)
        await until_counted(metrics, 'stage="output",verdict="unavailable"', 2)  # asked together

    assert events[-1].data["text"] == "It DOWN. More."


@pytest.mark.parametrize(
    ("on_break", "prefix", "last"),
    [
        ("continue", "One is said. Two is ha", " Two is half said."),
        ("restart", "", "lf said."),
    ],
)
async def test_an_answer_that_breaks_off_goes_on_from_what_was_written_not_only_shown(
    tmp_path: Path, on_break: OnBreak, prefix: str, last: str
) -> None:
    first = ScriptedTokenSource(["One is said. Two", " is ha", SourceTruncatedError("cut")])
    second = ScriptedTokenSource(["lf said.", STOP])
    chain = a_chain(first, second)
    checks = checks_of(MarkModerator())
    async with on_stage(tmp_path, first, sources=chain, checks=checks) as stage:
        turn = await stage.start(moderation="block", on_break=on_break)
        events = await stage.ended(turn)

    assert second.asked[0].prefix == prefix
    assert texts(events)[-1] == last
    assert events[-1].data["text"] == ("" if prefix == "" else "One is said.") + last


async def test_a_user_may_stop_a_turn_whose_last_words_are_being_checked(tmp_path: Path) -> None:
    moderator = MarkModerator()
    moderator.gate = anyio.Event()
    source = ScriptedTokenSource(["One. Two.", STOP])
    async with on_stage(tmp_path, source, checks=checks_of(moderator)) as stage:
        turn = await stage.start(moderation="block")
        with anyio.fail_after(WAIT_S):
            await moderator.at_gate.wait()
        assert turn.stop(Cancelled("user"))
        events = await stage.ended(turn)

    assert (events[-1].name, events[-1].data["text"]) == ("turn.cancelled", "")


async def test_the_length_limit_cuts_what_is_checked(tmp_path: Path) -> None:
    source = StallingTokenSource(["One is fine. Two is fine. Three is BAD. "] * 2)
    async with on_stage(tmp_path, source, checks=checks_of(MarkModerator())) as stage:
        events = await stage.ended(await stage.start(moderation="block", max_chars=30))

    assert events[-1].name == "turn.completed"
    assert events[-1].data["finish_reason"] == "length"
    assert events[-1].data["text"] == "One is fine. Two is fine."


async def test_speech_says_only_what_was_let_out(tmp_path: Path) -> None:
    speaker = ScriptedSpeaker("google")
    source = ScriptedTokenSource(SAID)
    checks = checks_of(MarkModerator())
    async with on_stage(tmp_path, source, checks=checks, speakers=[speaker]) as stage:
        turn = await stage.start(moderation="block", speech=SpeechSpec())
        events = await stage.follow(turn)
        with anyio.fail_after(WAIT_S):
            await turn.ended.wait()

    assert events[-1].data["code"] == "content_blocked"
    spoken = [event.data["text"] for event in events if event.name == "sentence.completed"]
    assert set(spoken) <= {"Fine so far.", "All well."}


class Broken(MarkModerator):
    """Has a bug."""

    async def check(self, texts: Sequence[str]) -> Sequence[Verdict]:
        raise ZeroDivisionError(str(len(texts)))


async def test_under_flag_a_bug_in_a_check_takes_nothing_away(tmp_path: Path) -> None:
    source = ScriptedTokenSource(["One. Two.", *[""] * 50, " Three.", STOP])
    async with on_stage(tmp_path, source, checks=checks_of(Broken())) as stage:
        events = await stage.ended(await stage.start(moderation="flag"))

    assert events[-1].name == "turn.completed"
    assert events[-1].data["text"] == "One. Two. Three."


async def test_a_blocked_answer_is_charged_as_written_and_is_no_failure_of_the_service(
    tmp_path: Path,
) -> None:
    metrics, written = TurnMetrics(), f"Fine. This is BAD{' or so' * 200}."
    source = ScriptedTokenSource([written, STOP])
    checks = checks_of(MarkModerator())
    async with on_stage(tmp_path, source, checks=checks, metrics=metrics) as stage:
        events = await stage.ended(await stage.start(moderation="block"))
    figures = metrics.exposition()[0].decode()

    assert (events[-1].data["code"], events[-1].data["text"]) == ("content_blocked", "Fine.")
    assert events[-1].data["usage"]["output_tokens"] == -(-len(written) // 4)
    assert 'chat_turns_total{arm="on",outcome="cancelled"} 1.0' in figures
    assert 'chat_source_errors_total{code="content_blocked"} 1.0' in figures


async def test_a_bug_in_a_check_lets_nothing_through(tmp_path: Path) -> None:
    source = StallingTokenSource(["One. Two."])
    async with on_stage(tmp_path, source, checks=checks_of(Broken())) as stage:
        events = await stage.ended(await stage.start(moderation="block"))

    assert (events[-1].data["code"], events[-1].data["text"]) == ("internal_error", "")


async def until_counted(metrics: TurnMetrics, labels: str, number: int) -> None:
    """Wait until so many verdicts of a kind were counted."""
    line = f"chat_moderation_verdicts_total{{{labels}}} {float(number)}"
    with anyio.fail_after(WAIT_S):
        while line not in metrics.exposition()[0].decode():  # noqa: ASYNC110  # a figure, no event
            await anyio.sleep(0.005)
