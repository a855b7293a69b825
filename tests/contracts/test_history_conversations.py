"""What every store of the record promises about conversations."""

import pytest

from history.base import History
from history.errors import (
    ConversationNotFoundError,
    MessageNotFoundError,
    TurnNotFoundError,
)
from history.model import Conversation
from tests.history.factories import (
    NOW,
    OWNER,
    a_checkpoint,
    a_conversation,
    a_first_turn,
    a_key,
    a_seal,
    a_turn,
    an_end,
    later,
)


async def test_a_created_conversation_is_returned_as_it_was_given(history: History) -> None:
    conversation = a_conversation(title="Grüße 👋🏽 مرحبا")

    created = await history.conversations.create(conversation)

    assert created == conversation
    assert await history.conversations.get(OWNER, conversation.conversation_id) == conversation


async def test_creating_again_returns_what_is_stored(history: History) -> None:
    conversation = await history.conversations.create(a_conversation())
    renamed = await history.conversations.rename(OWNER, conversation.conversation_id, "Other")

    assert await history.conversations.create(conversation) == renamed


async def test_a_conversation_of_another_owner_is_not_found(history: History) -> None:
    conversation = await history.conversations.create(a_conversation(owner_id="somebody"))
    foreign = conversation.conversation_id

    with pytest.raises(ConversationNotFoundError):
        await history.conversations.get(OWNER, foreign)
    with pytest.raises(ConversationNotFoundError):
        await history.conversations.rename(OWNER, foreign, "Mine")
    with pytest.raises(ConversationNotFoundError):
        await history.conversations.delete(OWNER, foreign)
    with pytest.raises(ConversationNotFoundError):
        await history.conversations.create(a_conversation(foreign))

    assert await history.conversations.get("somebody", foreign) == conversation


async def test_pages_hold_every_conversation_once_most_recently_updated_first(
    history: History,
) -> None:
    # Three share each instant: the order within it must hold between pages too.
    expected = [a_conversation(f"c-{n}", updated_at=later(n // 3)) for n in range(10)]
    for conversation in expected:
        await history.conversations.create(conversation)
    await history.conversations.create(a_conversation(owner_id="somebody"))

    found: list[Conversation] = []
    cursor = None
    for _ in range(6):
        page = await history.conversations.list(OWNER, limit=2, cursor=cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            break

    assert found == list(reversed(expected))
    assert cursor is None


async def test_a_list_of_none_is_empty(history: History) -> None:
    page = await history.conversations.list(OWNER, limit=10, cursor=None)

    assert page.items == ()
    assert page.next is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", "1.", "-1.c", "1.c\n", "9" * 40 + ".c", "1.é", "\u0661.c"]
)
async def test_a_cursor_that_is_not_ours_is_refused(history: History, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await history.conversations.list(OWNER, limit=10, cursor=cursor)


async def test_any_cursor_of_the_right_form_is_answered(history: History) -> None:
    await history.conversations.create(a_conversation())

    page = await history.conversations.list(OWNER, limit=10, cursor="999999999999999.~")

    assert len(page.items) == 1


async def test_a_conversation_with_a_new_turn_comes_first(history: History) -> None:
    older = await history.conversations.create(a_conversation())
    await history.conversations.create(a_conversation(updated_at=later(1)))

    await history.turns.begin(a_turn(older.conversation_id, started_at=later(2)))

    page = await history.conversations.list(OWNER, limit=1, cursor=None)
    assert page.items[0].conversation_id == older.conversation_id
    assert page.items[0].updated_at == later(2)


async def test_renaming_sets_the_title_only(history: History) -> None:
    conversation = await history.conversations.create(a_conversation())

    renamed = await history.conversations.rename(OWNER, conversation.conversation_id, "New 🙂")

    assert renamed.title == "New 🙂"
    assert renamed.updated_at == NOW
    assert await history.conversations.get(OWNER, conversation.conversation_id) == renamed


async def test_renaming_leaves_a_title_that_changed_meanwhile(history: History) -> None:
    conversation = await history.conversations.create(a_conversation(title="By the user"))

    kept = await history.conversations.rename(
        OWNER, conversation.conversation_id, "By the machine", if_title=""
    )
    changed = await history.conversations.rename(
        OWNER, conversation.conversation_id, "Second", if_title="By the user"
    )

    assert kept.title == "By the user"
    assert changed.title == "Second"


async def test_deleting_removes_messages_turns_and_keys(history: History) -> None:
    new = a_first_turn(idempotency=a_key())
    record, _ = await history.turns.begin(new)
    await history.turns.end(an_end(record))

    await history.conversations.delete(OWNER, record.conversation_id)

    assert (await history.conversations.list(OWNER, limit=10, cursor=None)).items == ()
    with pytest.raises(ConversationNotFoundError):
        await history.messages.list(OWNER, record.conversation_id, limit=10, before=None)
    for message_id in (record.user_message_id, record.message_id):
        with pytest.raises(MessageNotFoundError):
            await history.messages.get(OWNER, message_id)
    with pytest.raises(TurnNotFoundError):
        await history.turns.get(OWNER, record.turn_id)
    with pytest.raises(ConversationNotFoundError):
        await history.conversations.delete(OWNER, record.conversation_id)
    _, created = await history.turns.begin(a_first_turn(idempotency=a_key()))
    assert created


async def test_writes_of_a_turn_whose_conversation_was_deleted_leave_nothing(
    history: History,
) -> None:
    record, _ = await history.turns.begin(a_first_turn())

    await history.conversations.delete(OWNER, record.conversation_id)

    assert await history.turns.checkpoint([a_checkpoint(record)]) == {record.turn_id}
    await history.turns.seal(a_seal(record))
    with pytest.raises(TurnNotFoundError):
        await history.turns.end(an_end(record))
    with pytest.raises(MessageNotFoundError):
        await history.messages.get(OWNER, record.message_id)
    assert await history.turns.find_running(silent_since=None) == []
    with pytest.raises(ConversationNotFoundError):
        await history.turns.begin(a_turn(record.conversation_id))
