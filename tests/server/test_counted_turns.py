"""What the guarded rollout is told of turns that ended."""

import pytest

from flags.rollout.tally import Tally
from server.services.rollouts import CountedTurns
from streaming.llm.base import Prompt
from streaming.operators import TurnResult
from streaming.turn import TurnSpec

SPEC = TurnSpec(
    turn_id="turn_1",
    owner_id="guest_1",
    conversation_id="conv_1",
    message_id="msg_1",
    chatbot_id="default",
    model="offline",
    prompt=Prompt(messages=(), model="offline"),
    streaming=True,
    max_response_chars=100,
    received_at=0.0,
    flag_epoch=1,
)


@pytest.mark.parametrize(
    ("code", "cancelled", "failures"),
    [("content_blocked", 1, 0), ("moderation_unavailable", 0, 1), ("upstream_error", 0, 1)],
)
def test_an_answer_that_may_not_be_said_speaks_neither_for_an_arm_nor_against_it(
    code: str, cancelled: int, failures: int
) -> None:
    tally = Tally("worker")
    turns = CountedTurns(tally)
    turns.began(SPEC)

    turns.ended(SPEC, TurnResult("failed", 1.0, 0.1, is_amiss=False, error_code=code))
    (counted,) = tally.take().counted.values()

    assert (counted.plain.cancelled, len(counted.failures)) == (cancelled, failures)
