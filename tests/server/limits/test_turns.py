"""Turns that are admitted: what they hold and cost, whenever they end."""

import pytest
from prometheus_client import CollectorRegistry

from metrics.refusals import RefusalSeries
from server.limits.refusals import Refusals
from server.limits.shared import HeldPlaces, SharedBudgets, Sharing
from server.limits.subjects import Subject
from server.limits.turns import TurnBounds, TurnLimits
from streaming.llm.base import Prompt, PromptMessage
from streaming.operators import TurnResult
from streaming.turn import TurnSpec

GUEST = Subject("guest_1")
SPEC = TurnSpec(
    turn_id="turn_1",
    owner_id="guest_1",
    conversation_id="conv_1",
    message_id="msg_1",
    chatbot_id="default",
    model="offline",
    prompt=Prompt(messages=(PromptMessage("user", "Hi"),), model="offline"),
    streaming=True,
    max_response_chars=3000,
    received_at=0.0,
    counted_for=("guest_1",),
)


def limits() -> tuple[TurnLimits, SharedBudgets]:
    sharing = Sharing(lambda _: None)
    budgets = SharedBudgets(sharing, None)
    refusals = Refusals(RefusalSeries(CollectorRegistry()))
    bounds = TurnBounds(live=2, guest_tokens=10_000)
    return TurnLimits(HeldPlaces(sharing, None), budgets, bounds, refusals=refusals), budgets


def a_result(asked_s: float | None, output_tokens: int) -> TurnResult:
    return TurnResult(
        outcome="completed",
        total_s=1.0,
        ttft_s=0.1,
        is_amiss=False,
        asked_s=asked_s,
        input_tokens=10,
        output_tokens=output_tokens,
    )


async def test_a_turn_that_ends_before_its_request_is_through_costs_what_it_used() -> None:
    turns, budgets = limits()

    async with turns.admission([GUEST], SPEC):
        turns.began(SPEC)
        turns.ended(SPEC, a_result(0.1, 300))
    await budgets.close()

    assert (await turns.spent(GUEST))[0] == 310
    assert await turns.live(GUEST) == 0


async def test_a_turn_that_is_not_begun_costs_nothing_and_frees_its_place() -> None:
    turns, budgets = limits()

    with pytest.raises(ConnectionError):
        async with turns.admission([GUEST], SPEC):
            raise ConnectionError
    await budgets.close()

    assert (await turns.spent(GUEST))[0] == 0
    assert await turns.live(GUEST) == 0


@pytest.mark.parametrize(("written", "spent"), [(300, 310), (0, 0)])
async def test_a_lost_workers_turn_that_is_only_ended_here_costs_what_was_written(
    written: int, spent: int
) -> None:
    turns, budgets = limits()
    async with turns.admission([GUEST], SPEC):
        turns.began(SPEC)

    turns.ended(SPEC, a_result(None, written))
    await budgets.close()

    assert (await turns.spent(GUEST))[0] == spent
