"""What every store of the record promises about messages."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from history.base import History
from history.errors import ConversationNotFoundError, MessageNotFoundError
from history.model import Feedback, TurnStatus, Usage
from tests.history.factories import NOW, OWNER, a_first_turn, a_turn, an_end, later

HARD_TEXT = "".join(
    (
        "\U0001d538stral 🧑🏽‍🚀 fam👨‍👩‍👧‍👦ily; ",
        "\u202eright to left\u202c שלום مرحبا; ",
        "combining e\u0301 against é, Å against Å; ",
        "separators \u2028\u2029\x85\x0b\x1f\r\n\t; ",
        'quotes "\'\\ $set {"$date": 1} a.b; zero\u200bwidth \ufeff\ufffd\uffff\U0010ffff',
    )
)


async def _talk(history: History, turns: int) -> str:
    """Store a conversation of some ended turns; return its id."""
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.end(an_end(record))
    for _ in range(turns - 1):
        record, _ = await history.turns.begin(a_turn(record.conversation_id))
        await history.turns.end(an_end(record))
    return record.conversation_id


async def test_a_turn_leaves_a_question_and_an_answer(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn(started_at=later(1)))
    await history.turns.end(an_end(record, ended_at=later(2)))

    page = await history.messages.list(OWNER, record.conversation_id, limit=10, before=None)

    question, answer = page.items
    assert (question.role, question.seq, question.text) == ("user", 1, "How are you?")
    assert (question.message_id, question.turn_id) == (record.user_message_id, record.turn_id)
    assert (question.created_at, question.status) == (later(1), TurnStatus.COMPLETED)
    assert (answer.role, answer.seq, answer.text) == ("assistant", 2, "Fine, thank you.")
    assert (answer.message_id, answer.turn_id) == (record.message_id, record.turn_id)
    assert (answer.created_at, answer.model) == (later(2), "offline")
    assert answer.usage == Usage(input_tokens=12, output_tokens=5, source="exact")
    assert page.next is None


async def test_pages_go_back_from_the_newest_and_hold_every_message_once(history: History) -> None:
    conversation_id = await _talk(history, turns=4)

    seqs = []
    before = None
    for _ in range(4):
        page = await history.messages.list(OWNER, conversation_id, limit=3, before=before)
        seqs.append([message.seq for message in page.items])
        if page.next is None:
            break
        before = int(page.next)

    assert seqs == [[6, 7, 8], [3, 4, 5], [1, 2]]


async def test_messages_of_another_owner_are_not_found(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn(owner_id="somebody"))
    await history.turns.end(an_end(record))

    with pytest.raises(ConversationNotFoundError):
        await history.messages.list(OWNER, record.conversation_id, limit=10, before=None)
    with pytest.raises(MessageNotFoundError):
        await history.messages.get(OWNER, record.message_id)
    with pytest.raises(MessageNotFoundError):
        await history.messages.set_feedback(OWNER, record.message_id, Feedback("up", None, NOW))


async def test_feedback_is_set_and_replaced(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.end(an_end(record))
    first = Feedback("down", "Not 'fine' at all 🙁", later(10))
    second = Feedback("up", None, later(11))

    rated = await history.messages.set_feedback(OWNER, record.message_id, first)
    replaced = await history.messages.set_feedback(OWNER, record.message_id, second)

    assert rated.feedback == first
    assert replaced.feedback == second
    assert await history.messages.get(OWNER, record.message_id) == replaced


async def test_only_an_answer_takes_feedback(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())

    with pytest.raises(MessageNotFoundError):
        await history.messages.set_feedback(
            OWNER, record.user_message_id, Feedback("up", None, NOW)
        )
    with pytest.raises(MessageNotFoundError):
        await history.messages.set_feedback(OWNER, record.message_id, Feedback("up", None, NOW))


async def test_hard_text_comes_back_byte_for_byte(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn(text=HARD_TEXT))
    await history.turns.end(an_end(record, text=HARD_TEXT, end={"text": HARD_TEXT}))

    question, answer = (
        await history.messages.list(OWNER, record.conversation_id, limit=2, before=None)
    ).items

    assert question.text == HARD_TEXT
    assert answer.text == HARD_TEXT
    assert (await history.turns.get(OWNER, record.turn_id)).end == {"text": HARD_TEXT}


async def test_a_text_of_a_megabyte_comes_back_whole(history: History) -> None:
    long_text = "äöü🦉 " * 100_000
    record, _ = await history.turns.begin(a_first_turn(text=long_text))
    await history.turns.end(an_end(record, text=long_text))

    for message_id in (record.user_message_id, record.message_id):
        assert (await history.messages.get(OWNER, message_id)).text == long_text


# The store is shared by all examples; each brings a conversation of its own.
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    metadata=st.dictionaries(
        st.text(max_size=10),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=5,
        ),
        max_size=4,
    ),
)
async def test_any_text_and_any_map_come_back_as_they_were(
    history: History, text: str, metadata: dict[str, object]
) -> None:
    record, _ = await history.turns.begin(a_first_turn(text=text, metadata=metadata))

    assert (await history.messages.get(OWNER, record.user_message_id)).text == text
    assert (await history.turns.get(OWNER, record.turn_id)).metadata == metadata
