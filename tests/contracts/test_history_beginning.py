"""What every store of the record promises about the beginning of a turn."""

from dataclasses import replace

import anyio
import pytest

from history.base import History
from history.errors import (
    ConversationNotFoundError,
    HistoryError,
    IdempotencyConflictError,
    TurnNotFoundError,
    TurnRunningError,
)
from history.model import NewTurn, TurnRecord, TurnStatus
from tests.history.factories import (
    NOW,
    OWNER,
    a_conversation,
    a_first_turn,
    a_key,
    a_turn,
    an_end,
    later,
)


async def test_a_begun_turn_is_recorded_with_all_that_it_was_given(history: History) -> None:
    new = a_first_turn()

    record, created = await history.turns.begin(new)

    assert created
    assert record == TurnRecord(
        turn_id=new.turn_id,
        owner_id=OWNER,
        conversation_id=new.conversation_id,
        user_message_id=new.user_message_id,
        message_id=new.message_id,
        chatbot_id="default",
        model="offline",
        streaming=True,
        worker_id="worker-1",
        spec=new.spec,
        metadata=new.metadata,
        status=TurnStatus.RUNNING,
        epoch=1,
        last_seq=0,
        text="",
        started_at=NOW,
        heartbeat_at=NOW,
    )
    assert await history.turns.get(OWNER, new.turn_id) == record


async def test_a_begun_turn_stores_the_question_and_takes_two_numbers(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn(text="Why?"))

    conversation = await history.conversations.get(OWNER, record.conversation_id)
    page = await history.messages.list(OWNER, record.conversation_id, limit=10, before=None)
    assert conversation.last_seq == 2
    assert conversation.active_turn_id == record.turn_id
    assert [(message.seq, message.text) for message in page.items] == [(1, "Why?")]


async def test_a_turn_of_a_conversation_that_is_not_there_begins_not(history: History) -> None:
    foreign = await history.conversations.create(a_conversation(owner_id="somebody"))

    for conversation_id in ("c-none", foreign.conversation_id):
        turn = a_turn(conversation_id, idempotency=a_key())
        with pytest.raises(ConversationNotFoundError):
            await history.turns.begin(turn)
        with pytest.raises(TurnNotFoundError):
            await history.turns.get(OWNER, turn.turn_id)

    assert await history.turns.find_running(silent_since=None) == []


async def test_one_turn_runs_in_a_conversation_at_a_time(history: History) -> None:
    running, _ = await history.turns.begin(a_first_turn())
    second = a_turn(running.conversation_id, idempotency=a_key())

    with pytest.raises(TurnRunningError) as refused:
        await history.turns.begin(second)

    assert refused.value.turn_id == running.turn_id
    await history.turns.end(an_end(running))
    record, created = await history.turns.begin(second)
    assert created
    assert record.turn_id == second.turn_id


async def test_a_repeated_begin_has_no_second_effect(history: History) -> None:
    new = a_first_turn(idempotency=a_key())
    first, _ = await history.turns.begin(new)

    again, own = await history.turns.begin(new)

    assert again == first
    assert own
    conversation = await history.conversations.get(OWNER, new.conversation_id)
    assert conversation.last_seq == 2


async def test_the_same_key_and_body_lead_to_the_same_turn(history: History) -> None:
    first, created = await history.turns.begin(a_first_turn(idempotency=a_key()))

    while_running, created_running = await history.turns.begin(a_first_turn(idempotency=a_key()))
    ended = await history.turns.end(an_end(first))
    afterwards, created_afterwards = await history.turns.begin(a_first_turn(idempotency=a_key()))

    assert (created, created_running, created_afterwards) == (True, False, False)
    assert while_running == first
    assert afterwards == ended
    page = await history.conversations.list(OWNER, limit=10, cursor=None)
    assert len(page.items) == 1


async def test_the_same_key_with_another_body_is_a_conflict(history: History) -> None:
    first, _ = await history.turns.begin(a_first_turn(idempotency=a_key()))
    other = a_first_turn(idempotency=a_key(body="body-2"))

    with pytest.raises(IdempotencyConflictError) as refused:
        await history.turns.begin(other)

    assert refused.value.turn_id == first.turn_id
    with pytest.raises(TurnNotFoundError):
        await history.turns.get(OWNER, other.turn_id)
    with pytest.raises(ConversationNotFoundError):
        await history.conversations.get(OWNER, other.conversation_id)


async def test_a_turn_is_found_by_the_key_it_was_begun_with(history: History) -> None:
    first, _ = await history.turns.begin(a_first_turn(idempotency=a_key(lasts_s=60)))
    find = history.turns.begun_with

    assert await find(OWNER, a_key(), at=NOW) == first
    assert await find("somebody-else", a_key(), at=NOW) is None
    assert await find(OWNER, a_key("key-2"), at=NOW) is None
    assert await find(OWNER, a_key(), at=later(60)) is None
    with pytest.raises(IdempotencyConflictError):
        await find(OWNER, a_key(body="body-2"), at=NOW)
    await history.conversations.delete(OWNER, first.conversation_id)
    assert await find(OWNER, a_key(), at=NOW) is None


async def test_an_expired_key_is_free_even_before_it_is_swept(history: History) -> None:
    await history.turns.begin(a_first_turn(idempotency=a_key(lasts_s=60)))

    _, created = await history.turns.begin(
        a_first_turn(idempotency=a_key(body="body-2", lasts_s=120), started_at=later(60))
    )

    assert created


async def test_sweeping_drops_expired_keys_only(history: History) -> None:
    await history.turns.begin(a_first_turn(idempotency=a_key("short", lasts_s=60)))
    await history.turns.begin(a_first_turn(idempotency=a_key("long", lasts_s=120)))

    await history.sweep(later(90))

    # Asked with an earlier clock, only a key that is gone is free.
    _, short_is_free = await history.turns.begin(a_first_turn(idempotency=a_key("short")))
    _, long_is_free = await history.turns.begin(a_first_turn(idempotency=a_key("long")))
    assert (short_is_free, long_is_free) == (True, False)


@pytest.mark.fault(30)
async def test_fifty_parallel_begins_with_one_key_are_one_turn(history: History) -> None:
    begun = await _begin_all(history, [a_first_turn(idempotency=a_key()) for _ in range(50)])

    assert len({record.turn_id for record, _ in begun}) == 1
    assert sum(created for _, created in begun) == 1
    assert all(record == begun[0][0] for record, _ in begun)
    conversations = (await history.conversations.list(OWNER, limit=100, cursor=None)).items
    assert [found.conversation_id for found in conversations] == [begun[0][0].conversation_id]
    page = await history.messages.list(
        OWNER, conversations[0].conversation_id, limit=100, before=None
    )
    assert [message.seq for message in page.items] == [1]
    assert len(await history.turns.find_running(silent_since=None)) == 1


@pytest.mark.fault(30)
async def test_of_parallel_begins_in_one_conversation_one_begins(history: History) -> None:
    conversation = await history.conversations.create(a_conversation())
    turns = [a_turn(conversation.conversation_id) for _ in range(20)]

    begun = await _begin_all(history, turns)

    assert len(begun) == 1
    after = await history.conversations.get(OWNER, conversation.conversation_id)
    assert after.last_seq == 2
    assert after.active_turn_id == begun[0][0].turn_id
    assert len(await history.turns.find_running(silent_since=None)) == 1


async def test_parallel_repeats_of_one_begin_are_one_turn(history: History) -> None:
    new = a_first_turn()

    begun = await _begin_all(history, [new] * 20)

    assert len(begun) == 20
    assert all(record == begun[0][0] and own for record, own in begun)
    page = await history.messages.list(OWNER, new.conversation_id, limit=10, before=None)
    assert len(page.items) == 1


async def test_a_retry_answers_the_message_of_the_earlier_turn(history: History) -> None:
    first, _ = await history.turns.begin(a_first_turn())
    await history.turns.end(an_end(first, status=TurnStatus.FAILED, text="Fi"))

    retry, created = await history.turns.begin(
        a_turn(first.conversation_id, text=None, retry_of=first.turn_id)
    )
    await history.turns.end(an_end(retry, text="Fine."))

    assert created
    assert retry.retry_of == first.turn_id
    assert retry.user_message_id == first.user_message_id
    page = await history.messages.list(OWNER, first.conversation_id, limit=10, before=None)
    assert [(m.seq, m.role, m.text, m.status) for m in page.items] == [
        (1, "user", "How are you?", TurnStatus.COMPLETED),
        (2, "assistant", "Fi", TurnStatus.FAILED),
        (3, "assistant", "Fine.", TurnStatus.COMPLETED),
    ]


async def test_a_retry_of_a_turn_that_is_not_in_the_conversation_is_refused(
    history: History,
) -> None:
    here = await history.conversations.create(a_conversation())
    elsewhere, _ = await history.turns.begin(a_first_turn())
    foreign, _ = await history.turns.begin(a_first_turn(owner_id="somebody"))

    for turn_id in ("t-none", elsewhere.turn_id, foreign.turn_id):
        with pytest.raises(TurnNotFoundError):
            await history.turns.begin(a_turn(here.conversation_id, text=None, retry_of=turn_id))


async def test_a_turn_of_another_owner_is_not_found(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn(owner_id="somebody"))

    with pytest.raises(TurnNotFoundError):
        await history.turns.get(OWNER, record.turn_id)
    with pytest.raises(HistoryError):
        await history.turns.begin(replace(a_first_turn(), turn_id=record.turn_id))


async def test_a_text_that_no_store_can_keep_leaves_nothing(history: History) -> None:
    conversation = await history.conversations.create(a_conversation())

    with pytest.raises((ValueError, HistoryError)):
        await history.turns.begin(a_turn(conversation.conversation_id, text="lone \ud800"))

    _, created = await history.turns.begin(a_turn(conversation.conversation_id))
    assert created


async def _begin_all(history: History, turns: list[NewTurn]) -> list[tuple[TurnRecord, bool]]:
    """Begin turns in parallel; return what began, refusals left out."""
    begun: list[tuple[TurnRecord, bool]] = []

    async def begin(turn: NewTurn) -> None:
        try:
            begun.append(await history.turns.begin(turn))
        except TurnRunningError:
            return

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for turn in turns:
                tasks.start_soon(begin, turn)
    return begun
