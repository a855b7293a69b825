"""Who answers, and who goes on where one fails: the chain, without a turn."""

from contextlib import aclosing

import anyio
import pytest
from anyio.lowlevel import checkpoint

from metrics.turns import TurnMetrics
from resilience.breaker import BreakerState
from resilience.budget import RetryBudget
from streaming.errors import (
    SourceError,
    SourceFilteredError,
    SourceRateLimitedError,
    SourceRefusedError,
    SourceTimeoutError,
    SourceTruncatedError,
    SourceUnavailableError,
)
from streaming.llm.chain import GuardedSource
from streaming.llm.choice import Failure
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
    opened,
    said,
    series,
    well,
)
from tests.support.sources import (
    STOP,
    ScriptedTokenSource,
    a_chain,
)


async def test_the_first_provider_is_asked_for_the_chatbots_model_others_for_their_own() -> None:
    sources = [well("one"), well("two")]
    last = well("three")
    chain = a_chain(*sources, stand_in=last)

    first = chain.first()
    second = after(chain, (first, DOWN))
    assert second is not None
    third = after(chain, (first, DOWN), (second, DOWN))
    assert third is not None

    assert [await said(each) for each in (first, second, third)] == ["one", "two", "three"]
    asked = [source.asked[0].model for source in (*sources, last)]
    assert asked == ["the-chatbots-own", "scripted", "scripted"]
    assert chain.default_model == "scripted"


@pytest.mark.parametrize(
    "error",
    [DOWN, CUT, SourceRefusedError("401"), SourceRateLimitedError("429"),
     SourceTimeoutError("first_token", 1)],
)  # fmt: skip
def test_before_any_text_each_is_asked_once(error: SourceError) -> None:
    chain = a_chain(well(), well(), stand_in=well())
    asked: list[tuple[GuardedSource, SourceError]] = []
    source: GuardedSource | None = chain.first()
    while source is not None:
        asked.append((source, error))
        source = after(chain, *asked)

    assert [each.name for each, _ in asked] == ["primary", "fallback", "offline"]


@pytest.mark.parametrize("has_text", [True, False])
def test_what_a_filter_has_stopped_is_asked_of_nobody(has_text: bool) -> None:
    chain = a_chain(well(), well(), stand_in=well())

    assert after(chain, (chain.first(), SourceFilteredError("no")), has_text=has_text) is None


def test_a_source_alone_is_not_asked_again_before_its_text() -> None:
    chain = a_chain(well())

    assert after(chain, (chain.first(), DOWN)) is None


def test_while_a_breaker_is_open_the_next_source_is_asked_at_once() -> None:
    clock = Clock()
    chain = a_chain(well(), well(), breakers=[opened(clock)])

    assert chain.first().name == "fallback"


def test_who_is_left_alone_is_passed_over_also_after_a_failure() -> None:
    clock = Clock()
    breakers = [a_breaker(clock), opened(clock)]
    chain = a_chain(well(), well(), stand_in=well(), breakers=breakers)
    primary = chain.first()

    stand_in = after(chain, (primary, DOWN))
    assert stand_in is not None
    assert stand_in.name == "offline"
    assert after(chain, (primary, SourceRefusedError("no")), has_text=True) is None


def test_where_all_are_left_alone_the_stand_in_is_asked() -> None:
    clock = Clock()
    breakers = [opened(clock), opened(clock)]

    assert a_chain(well(), well(), stand_in=well(), breakers=breakers).first().name == "offline"
    assert a_chain(well(), well(), breakers=breakers).first().name == "primary"


async def test_a_source_that_is_left_alone_is_not_asked_and_says_so() -> None:
    source = well("Hi")
    chain = a_chain(source, breakers=[opened(Clock())])

    error = await failed(chain.first())

    assert isinstance(error, SourceUnavailableError)
    assert error.retry_after_s is not None
    assert 0 < error.retry_after_s <= OPEN_S
    assert source.opened == 0
    assert after(chain, (chain.first(), error)) is None


async def test_half_open_one_turn_probes_and_the_others_go_elsewhere() -> None:
    clock, may_begin = Clock(), anyio.Event()
    primary = ScriptedTokenSource([may_begin, "Hi", STOP])
    breaker = opened(clock)
    chain = a_chain(primary, well("else"), breakers=[breaker])
    clock.now += OPEN_S

    probing = chain.first()
    assert probing.name == "primary"
    async with anyio.create_task_group() as tasks, aclosing(probing.stream(PROMPT)) as items:

        async def meanwhile() -> None:
            while primary.opened == 0:  # nobody tells
                await checkpoint()
            assert chain.first().name == "fallback"
            may_begin.set()

        tasks.start_soon(meanwhile)
        with anyio.fail_after(5):
            assert await anext(items) == "Hi"
            assert chain.first().name == "primary"  # its first token is enough
    assert breaker.state is BreakerState.CLOSED


def test_an_answer_is_gone_on_with_by_who_began_it_then_by_another() -> None:
    chain = a_chain(well(), well())
    primary = chain.first()

    again = after(chain, (primary, CUT), has_text=True)
    assert again is primary
    other = after(chain, (primary, CUT), (primary, CUT), has_text=True)

    assert other is not None
    assert other.name == "fallback"


def test_a_source_alone_goes_on_as_often_as_may_be() -> None:
    chain = a_chain(well(), max_continuations=2)
    broken = (chain.first(), CUT)

    assert after(chain, broken, has_text=True) is broken[0]
    assert after(chain, broken, broken, has_text=True) is broken[0]
    assert after(chain, broken, broken, broken, has_text=True) is None


def test_failures_before_the_text_are_no_continuations() -> None:
    chain = a_chain(well(), well(), max_continuations=1)
    primary = chain.first()
    fallback = after(chain, (primary, DOWN))
    assert fallback is not None
    told = [Failure(primary, DOWN, False), Failure(fallback, CUT, True)]

    assert chain.next(told, has_text=True) is fallback
    assert chain.next([*told, Failure(fallback, CUT, True)], has_text=True) is None


def test_where_no_continuation_is_allowed_the_failure_stands() -> None:
    chain = a_chain(well(), well(), max_continuations=0)

    assert after(chain, (chain.first(), CUT), has_text=True) is None


def test_who_refuses_to_go_on_is_replaced_by_another() -> None:
    chain = a_chain(well(), well())
    refusal = SourceRefusedError("no assistant message at the end")

    other = after(chain, (chain.first(), refusal), has_text=True)

    assert other is not None
    assert other.name == "fallback"
    alone = a_chain(well())
    assert after(alone, (alone.first(), refusal), has_text=True) is None


def test_the_stand_in_goes_on_with_nobodys_answer() -> None:
    chain = a_chain(well(), stand_in=well(), max_continuations=1)
    primary = chain.first()

    assert after(chain, (primary, SourceRefusedError("no")), has_text=True) is None


async def test_a_provider_that_dies_under_many_answers_is_not_asked_to_go_on_with_the_rest() -> (
    None
):
    clock, metrics = Clock(), TurnMetrics()
    chain = a_chain(
        ScriptedTokenSource(["Half", CUT]), well(), breakers=[a_breaker(clock)], metrics=metrics
    )
    primary = chain.first()
    streams = [primary.stream(PROMPT) for _ in range(5)]
    for stream in streams:
        assert await anext(stream) == "Half"  # all have begun before the first one breaks

    went_on: list[str] = []
    for stream in streams:
        with pytest.raises(SourceTruncatedError):
            await anext(stream)
        source = after(chain, (primary, CUT), has_text=True)
        assert source is not None
        went_on.append(source.name)

    assert went_on == ["primary"] * (FAILURES - 1) + ["fallback"] * 3
    counted = series(metrics, "chat_turns_continued_total")
    assert counted == {("upstream",): 2, ("fallback",): 3, ("worker_lost",): 0}


def test_going_on_costs_budget_and_another_source_does_not() -> None:
    refused: list[bool] = []
    budget = RetryBudget(floor=1, share=0, on_refused=lambda: refused.append(True))
    chain = a_chain(well(), well(), budget=budget)
    primary = chain.first()

    names = [after(chain, (primary, CUT), has_text=True) for _ in range(3)]

    assert [each and each.name for each in names] == ["primary", "fallback", "fallback"]
    assert after(chain, (primary, DOWN)) is not None
    assert refused == [True, True]


def test_without_budget_and_others_the_failure_stands() -> None:
    chain = a_chain(well(), budget=RetryBudget(floor=0, share=0))

    assert after(chain, (chain.first(), CUT), has_text=True) is None


def test_nothing_is_taken_out_of_the_budget_where_nothing_is_asked() -> None:
    budget = RetryBudget(floor=1, share=0)
    chain = a_chain(well(), budget=budget, max_continuations=0)
    alone = a_chain(well(), budget=budget, breakers=[opened(Clock())])

    assert after(chain, (chain.first(), CUT), has_text=True) is None
    assert after(alone, (alone.first(), CUT), has_text=True) is None
    assert budget.spend()


def test_every_turn_that_begins_adds_its_share() -> None:
    chain = a_chain(well(), budget=RetryBudget(floor=0, share=0.5))
    primary = chain.first()
    assert after(chain, (primary, CUT), has_text=True) is None

    chain.first()

    assert after(chain, (primary, CUT), has_text=True) is primary
