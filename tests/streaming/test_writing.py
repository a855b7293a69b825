"""How a turn's text is written where models break off: by one after another, as one text."""

from collections.abc import AsyncGenerator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from streaming.continuing import last_words
from streaming.errors import SourceFilteredError, SourceTruncatedError, SourceUnavailableError
from streaming.events import CancelledBy
from streaming.limit import ResponseLimit
from streaming.llm.base import Finish, Prompt, TokenSource
from streaming.llm.choice import Failure, SourceChoice
from streaming.turn import Cancelled, Deadlines
from tests.streaming.harness import Stage, Told, deltas, on_stage
from tests.support.sources import (
    STOP,
    ScriptedTokenSource,
    StallingTokenSource,
    a_chain,
)

ANSWER = (
    "Readers that come back\nname the last event they saw. The server replays what followed,"
    " exactly:\n\n- nothing twice,\n- nothing lost. 🦉 Fertig."
)
PIECES = [ANSWER[start : start + 9] for start in range(0, len(ANSWER), 9)]
Style = Literal["exact", "words", "again"]
STYLES: tuple[Style, ...] = ("exact", "words", "again")


class GoingOn:
    """Knows the answer, goes on with it from any prefix, and breaks off where it is told to.

    Args:
        breaks: After how many pieces each ask breaks off, in order; the asks behind them do not.
        styles: How each ask that has a prefix goes on; the last one's is kept.
        error: What it breaks off with.
    """

    default_model = "going-on"

    def __init__(
        self,
        breaks: Sequence[int] = (),
        styles: Sequence[Style] = ("exact",),
        *,
        error: Exception | None = None,
    ) -> None:
        self.prefixes: list[str] = []
        self.closed = 0
        self._breaks = breaks
        self._styles = styles
        self._error = error or SourceTruncatedError("cut")

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        ask = len(self.prefixes)
        self.prefixes.append(prompt.prefix)
        style = self._styles[min(ask, len(self._styles) - 1)]
        try:
            text = continued(prompt.prefix, style)
            stop = self._breaks[ask] * 9 if ask < len(self._breaks) else None
            for start in range(0, len(text[:stop]), 9):
                await checkpoint()
                yield text[:stop][start : start + 9]
            if stop is not None:
                raise self._error
            yield STOP
        finally:
            self.closed += 1

    async def close(self) -> None:
        """Has nothing to release."""


class Switched:
    """Another choice for each turn."""

    current: SourceChoice

    @property
    def default_model(self) -> str:
        """The current one's."""
        return self.current.default_model

    def first(self) -> TokenSource:
        """Ask the current one."""
        return self.current.first()

    def next(self, failures: Sequence[Failure], *, has_text: bool) -> TokenSource | None:
        """Ask the current one."""
        return self.current.next(failures, has_text=has_text)

    async def close(self) -> None:
        """Has nothing to release."""


def continued(prefix: str, style: Style) -> str:
    """Return what a model says that is asked to go on with the answer from a prefix."""
    written = prefix.rstrip()
    assert ANSWER.startswith(written), written
    rest = ANSWER[len(written) :]
    match style:
        case "exact":
            return rest
        case "words":
            return (last_words(written) if written else "") + rest
        case "again":
            return ANSWER


def shown(events: Sequence[Told]) -> str:
    """Return what a reader shows: the last reset's text and the deltas behind it."""
    text = ""
    for event in events:
        if event.name == "turn.reset":
            text = event.data["text"]
        elif event.name == "text.delta":
            text += event.data["text"]
    return text


def end_of(events: Sequence[Told]) -> dict[str, Any]:
    return {"name": events[-1].name, **events[-1].data}


async def completed(stage: Stage, *, streaming: bool = True) -> list[Told]:
    """Run a turn that comes to its end, and return what was told of it."""
    events = await stage.ended(await stage.start(streaming=streaming))
    assert events[-1].name == "turn.completed"
    return events


@pytest.mark.parametrize("styles", list(product(STYLES, STYLES)), ids="-".join)
async def test_wherever_two_models_break_off_the_text_is_the_whole_answer(
    tmp_path: Path, styles: tuple[Style, Style]
) -> None:
    sources = Switched()
    async with on_stage(tmp_path, ScriptedTokenSource([]), sources=sources) as stage:
        for first, second in product(range(0, len(PIECES) + 1, 2), range(1, len(PIECES), 2)):
            primary = GoingOn([first, second], ["exact", styles[0]])
            fallback = GoingOn([second], [styles[1]])
            sources.current = a_chain(primary, fallback, max_continuations=3)

            events = await completed(stage, streaming=(first + second) % 4 == 1)

            assert events[-1].data["text"] == ANSWER, (first, second)
            assert primary.closed == len(primary.prefixes) == (2 if first else 1)
            assert fallback.closed == len(fallback.prefixes) == 2


async def test_a_model_that_never_began_leaves_no_trace_in_the_answer(tmp_path: Path) -> None:
    primary = GoingOn([0], error=SourceUnavailableError("down"))
    fallback = GoingOn()
    sources = a_chain(primary, fallback)
    async with on_stage(tmp_path, primary, sources=sources) as stage:
        events = await completed(stage)

    assert events[-1].data["text"] == ANSWER
    assert events[-1].data["usage"] == {"input_tokens": 3, "output_tokens": 5, "source": "exact"}
    assert (primary.prefixes, fallback.prefixes) == ([""], [""])


async def test_the_usage_of_an_answer_by_several_is_estimated(tmp_path: Path) -> None:
    primary = GoingOn([3])
    async with on_stage(tmp_path, primary, sources=a_chain(primary)) as stage:
        events = await completed(stage)

    usage = events[-1].data["usage"]
    assert usage["source"] == "estimated"
    assert usage["output_tokens"] == -(-len(ANSWER) // 4)


async def test_who_goes_on_is_given_all_that_was_shown(tmp_path: Path) -> None:
    primary, fallback = GoingOn([4, 2], ["exact"]), GoingOn()
    async with on_stage(tmp_path, primary, sources=a_chain(primary, fallback)) as stage:
        await completed(stage)

    assert primary.prefixes == ["", ANSWER[:36]]
    assert [prefix.rstrip() for prefix in fallback.prefixes] == [ANSWER[:54].rstrip()]


async def test_an_answer_is_gone_on_with_so_often_and_then_fails_with_its_text(
    tmp_path: Path,
) -> None:
    primary = GoingOn([3, 2, 2, 2, 2])
    sources = a_chain(primary, max_continuations=2)
    async with on_stage(tmp_path, primary, sources=sources) as stage:
        events = await stage.ended(await stage.start())

    end = end_of(events)
    assert (end["name"], end["code"]) == ("turn.failed", "upstream_truncated")
    assert end["text"] == deltas(events) == ANSWER[:63]
    assert len(primary.prefixes) == 3


@pytest.mark.parametrize("pieces", range(4))
async def test_what_is_said_again_when_it_breaks_off_is_not_told_twice(
    tmp_path: Path, pieces: int
) -> None:
    primary = GoingOn([3, pieces, pieces], ["again"])
    sources = a_chain(primary, max_continuations=2)
    async with on_stage(tmp_path, primary, sources=sources) as stage:
        events = await stage.ended(await stage.start())

    end = end_of(events)
    assert (end["name"], end["text"]) == ("turn.failed", ANSWER[:27])


async def test_a_model_that_never_began_costs_no_continuation(tmp_path: Path) -> None:
    primary = GoingOn([0])
    sources = a_chain(primary, GoingOn([3]), max_continuations=1)
    async with on_stage(tmp_path, primary, sources=sources) as stage:
        events = await completed(stage)

    assert events[-1].data["text"] == ANSWER


async def test_a_filtered_answer_is_offered_to_nobody_else(tmp_path: Path) -> None:
    primary, fallback = GoingOn([3], error=SourceFilteredError("no")), GoingOn()
    async with on_stage(tmp_path, primary, sources=a_chain(primary, fallback)) as stage:
        events = await stage.ended(await stage.start())

    assert end_of(events)["code"] == "upstream_filtered"
    assert fallback.prefixes == []


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_restarted_answer_is_begun_anew_by_the_next_model(
    tmp_path: Path, streaming: bool
) -> None:
    primary, fallback = GoingOn([5, 3]), GoingOn()
    sources = a_chain(primary, fallback)
    async with on_stage(tmp_path, primary, sources=sources) as stage:
        turn = await stage.start(streaming=streaming, on_break="restart")
        events = await stage.follow(turn)
        await turn.ended.wait()
        record = await stage.record(turn)

    assert record.text == end_of(events)["text"] == ANSWER
    assert (primary.prefixes, fallback.prefixes) == (["", ""], [""])
    assert end_of(events)["usage"]["source"] == "exact"
    if streaming:
        assert shown(events) == ANSWER
        resets = [event for event in events if event.name == "turn.reset"]
        assert [reset.data["text"] for reset in resets] == ["", ""]
        assert [event.cursor.seq for event in events] == list(range(1, len(events) + 1))


async def test_what_is_withdrawn_does_not_count_towards_the_cap(tmp_path: Path) -> None:
    primary = GoingOn([len(PIECES) - 1])
    sources = a_chain(primary, GoingOn())
    async with on_stage(tmp_path, primary, sources=sources) as stage:
        turn = await stage.start(max_chars=len(ANSWER), on_break="restart")
        end = end_of(await stage.follow(turn))

    assert (end["text"], end["finish_reason"]) == (ANSWER, "stop")


async def test_an_interrupted_answer_stays_as_it_is(tmp_path: Path) -> None:
    primary, fallback = GoingOn([5]), GoingOn()
    async with on_stage(tmp_path, primary, sources=a_chain(primary, fallback)) as stage:
        events = await stage.ended(await stage.start(on_break="interrupt"))

    end = end_of(events)
    assert (end["name"], end["code"]) == ("turn.failed", "upstream_truncated")
    assert end["text"] == deltas(events) == ANSWER[:45]
    assert (len(primary.prefixes), fallback.prefixes) == (1, [])


async def test_an_answer_that_never_began_is_asked_of_others_whatever_the_policy(
    tmp_path: Path,
) -> None:
    primary = GoingOn([0])
    async with on_stage(tmp_path, primary, sources=a_chain(primary, GoingOn())) as stage:
        events = await stage.ended(await stage.start(on_break="interrupt"))

    assert end_of(events)["text"] == ANSWER


@pytest.mark.parametrize("max_chars", [20, 45, 46, 60, 97, 120, len(ANSWER), len(ANSWER) + 1])
async def test_the_cap_cuts_where_it_would_cut_a_whole_answer(
    tmp_path: Path, max_chars: int
) -> None:
    limit = ResponseLimit(max_chars)
    whole = "".join(limit.push(piece) for piece in PIECES if not limit.is_full) + limit.flush()
    sources = Switched()
    async with on_stage(tmp_path, ScriptedTokenSource([]), sources=sources) as stage:
        for first in range(1, len(PIECES), 2):
            primary, fallback = GoingOn([first, 2], ["exact", "words"]), GoingOn(styles=["again"])
            sources.current = a_chain(primary, fallback)

            events = await stage.ended(await stage.start(max_chars=max_chars))

            end = end_of(events)
            assert end["text"] == deltas(events) == whole, first
            assert end["finish_reason"] == ("length" if len(whole) < len(ANSWER) else "stop")
            assert fallback.closed == len(fallback.prefixes)


@pytest.mark.parametrize("by", ["user", "operator"])
async def test_a_turn_that_is_stopped_while_another_goes_on_keeps_what_was_shown(
    tmp_path: Path, by: CancelledBy
) -> None:
    primary = GoingOn([3, 0])
    fallback = StallingTokenSource([ANSWER[27:40]])
    async with on_stage(tmp_path, primary, sources=a_chain(primary, fallback)) as stage:
        turn = await stage.start()
        await fallback.until_stalled()
        turn.stop(Cancelled(by))
        events = await stage.ended(turn)

    end = end_of(events)
    assert (end["name"], end["by"]) == ("turn.cancelled", by)
    assert end["text"] == deltas(events) == ANSWER[:40]
    assert end["usage"]["source"] == "estimated"
    assert fallback.closed == 1


@pytest.mark.fault(34)
async def test_a_model_that_says_nothing_in_time_is_replaced(tmp_path: Path) -> None:
    silent, fallback = StallingTokenSource(), GoingOn()
    sources = a_chain(silent, fallback)
    deadlines = Deadlines(first_token_s=0.05, inter_token_s=5, turn_s=20)
    async with on_stage(tmp_path, silent, sources=sources, deadlines=deadlines) as stage:
        events = await completed(stage)

    assert events[-1].data["text"] == ANSWER
    assert silent.closed == 1
    assert sources.health()[0].breaker.failures == 1


@pytest.mark.fault(35)
async def test_a_model_that_falls_silent_is_asked_once_more_and_then_replaced(
    tmp_path: Path,
) -> None:
    silent, fallback = StallingTokenSource([ANSWER[:30]]), GoingOn()
    sources = a_chain(silent, fallback)
    deadlines = Deadlines(first_token_s=5, inter_token_s=0.05, turn_s=20)
    async with on_stage(tmp_path, silent, sources=sources, deadlines=deadlines) as stage:
        events = await completed(stage)

    assert events[-1].data["text"] == ANSWER
    assert (silent.opened, silent.closed) == (2, 2)
    assert sources.health()[0].error_code == "upstream_timeout"


async def test_the_whole_answers_deadline_holds_over_all_models(tmp_path: Path) -> None:
    silent, also = StallingTokenSource([ANSWER[:30]]), StallingTokenSource()
    sources = a_chain(silent, also)
    deadlines = Deadlines(first_token_s=5, inter_token_s=0.05, turn_s=0.4)
    async with on_stage(tmp_path, silent, sources=sources, deadlines=deadlines) as stage:
        events = await stage.ended(await stage.start())

    end = end_of(events)
    assert (end["code"], end["text"]) == ("upstream_timeout", ANSWER[:30])
    assert "end of the answer" in end["detail"]
    assert also.closed == also.opened


async def test_a_hundred_turns_whose_model_breaks_off_are_all_whole(tmp_path: Path) -> None:
    primary, fallback = GoingOn([5] * 100, ["exact"]), GoingOn(styles=["words"])
    sources = a_chain(primary, fallback)
    async with on_stage(tmp_path, primary, sources=sources) as stage:
        turns = [await stage.start() for _ in range(100)]
        texts = set[str]()
        with anyio.fail_after(20):
            for turn in turns:
                texts.add(end_of(await stage.ended(turn))["text"])

    assert texts == {ANSWER}
