"""What MongoDB's lack of transactions must not show: a crash after any command, in any call."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import anyio
import pytest

from history.errors import (
    ConversationNotFoundError,
    HistoryError,
    HistoryUnavailableError,
    MessageNotFoundError,
    TurnNotFoundError,
    TurnRunningError,
)
from history.model import NewTurn, TurnRecord, TurnSeal, TurnStatus
from history.mongo import MongoHistory
from storage.mongo import MongoDatabase
from tests.history.factories import (
    OWNER,
    a_first_turn,
    a_key,
    a_seal,
    a_turn,
    an_end,
    later,
)
from tests.history.faulty_mongo import Faults, FaultyMongoDatabase, When, faults_in

pytestmark = pytest.mark.long

COMMANDS = 30
"""More than any call sends: each test ends at the first count that no crash meets."""

LONG_AFTER_S = 7_200

Crash = Callable[[Callable[[MongoHistory], Awaitable[object]], int, When], Awaitable[bool]]

either_side = pytest.mark.parametrize("when", ["before", "after"])


@pytest.fixture
async def healthy(mongo_database: MongoDatabase) -> MongoHistory:
    """The process that lives on."""
    history = MongoHistory(mongo_database)
    await history.open()
    return history


@pytest.fixture
async def crash(mongo_uri: str) -> AsyncIterator[Crash]:
    """Run a call in a process that dies at its n-th command; tell whether it got that far."""
    databases: list[MongoDatabase] = []

    async def run(
        call: Callable[[MongoHistory], Awaitable[object]], command: int, when: When
    ) -> bool:
        faults = Faults()
        databases.append(FaultyMongoDatabase(mongo_uri, faults))
        history = MongoHistory(databases[-1])
        faults.crash_at(command, when)
        try:
            await call(history)
        except HistoryUnavailableError:
            return True
        return False

    yield run
    for database in databases:
        await database.close()


@pytest.mark.fault(29)
@either_side
async def test_a_begin_repeated_after_any_crash_is_one_turn(
    mongo_database: MongoDatabase, healthy: MongoHistory, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        new = a_first_turn(idempotency=a_key(f"key-{command}"))
        crashed = await crash(_begin(new), command, when)

        record, own = await healthy.turns.begin(new)

        assert own
        assert (record.turn_id, record.status) == (new.turn_id, TurnStatus.RUNNING)
        page = await healthy.messages.list(OWNER, record.conversation_id, limit=9, before=None)
        assert [(message.seq, message.text) for message in page.items] == [(1, new.text)]
        assert await faults_in(mongo_database) == []
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_a_caller_who_asks_again_with_the_key_gets_one_turn_after_any_crash(
    mongo_database: MongoDatabase, healthy: MongoHistory, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        key = a_key(f"key-{command}")
        crashed = await crash(_begin(a_first_turn(idempotency=key)), command, when)

        record, _ = await healthy.turns.begin(a_first_turn(idempotency=key))
        again, own = await healthy.turns.begin(a_first_turn(idempotency=key))

        assert again == record
        assert not own
        await healthy.sweep(later(LONG_AFTER_S))
        assert await faults_in(mongo_database) == []
        running = await healthy.turns.find_running(silent_since=None)
        assert [turn.turn_id for turn in running] == [record.turn_id]
        await healthy.conversations.delete(OWNER, record.conversation_id)
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_a_begin_that_nobody_repeats_is_whole_or_gone_after_any_crash(
    mongo_database: MongoDatabase, healthy: MongoHistory, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        new = a_first_turn(idempotency=a_key(f"key-{command}"))
        crashed = await crash(_begin(new), command, when)

        await healthy.sweep(later(LONG_AFTER_S))

        assert await faults_in(mongo_database) == []
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_the_next_turn_of_a_conversation_goes_on_after_any_crash_of_a_begin(
    healthy: MongoHistory, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        first, _ = await healthy.turns.begin(a_first_turn())
        await healthy.turns.end(an_end(first))
        lost = a_turn(first.conversation_id)
        crashed = await crash(_begin(lost), command, when)

        following = a_turn(first.conversation_id)
        with suppress(TurnRunningError):
            await healthy.turns.begin(following)
        with suppress(TurnNotFoundError):
            # The lost begin had shown something: it was finished, and runs until it is ended.
            await healthy.turns.end(an_end(await healthy.turns.get(OWNER, lost.turn_id)))
        await healthy.turns.begin(following)

        assert (await healthy.turns.get(OWNER, following.turn_id)).status is TurnStatus.RUNNING
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
@pytest.mark.parametrize("repair", ["repeat", "read turn", "list", "next turn", "sweep", "open"])
async def test_an_end_is_whole_after_any_crash_whoever_comes_next(
    mongo_database: MongoDatabase,
    healthy: MongoHistory,
    crash: Crash,
    *,
    when: When,
    repair: str,
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        crashed = await crash(_end(record), command, when)

        await _come_across(healthy, record, repair)

        stored = await healthy.turns.get(OWNER, record.turn_id)
        if stored.status is TurnStatus.RUNNING:  # the crash came before the first write
            stored = await healthy.turns.end(an_end(record))
        assert (await healthy.messages.get(OWNER, record.message_id)).text == stored.text
        if repair != "next turn":
            assert await faults_in(mongo_database) == []
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_a_seal_repeated_after_any_crash_holds(
    mongo_database: MongoDatabase, healthy: MongoHistory, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        ended = await healthy.turns.end(an_end(record))
        seal = a_seal(record)
        crashed = await crash(_seal(seal), command, when)

        left = await healthy.turns.get(OWNER, record.turn_id)
        await healthy.turns.seal(seal)

        sealed = replace(ended, last_seq=seal.last_seq, end=seal.end, speech=seal.speech)
        assert left == (ended if crashed and when == "before" else sealed)
        assert await healthy.turns.get(OWNER, record.turn_id) == sealed
        assert await faults_in(mongo_database) == []
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_a_seal_of_an_end_that_stopped_half_way_lets_it_be_finished(
    mongo_database: MongoDatabase, healthy: MongoHistory, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        crashed = await crash(_end(record), command, when)

        await healthy.turns.seal(a_seal(record))
        await healthy.sweep(later(0))

        stored = await healthy.turns.get(OWNER, record.turn_id)
        ended = stored.status is not TurnStatus.RUNNING
        assert stored.speech == (a_seal(record).speech if ended else ())
        assert await faults_in(mongo_database) == []
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_a_deletion_leaves_nothing_after_any_crash(
    mongo_database: MongoDatabase, healthy: MongoHistory, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn(idempotency=a_key(f"key-{command}")))
        crashed = await crash(_delete(record), command, when)

        with suppress(ConversationNotFoundError):
            await healthy.conversations.delete(OWNER, record.conversation_id)
        await healthy.sweep(later(LONG_AFTER_S))

        assert await faults_in(mongo_database) == []
        with pytest.raises(MessageNotFoundError):
            await healthy.messages.get(OWNER, record.user_message_id)
        with pytest.raises(TurnNotFoundError):
            await healthy.turns.get(OWNER, record.turn_id)
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@pytest.mark.fault(29)
@pytest.mark.parametrize("seed", range(6))
async def test_many_callers_on_a_bad_network_leave_a_sound_record(
    mongo_uri: str, mongo_database: MongoDatabase, healthy: MongoHistory, *, seed: int
) -> None:
    faults = Faults()
    database = FaultyMongoDatabase(mongo_uri, faults)
    history = MongoHistory(database)
    conversations = [(await healthy.turns.begin(a_first_turn()))[0] for _ in range(3)]
    for record in conversations:
        await healthy.turns.end(an_end(record))
    faults.fail_now_and_then(seed)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for caller in range(12):
                chance = random.Random(f"{seed} {caller}")  # noqa: S311  # what a caller does next
                tasks.start_soon(_call_at_random, history, conversations, chance)

    await database.close()
    await healthy.sweep(later(LONG_AFTER_S))
    assert await faults_in(mongo_database) == []


async def _call_at_random(
    history: MongoHistory, conversations: list[TurnRecord], chance: random.Random
) -> None:
    for _ in range(8):
        conversation_id = chance.choice(conversations).conversation_id
        key = a_key(f"key-{chance.randrange(4)}")
        new = chance.choice(
            [
                a_turn(conversation_id),
                a_turn(conversation_id, idempotency=key),
                a_first_turn(idempotency=key),
            ]
        )
        with suppress(HistoryError):
            record, _ = await history.turns.begin(new)
            await history.turns.end(an_end(record))
            await history.turns.seal(a_seal(record))
        if chance.random() < 0.1:
            with suppress(HistoryError):
                await history.conversations.delete(OWNER, new.conversation_id)


async def _come_across(history: MongoHistory, record: TurnRecord, how: str) -> None:
    match how:
        case "repeat":
            await history.turns.end(an_end(record))
        case "read turn":
            await history.turns.get(OWNER, record.turn_id)
        case "list":
            await history.messages.list(OWNER, record.conversation_id, limit=9, before=None)
        case "next turn":
            with suppress(TurnRunningError):
                await history.turns.begin(a_turn(record.conversation_id))
        case "sweep":
            await history.sweep(later(0))
        case _:
            await history.open()


def _begin(turn: NewTurn) -> Callable[[MongoHistory], Awaitable[object]]:
    return lambda history: history.turns.begin(turn)


def _end(record: TurnRecord) -> Callable[[MongoHistory], Awaitable[object]]:
    return lambda history: history.turns.end(an_end(record))


def _seal(seal: TurnSeal) -> Callable[[MongoHistory], Awaitable[object]]:
    return lambda history: history.turns.seal(seal)


def _delete(record: TurnRecord) -> Callable[[MongoHistory], Awaitable[object]]:
    return lambda history: history.conversations.delete(OWNER, record.conversation_id)
