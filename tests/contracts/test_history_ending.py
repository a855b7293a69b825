"""What every store of the record promises about checkpoints and the end of a turn."""

import anyio
import pytest

from history.base import History
from history.errors import MessageNotFoundError, TurnNotFoundError
from history.model import TurnEnd, TurnRecord, TurnStatus, Usage
from tests.history.factories import (
    NOW,
    OWNER,
    a_checkpoint,
    a_first_turn,
    a_turn,
    an_end,
    later,
)


async def test_a_checkpoint_is_read_back_with_the_turn(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())

    lost = await history.turns.checkpoint([a_checkpoint(record, text="Fine 🦉", at=later(1))])

    stored = await history.turns.get(OWNER, record.turn_id)
    assert lost == frozenset()
    assert (stored.text, stored.last_seq, stored.heartbeat_at) == ("Fine 🦉", 3, later(1))
    assert stored.status is TurnStatus.RUNNING


async def test_one_call_writes_the_checkpoints_of_many_turns_and_names_the_lost(
    history: History,
) -> None:
    running = [(await history.turns.begin(a_first_turn()))[0] for _ in range(5)]
    ended = running.pop()
    await history.turns.end(an_end(ended))
    taken_over = running.pop()
    await history.turns.checkpoint([a_checkpoint(taken_over, epoch=2, text="By another")])
    unknown = a_first_turn()

    lost = await history.turns.checkpoint(
        [a_checkpoint(turn) for turn in (ended, taken_over, unknown)]
        + [a_checkpoint(turn, text=turn.turn_id) for turn in running]
    )

    assert lost == {ended.turn_id, taken_over.turn_id, unknown.turn_id}
    for turn in running:
        assert (await history.turns.get(OWNER, turn.turn_id)).text == turn.turn_id
    assert (await history.turns.get(OWNER, taken_over.turn_id)).text == "By another"
    assert (await history.turns.get(OWNER, ended.turn_id)).text == "Fine, thank you."


async def test_no_checkpoints_are_no_work(history: History) -> None:
    assert await history.turns.checkpoint([]) == frozenset()


async def test_a_late_checkpoint_refreshes_the_heartbeat_only(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.checkpoint([a_checkpoint(record, last_seq=9, text="Fine, th")])

    lost = await history.turns.checkpoint(
        [a_checkpoint(record, last_seq=8, text="Fine", at=later(7))]
    )

    stored = await history.turns.get(OWNER, record.turn_id)
    assert lost == frozenset()
    assert (stored.text, stored.last_seq, stored.heartbeat_at) == ("Fine, th", 9, later(7))


async def test_a_higher_epoch_takes_the_record_over_even_with_less(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.checkpoint([a_checkpoint(record, last_seq=9, text="Fine, th")])

    lost = await history.turns.checkpoint(
        [a_checkpoint(record, epoch=2, last_seq=7, text="Fine", at=later(3))]
    )
    late = await history.turns.checkpoint([a_checkpoint(record, last_seq=10, at=later(9))])

    stored = await history.turns.get(OWNER, record.turn_id)
    assert lost == frozenset()
    assert late == {record.turn_id}
    assert (stored.epoch, stored.last_seq, stored.text) == (2, 7, "Fine")
    assert stored.heartbeat_at == later(3)


async def test_an_ended_turn_has_all_that_its_end_was_given(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    end = an_end(record, error={"code": "a.b", "$x": [1, None]}, status=TurnStatus.FAILED)

    ended = await history.turns.end(end)

    assert ended == await history.turns.get(OWNER, record.turn_id)
    assert ended.status is TurnStatus.FAILED
    assert (ended.text, ended.last_seq, ended.finish_reason) == ("Fine, thank you.", 12, "stop")
    assert (ended.ended_at, ended.usage) == (later(5), Usage(12, 5, "exact"))
    assert (ended.error, ended.end) == (end.error, end.end)
    conversation = await history.conversations.get(OWNER, record.conversation_id)
    assert conversation.active_turn_id is None
    assert conversation.updated_at == later(5)


@pytest.mark.parametrize(
    "status", [status for status in TurnStatus if status is not TurnStatus.RUNNING]
)
async def test_every_end_leaves_an_answer_even_an_empty_one(
    history: History, status: TurnStatus
) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    usage = Usage(None, None, "unknown")

    await history.turns.end(an_end(record, status=status, text="", finish_reason=None, usage=usage))

    answer = await history.messages.get(OWNER, record.message_id)
    assert (answer.text, answer.status, answer.usage) == ("", status, usage)


async def test_a_repeated_end_has_no_second_effect(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    first = await history.turns.end(an_end(record))
    following, _ = await history.turns.begin(a_turn(record.conversation_id))

    again = await history.turns.end(an_end(record))

    assert again == first
    conversation = await history.conversations.get(OWNER, record.conversation_id)
    assert conversation.active_turn_id == following.turn_id


async def test_the_first_end_wins_and_the_others_are_told(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    ends = [
        an_end(record, text=f"Answer {n}", status=status)
        for n, status in enumerate([TurnStatus.COMPLETED, TurnStatus.CANCELLED] * 10)
    ]

    told = await _end_all(history, ends)

    assert len(told) == 20
    assert all(stored == told[0] for stored in told)
    answer = await history.messages.get(OWNER, record.message_id)
    assert (answer.text, answer.status) == (told[0].text, told[0].status)
    page = await history.messages.list(OWNER, record.conversation_id, limit=10, before=None)
    assert len(page.items) == 2


async def test_a_checkpoint_after_the_end_changes_nothing(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    ended = await history.turns.end(an_end(record))

    lost = await history.turns.checkpoint([a_checkpoint(record, epoch=5, last_seq=99)])

    assert lost == {record.turn_id}
    assert await history.turns.get(OWNER, record.turn_id) == ended


async def test_the_end_of_a_lost_epoch_is_refused(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())
    await history.turns.checkpoint([a_checkpoint(record, epoch=2)])

    stored = await history.turns.end(an_end(record, expected_epoch=1, text="From the past"))

    assert (stored.status, stored.epoch, stored.text) == (TurnStatus.RUNNING, 2, "Fine")
    with pytest.raises(MessageNotFoundError):
        await history.messages.get(OWNER, record.message_id)


async def test_a_takeover_may_end_the_turn_before_its_first_checkpoint(history: History) -> None:
    record, _ = await history.turns.begin(a_first_turn())

    ended = await history.turns.end(an_end(record, expected_epoch=2, epoch=2))

    assert (ended.status, ended.epoch) == (TurnStatus.COMPLETED, 2)


async def test_the_end_of_an_unknown_turn_is_told(history: History) -> None:
    with pytest.raises(TurnNotFoundError):
        await history.turns.end(an_end(a_first_turn()))


async def test_silent_turns_are_found_the_most_silent_first(history: History) -> None:
    silent, silenter, lively, ended = [
        (await history.turns.begin(a_first_turn()))[0] for _ in range(4)
    ]
    await history.turns.checkpoint(
        [
            a_checkpoint(silent, at=later(20)),
            a_checkpoint(silenter, at=later(10)),
            a_checkpoint(lively, at=later(60)),
        ]
    )
    await history.turns.end(an_end(ended))

    found = await history.turns.find_running(silent_since=later(60))
    everything = await history.turns.find_running(silent_since=None)

    assert [turn.turn_id for turn in found] == [silenter.turn_id, silent.turn_id]
    assert [turn.turn_id for turn in everything] == [
        silenter.turn_id,
        silent.turn_id,
        lively.turn_id,
    ]


async def test_ends_racing_with_a_deletion_leave_nothing_behind(history: History) -> None:
    for _ in range(10):
        record, _ = await history.turns.begin(a_first_turn())

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_or_not, history, an_end(record))
                tasks.start_soon(history.conversations.delete, OWNER, record.conversation_id)

        for message_id in (record.user_message_id, record.message_id):
            with pytest.raises(MessageNotFoundError):
                await history.messages.get(OWNER, message_id)
        with pytest.raises(TurnNotFoundError):
            await history.turns.get(OWNER, record.turn_id)


async def test_instants_finer_than_milliseconds_are_cut_off(history: History) -> None:
    fine = NOW.replace(microsecond=123_999)

    record, _ = await history.turns.begin(a_first_turn(started_at=fine))

    assert record.started_at == NOW.replace(microsecond=123_000)


async def _end_or_not(history: History, end: TurnEnd) -> None:
    try:
        await history.turns.end(end)
    except TurnNotFoundError:
        return


async def _end_all(history: History, ends: list[TurnEnd]) -> list[TurnRecord]:
    told: list[TurnRecord] = []

    async def end_one(end: TurnEnd) -> None:
        told.append(await history.turns.end(end))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for end in ends:
                tasks.start_soon(end_one, end)
    return told
