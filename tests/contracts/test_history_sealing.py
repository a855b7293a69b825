"""What every store of the record promises about the seal of a spoken turn."""

from dataclasses import replace

import anyio
import pytest

from history.base import History
from history.errors import MessageNotFoundError, TurnNotFoundError
from history.model import SpokenUnit, TurnRecord, TurnSeal, TurnStatus
from tests.history.factories import (
    OWNER,
    a_checkpoint,
    a_first_turn,
    a_seal,
    a_turn,
    an_end,
)


async def test_a_turn_that_was_not_spoken_has_no_speech(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    ended = await history.turns.end(an_end(record))

    assert record.speech == ()
    assert ended.speech == ()
    assert (await history.turns.get(OWNER, record.turn_id)).speech == ()


async def test_a_seal_corrects_three_facts_of_an_ended_turn_and_no_other(history: History) -> None:
    ended = await _ended(history)
    seal = a_seal(
        ended,
        end={"text": ended.text, "$x": [1, None], "a.b": {"ttfa_ms": 12.5}},
        speech=(SpokenUnit(0, "Grüße 🦉."), SpokenUnit(2, "你好。"), SpokenUnit(2, "")),
    )

    await history.turns.seal(seal)

    stored = await history.turns.get(OWNER, ended.turn_id)
    assert stored == replace(ended, last_seq=seal.last_seq, end=seal.end, speech=seal.speech)


async def test_a_seal_leaves_the_answer_and_the_conversation(history: History) -> None:
    ended = await _ended(history)
    answer = await history.messages.get(OWNER, ended.message_id)
    conversation = await history.conversations.get(OWNER, ended.conversation_id)

    await history.turns.seal(a_seal(ended, end={"text": "Another text."}))

    assert await history.messages.get(OWNER, ended.message_id) == answer
    assert await history.conversations.get(OWNER, ended.conversation_id) == conversation


async def test_a_seal_leaves_the_turn_that_followed_running(history: History) -> None:
    ended = await _ended(history)
    following, _ = await history.turns.begin(a_turn(ended.conversation_id))

    await history.turns.seal(a_seal(ended))

    assert await history.turns.get(OWNER, following.turn_id) == following
    conversation = await history.conversations.get(OWNER, ended.conversation_id)
    assert conversation.active_turn_id == following.turn_id
    running = await history.turns.find_running(silent_since=None)
    assert [turn.turn_id for turn in running] == [following.turn_id]


@pytest.mark.parametrize(
    "status", [status for status in TurnStatus if status is not TurnStatus.RUNNING]
)
async def test_a_turn_is_sealed_however_it_ended(history: History, status: TurnStatus) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.end(an_end(record, status=status))

    await history.turns.seal(a_seal(record))

    stored = await history.turns.get(OWNER, record.turn_id)
    assert (stored.status, stored.speech) == (status, a_seal(record).speech)


async def test_a_seal_before_the_end_changes_nothing(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.checkpoint([a_checkpoint(record)])
    running = await history.turns.get(OWNER, record.turn_id)

    await history.turns.seal(a_seal(record))

    assert await history.turns.get(OWNER, record.turn_id) == running
    assert await history.turns.checkpoint([a_checkpoint(record, last_seq=4)]) == frozenset()
    ended = await history.turns.end(an_end(record))
    assert (ended.last_seq, ended.speech) == (12, ())


@pytest.mark.parametrize("epoch", [1, 3])
async def test_a_seal_of_another_epoch_changes_nothing(history: History, epoch: int) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    ended = await history.turns.end(an_end(record, expected_epoch=2, epoch=2))

    await history.turns.seal(a_seal(record, epoch=epoch, last_seq=99))

    assert await history.turns.get(OWNER, record.turn_id) == ended


async def test_a_turn_that_was_taken_over_is_sealed_in_its_last_epoch(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.end(an_end(record, expected_epoch=2, epoch=2))

    await history.turns.seal(a_seal(record, epoch=2))

    stored = await history.turns.get(OWNER, record.turn_id)
    assert (stored.epoch, stored.last_seq) == (2, 15)
    assert stored.speech == a_seal(record).speech


async def test_a_seal_below_the_stored_seq_changes_nothing(history: History) -> None:
    ended = await _ended(history)

    await history.turns.seal(a_seal(ended, last_seq=ended.last_seq - 1))

    assert await history.turns.get(OWNER, ended.turn_id) == ended


async def test_a_seal_at_the_stored_seq_is_accepted(history: History) -> None:
    ended = await _ended(history)

    await history.turns.seal(a_seal(ended, last_seq=ended.last_seq))

    stored = await history.turns.get(OWNER, ended.turn_id)
    assert stored.speech == a_seal(ended).speech


async def test_a_repeated_seal_has_no_second_effect(history: History) -> None:
    ended = await _ended(history)
    seal = a_seal(ended)
    await history.turns.seal(seal)
    first = await history.turns.get(OWNER, ended.turn_id)

    await history.turns.seal(seal)
    again = await history.turns.end(an_end(ended))

    assert again == first
    assert await history.turns.get(OWNER, ended.turn_id) == first


async def test_a_late_seal_does_not_undo_a_higher_one(history: History) -> None:
    ended = await _ended(history)
    await history.turns.seal(a_seal(ended, last_seq=20))
    higher = await history.turns.get(OWNER, ended.turn_id)

    await history.turns.seal(a_seal(ended, last_seq=19, speech=()))

    assert await history.turns.get(OWNER, ended.turn_id) == higher


async def test_of_many_seals_at_once_the_highest_stays_whole(history: History) -> None:
    ended = await _ended(history)
    seals = [
        a_seal(ended, last_seq=20 + n, end={"n": n}, speech=(SpokenUnit(n, f"Unit {n}."),))
        for n in range(20)
    ]

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for seal in seals:
                tasks.start_soon(history.turns.seal, seal)

    stored = await history.turns.get(OWNER, ended.turn_id)
    assert (stored.last_seq, stored.end, stored.speech) == _facts_of(seals[-1])


async def test_a_checkpoint_after_the_seal_changes_nothing(history: History) -> None:
    ended = await _ended(history)
    await history.turns.seal(a_seal(ended))
    sealed = await history.turns.get(OWNER, ended.turn_id)

    lost = await history.turns.checkpoint([a_checkpoint(ended, epoch=2, last_seq=99)])

    assert lost == {ended.turn_id}
    assert await history.turns.get(OWNER, ended.turn_id) == sealed


async def test_the_seal_of_a_turn_that_is_gone_is_no_error(history: History) -> None:
    seal = a_seal(a_first_turn())

    await history.turns.seal(seal)

    with pytest.raises(TurnNotFoundError):
        await history.turns.get(OWNER, seal.turn_id)


async def test_deleting_the_conversation_removes_the_speech_and_a_late_seal_leaves_nothing(
    history: History,
) -> None:
    ended = await _ended(history)
    await history.turns.seal(a_seal(ended))

    await history.conversations.delete(OWNER, ended.conversation_id)
    await history.turns.seal(a_seal(ended, last_seq=99))

    with pytest.raises(TurnNotFoundError):
        await history.turns.get(OWNER, ended.turn_id)
    with pytest.raises(MessageNotFoundError):
        await history.messages.get(OWNER, ended.message_id)


async def test_the_speech_of_a_long_answer_is_read_back_in_order(history: History) -> None:
    ended = await _ended(history)
    other = await _ended(history)
    speech = tuple(SpokenUnit(n + n // 7, f"Satz {n}: 你好, {'ü' * 120}.") for n in range(300))

    await history.turns.seal(a_seal(ended, last_seq=2_000, speech=speech))

    assert (await history.turns.get(OWNER, ended.turn_id)).speech == speech
    assert await history.turns.get(OWNER, other.turn_id) == other


async def test_a_very_long_answer_in_wide_characters_can_be_sealed(history: History) -> None:
    ended = await _ended(history)
    # A hundred times the default length of an answer: some 2.4 MB as stored.
    speech = tuple(SpokenUnit(n, "𓀀" * 1_000) for n in range(200))

    await history.turns.seal(a_seal(ended, speech=speech))

    assert (await history.turns.get(OWNER, ended.turn_id)).speech == speech


async def _ended(history: History) -> TurnRecord:
    record, _ = await history.turns.begin(a_first_turn())
    return await history.turns.end(an_end(record))


def _facts_of(seal: TurnSeal) -> tuple[object, ...]:
    return seal.last_seq, seal.end, seal.speech
