"""The checks of a process: in time, bounded, remembered, counted, and never with content."""

from collections.abc import Sequence

import anyio
import pytest
from structlog.testing import capture_logs

from metrics.turns import TurnMetrics
from resilience.breaker import Breaker, BreakerState
from streaming.errors import ModerationUnavailableError
from streaming.moderation.base import BATCH, CLEAN, MAX_TEXT_CHARS, Verdict
from streaming.moderation.checks import Asker
from streaming.moderation.guarded import ModeratorLimits
from tests.streaming.moderation.moderators import (
    BAD,
    MarkModerator,
    checks_of,
    guarded,
)
from tests.support.virtual_time import run_in_virtual_time

BLOCK = Asker("turn_1", "block")
FLAG = Asker("turn_1", "flag")


async def test_what_was_judged_is_not_asked_again() -> None:
    moderator = MarkModerator()
    guard = guarded(moderator, ModeratorLimits(kept=2))

    first = await guard.check(["a", "BAD", "a"])
    again = await guard.check(["BAD", "a"])
    assert (first, again) == ([CLEAN, BAD, CLEAN], [BAD, CLEAN])
    assert moderator.asked == [["a", "BAD"]]

    await guard.check(["c"])  # the least recently asked goes
    await guard.check(["a", "BAD"])
    assert moderator.asked[1:] == [["c"], ["BAD"]]


async def test_many_texts_go_in_small_batches() -> None:
    moderator = MarkModerator()

    found = await guarded(moderator).check([str(n) for n in range(BATCH * 2 + 1)])

    assert found == [CLEAN] * (BATCH * 2 + 1)
    assert [len(texts) for texts in moderator.asked] == [BATCH, BATCH, 1]


def test_a_check_ends_in_time_also_where_it_waits_for_a_place() -> None:
    async def main() -> None:
        moderator = MarkModerator()
        moderator.gate = anyio.Event()
        breaker = Breaker("x", failures=3, clock=anyio.current_time)
        guard = guarded(moderator, ModeratorLimits(timeout_s=2, parallel=2), breaker=breaker)
        ended_at: list[float] = []

        async def check(text: str) -> None:
            with pytest.raises(ModerationUnavailableError) as raised:
                await guard.check([text])
            assert raised.value.reason == "timeout"
            ended_at.append(anyio.current_time())

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(check, str(number))

        assert ended_at == [2.0] * 10
        assert moderator.most_at_once == 2
        assert breaker.state is BreakerState.CLOSED  # two have failed, eight were never asked

    run_in_virtual_time(main)


def test_a_moderator_that_keeps_failing_is_left_alone_and_then_tried_again() -> None:
    async def main() -> None:
        moderator = MarkModerator()
        moderator.is_down = True
        breaker = Breaker("x", failures=3, open_s=5, clock=anyio.current_time)
        guard = guarded(moderator, breaker=breaker)

        async def reason(text: str) -> str:
            with pytest.raises(ModerationUnavailableError) as raised:
                await guard.check([text])
            return raised.value.reason

        assert [await reason(str(n)) for n in range(5)] == ["unreachable"] * 3 + ["open"] * 2
        moderator.is_down = False
        await anyio.sleep(5)
        assert await guard.check(["fine"]) == [CLEAN]
        assert breaker.state is BreakerState.CLOSED

    run_in_virtual_time(main)


async def test_a_check_that_is_left_frees_its_place() -> None:
    moderator = MarkModerator()
    moderator.gate = anyio.Event()
    guard = guarded(moderator, ModeratorLimits(parallel=1, timeout_s=30))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guard.check, ["left"])
        await moderator.at_gate.wait()
        tasks.cancel_scope.cancel()
    moderator.gate = None

    with anyio.fail_after(5):
        assert await guard.check(["fine"]) == [CLEAN]


async def test_each_moderator_is_asked_of_what_those_before_it_let_pass() -> None:
    first, second = MarkModerator("ONE"), MarkModerator("TWO")

    found = await checks_of(first, second).judge(BLOCK, "input", ["ONE", "TWO", "ONE TWO", "no"])

    assert [verdict is not None and verdict.is_flagged for verdict in found] == [
        True, True, True, False,
    ]  # fmt: skip
    assert second.asked == [["TWO", "no"]]


async def test_what_one_flags_is_flagged_also_where_another_is_down() -> None:
    first, second = MarkModerator(), MarkModerator()
    second.is_down = True

    found = await checks_of(first, second).judge(BLOCK, "input", ["BAD", "fine"])

    assert found == [BAD, None]


@pytest.mark.parametrize("place", [0, MAX_TEXT_CHARS - 2, MAX_TEXT_CHARS * 2 - 300, 19_990])
async def test_a_long_text_is_judged_everywhere_also_where_it_is_cut(place: int) -> None:
    moderator = MarkModerator()
    text = "x" * 20_000
    text = f"{text[:place]}BAD{text[place:]}"

    assert await checks_of(moderator).judge(BLOCK, "input", [text, "fine"]) == [BAD, CLEAN]

    pieces = [piece for texts in moderator.asked for piece in texts]
    assert max(len(piece) for piece in pieces) == MAX_TEXT_CHARS


async def test_of_blanks_nobody_is_asked() -> None:
    moderator = MarkModerator()

    assert await checks_of(moderator).judge(BLOCK, "input", ["", " \n", "\u3000"]) == [CLEAN] * 3
    assert moderator.asked == []


async def test_where_nobody_judges_nobody_can_say() -> None:
    checks = checks_of()

    assert await checks.judge(BLOCK, "input", ["fine"]) == [None]
    assert not checks.can_judge


@pytest.mark.parametrize(("when_down", "passes"), [("refuse", False), ("allow", True)])
async def test_what_nobody_can_judge_passes_only_where_the_operator_allows_it(
    when_down: str, *, passes: bool
) -> None:
    checks = checks_of(when_down="allow" if when_down == "allow" else "refuse")

    assert checks.may_pass(None) is passes
    assert checks.may_pass(CLEAN)
    assert not checks.may_pass(BAD)


async def test_verdicts_are_counted_and_logged_without_a_word_of_the_text() -> None:
    metrics = TurnMetrics()
    moderator = MarkModerator("canary")
    checks = checks_of(moderator, metrics=metrics)

    with capture_logs() as logs:
        await checks.judge(BLOCK, "input", ["a canary", "fine"])
        await checks.judge(FLAG, "output", ["a canary bird", "DOWN canary"])

    told = [(log["event"], log.get("stage"), log.get("verdict"), log.get("reason")) for log in logs]
    assert told == [
        ("moderation.judged", "input", "blocked", None),
        ("moderation.unavailable", None, None, "unreachable"),
    ]
    assert logs[0]["categories"] == ["bad"]
    assert "canary" not in repr(logs)
    text = metrics.exposition()[0].decode()
    assert 'chat_moderation_verdicts_total{stage="input",verdict="blocked"} 1.0' in text
    assert 'chat_moderation_verdicts_total{stage="input",verdict="passed"} 1.0' in text
    assert 'chat_moderation_verdicts_total{stage="output",verdict="unavailable"} 2.0' in text
    assert "canary" not in text


async def test_the_pieces_of_a_text_come_to_all_their_categories_and_the_best_score() -> None:
    class Scores(MarkModerator):
        async def check(self, texts: Sequence[str]) -> Sequence[Verdict]:
            return [Verdict((f"c{n}",), n / 10) if n else CLEAN for n, _ in enumerate(texts)]

    (found,) = await checks_of(Scores()).judge(
        FLAG, "output", ["".join(f"{n:05}" for n in range(2_000))]
    )

    assert found == Verdict(("c1", "c2"), 0.2)
