"""What a source's breaker hears of its answers, what is told of it, and the stand-in."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import anyio
import pytest
from anyio.lowlevel import checkpoint

from metrics.turns import TurnMetrics
from resilience.breaker import BreakerState
from streaming.errors import (
    SourceError,
    SourceFilteredError,
    SourceRateLimitedError,
    SourceRefusedError,
    SourceTimeoutError,
    SourceTruncatedError,
)
from streaming.llm.base import Finish, Prompt
from streaming.llm.chain import NOTICE, StandIn
from tests.streaming.llm.chains import (
    CUT,
    DOWN,
    FAILURES,
    OPEN_S,
    PROMPT,
    Clock,
    a_breaker,
    after,
    failed,
    guarded,
    opened,
    said,
    series,
    well,
)
from tests.support.sources import (
    STOP,
    FailingTokenSource,
    ScriptedTokenSource,
    StallingTokenSource,
    Step,
    a_chain,
)


@pytest.mark.parametrize(
    "script",
    [[DOWN], [SourceRateLimitedError("429")], [CUT], [SourceTimeoutError("connect", 1)], []],
)
async def test_an_answer_that_does_not_begin_counts_as_a_failure(
    script: Sequence[SourceError],
) -> None:
    breaker = a_breaker(Clock())
    source = guarded(ScriptedTokenSource(script), breaker)
    for _ in range(FAILURES):
        assert breaker.state is BreakerState.CLOSED
        await failed(source)

    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("error", [SourceRefusedError("401"), SourceFilteredError("no")])
@pytest.mark.parametrize("pieces", [0, 2])
async def test_a_refusal_says_nothing_of_the_source(error: SourceError, pieces: int) -> None:
    breaker = a_breaker(Clock())
    source = guarded(FailingTokenSource(after=pieces, error=error), breaker)
    for _ in range(3 * FAILURES):
        assert await failed(source) is error

    assert breaker.snapshot().failures == 0


async def test_an_answer_that_begins_clears_the_failures_before_it() -> None:
    breaker = a_breaker(Clock())
    for _ in range(FAILURES - 1):
        await failed(guarded(ScriptedTokenSource([DOWN]), breaker))
    assert breaker.snapshot().failures == FAILURES - 1

    assert await said(guarded(well("", "Hi"), breaker)) == "Hi"

    assert breaker.snapshot().failures == 0


async def test_many_answers_that_break_off_open_nothing_where_nobody_else_could_go_on() -> None:
    alone, one_of_two = a_breaker(Clock()), a_breaker(Clock())
    for breaker in (alone, one_of_two):
        source = guarded(ScriptedTokenSource(["Half", CUT]), breaker, is_alone=breaker is alone)
        streams = [source.stream(PROMPT) for _ in range(FAILURES)]
        for stream in streams:
            assert await anext(stream) == "Half"
        for stream in streams:
            with pytest.raises(SourceTruncatedError):
                await anext(stream)

    assert alone.state is BreakerState.CLOSED
    assert one_of_two.state is BreakerState.OPEN


async def test_answers_that_do_not_begin_count_also_where_nobody_else_is() -> None:
    breaker = a_breaker(Clock())
    for _ in range(FAILURES):
        await failed(guarded(ScriptedTokenSource([DOWN]), breaker, is_alone=True))

    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("pieces", [[], ["Hi"]])
async def test_leaving_early_tells_nothing_and_closes_the_source(pieces: list[str]) -> None:
    breaker, metrics = a_breaker(Clock()), TurnMetrics()
    stalling = StallingTokenSource(pieces)
    source = guarded(stalling, breaker, metrics)

    async def leave(items: AsyncGenerator[str | Finish, None]) -> None:
        async with aclosing(items):
            async for _ in items:
                pass

    for _ in range(2 * FAILURES):
        stalling.stalled = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave, source.stream(PROMPT))
            await stalling.until_stalled()
            tasks.cancel_scope.cancel()

    assert breaker.snapshot().failures == 0
    assert breaker.state is BreakerState.CLOSED
    assert stalling.closed == 2 * FAILURES
    assert series(metrics, "chat_source_calls_total") == {("left", "primary"): 2 * FAILURES}


async def test_whoever_closes_an_answer_finds_its_source_closed() -> None:
    source = well("Hi", "there")
    async with aclosing(guarded(source, a_breaker(Clock())).stream(PROMPT)) as items:
        await anext(items)

    assert source.closed == 1  # and not only once the loop comes to it


async def test_a_probe_that_is_left_early_makes_room_for_the_next() -> None:
    clock, stalling = Clock(), StallingTokenSource()
    breaker = opened(clock)
    source = guarded(stalling, breaker)
    clock.now += OPEN_S

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(failed, source)
        await stalling.until_stalled()
        assert not source.serves
        tasks.cancel_scope.cancel()

    assert source.serves
    assert breaker.state is BreakerState.HALF_OPEN


@pytest.mark.parametrize("phase", ["first_token", "inter_token"])
@pytest.mark.parametrize("has_text", [True, False])
def test_silence_that_others_noticed_counts_once(phase: str, has_text: bool) -> None:
    breaker = a_breaker(Clock())
    chain = a_chain(well(), well(), breakers=[breaker])
    error = SourceTimeoutError("first_token" if phase == "first_token" else "inter_token", 1)
    for count in range(1, FAILURES + 1):
        after(chain, (chain.first(), error), has_text=has_text)
        assert breaker.snapshot().failures == count

    assert chain.first().name == "fallback"


async def test_silence_that_the_source_noticed_itself_counts_once() -> None:
    breaker = a_breaker(Clock())
    chain = a_chain(
        ScriptedTokenSource([SourceTimeoutError("first_token", 1)]), well(), breakers=[breaker]
    )

    after(chain, (chain.first(), await failed(chain.first())))

    assert breaker.snapshot().failures == 1


async def test_a_silent_probe_opens_the_breaker_again_and_late_silence_does_not() -> None:
    clock = Clock()
    breaker = a_breaker(clock)
    chain = a_chain(StallingTokenSource(), well(), breakers=[breaker])
    primary = chain.first()
    for _ in range(FAILURES):
        with breaker.attempt() as attempt:
            attempt.failed()
    clock.now += OPEN_S
    silence = SourceTimeoutError("first_token", 1)

    after(chain, (primary, silence))  # of an answer that began before: no probe was made
    assert (breaker.state, breaker.snapshot().opened) == (BreakerState.OPEN, 1)
    with anyio.move_on_after(0.01):
        await said(primary)
    assert breaker.state is BreakerState.HALF_OPEN
    after(chain, (primary, silence))

    assert (breaker.state, breaker.snapshot().opened) == (BreakerState.OPEN, 2)


async def test_an_old_answer_that_breaks_off_is_no_probe() -> None:
    clock = Clock()
    breaker = a_breaker(clock)
    source = guarded(ScriptedTokenSource(["Half", CUT]), breaker)
    stream = source.stream(PROMPT)
    await anext(stream)
    for _ in range(FAILURES):
        with breaker.attempt() as attempt:
            attempt.failed()
    clock.now += OPEN_S

    with pytest.raises(SourceTruncatedError):
        await anext(stream)

    assert (breaker.state, breaker.snapshot().opened) == (BreakerState.OPEN, 1)


async def test_late_silence_while_another_answer_probes_is_no_probe_either() -> None:
    clock, may_begin = Clock(), anyio.Event()
    breaker = opened(clock)
    chain = a_chain(ScriptedTokenSource([may_begin, "Hi", STOP]), well(), breakers=[breaker])
    clock.now += OPEN_S
    primary = chain.first()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(said, primary)
        with anyio.fail_after(5):
            while primary.serves:  # nobody tells
                await checkpoint()
        after(chain, (primary, SourceTimeoutError("inter_token", 1)), has_text=True)
        assert breaker.state is BreakerState.HALF_OPEN
        may_begin.set()

    assert breaker.state is BreakerState.CLOSED


async def test_health_forgets_a_failure_once_it_works_again() -> None:
    script: list[Step] = [DOWN]
    source = guarded(ScriptedTokenSource(script), a_breaker(Clock()))
    await failed(source)
    assert source.health().error_code == "upstream_unavailable"
    script[:] = ["Hi", STOP]

    await said(source)

    assert source.health().error_code is None


async def test_health_tells_the_last_failure_of_each() -> None:
    chain = a_chain(ScriptedTokenSource([DOWN]), well("Hi"))
    await failed(chain.first())
    second = after(chain, (chain.first(), DOWN))
    assert second is not None
    await said(second)

    primary, fallback = chain.health()

    assert (primary.name, primary.kind, primary.error_code) == (
        "primary",
        "openai",
        "upstream_unavailable",
    )
    assert (fallback.name, fallback.error_code) == ("fallback", None)
    assert fallback.breaker.state is BreakerState.CLOSED


async def test_every_answer_is_counted_by_how_it_ended() -> None:
    metrics = TurnMetrics()
    chain = a_chain(ScriptedTokenSource(["Half", CUT]), well("Hi"), metrics=metrics)
    await failed(chain.first())
    other = after(chain, (chain.first(), DOWN))
    assert other is not None
    async with aclosing(other.stream(PROMPT)) as items:
        async for _ in items:
            pass  # up to the finish and no further, as a turn does

    assert series(metrics, "chat_source_calls_total") == {
        ("upstream_truncated", "primary"): 1,
        ("finished", "fallback"): 1,
    }


async def test_closing_closes_all_also_after_one_that_fails_to() -> None:
    class Clinging(ScriptedTokenSource):
        async def close(self) -> None:
            self.closed += 1
            if self.closed == 1:
                raise RuntimeError("stuck")

    sources = [Clinging([]), Clinging([]), Clinging([])]
    chain = a_chain(sources[0], sources[1], stand_in=StandIn(sources[2]))

    with pytest.raises(RuntimeError):
        await chain.close()
    await chain.close()

    assert [source.closed for source in sources] == [2, 2, 2]


@pytest.mark.parametrize(
    ("prefix", "text", "own"),
    [
        ("", f"{NOTICE}\n\nAn answer.", ""),
        ("  \n", f"{NOTICE}\n\nAn answer.", ""),
        ("The sky is", f"\n\n{NOTICE}\n\nAn answer.", ""),
        (NOTICE, "\n\nAn answer.", ""),
        (f"The sky is\n\n{NOTICE}\n\nAn ", "An answer.", "An"),
        (f"{NOTICE}\n\nAn", "An answer.", "An"),
    ],
)
async def test_a_stand_in_says_that_it_is_one_once_and_first(
    prefix: str, text: str, own: str
) -> None:
    source = well("An ", "answer.")
    stand_in = StandIn(source)

    assert await said(stand_in, Prompt(PROMPT.messages, "offline", prefix=prefix)) == text

    assert source.asked[0].prefix == own
    assert NOTICE.startswith("This is the offline model")
    assert NOTICE.count(".") == 1


async def test_leaving_a_stand_in_closes_its_source() -> None:
    source = well("An ", "answer.")
    stream = StandIn(source).stream(PROMPT)
    async with aclosing(stream) as items:
        for _ in range(3):
            await anext(items)

    assert source.closed == 1
