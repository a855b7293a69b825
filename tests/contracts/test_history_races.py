"""What MongoDB's lack of transactions must not show: two calls interleaved at any command."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import pytest

from history.errors import (
    ConversationNotFoundError,
    HistoryError,
    TurnRunningError,
)
from history.model import NewTurn, TurnEnd, TurnRecord, TurnSeal, TurnStatus
from history.mongo import MongoHistory
from storage.mongo import MongoDatabase
from tests.history.factories import OWNER, a_first_turn, a_key, a_seal, a_turn, an_end
from tests.history.faulty_mongo import Faults, FaultyMongoDatabase, faults_in

COMMANDS = 30
"""More than any call sends: each test ends at the first count that the call does not reach."""

Call = Callable[[MongoHistory], Awaitable[object]]
Between = Callable[[], Awaitable[object]]
Interleave = Callable[[Call, int, Between], Awaitable[bool]]


@pytest.fixture
async def healthy(mongo_database: MongoDatabase) -> MongoHistory:
    """The process that is not held up."""
    history = MongoHistory(mongo_database)
    await history.open()
    return history


@pytest.fixture
async def interleave(mongo_uri: str) -> AsyncIterator[Interleave]:
    """Hold a call at its n-th command, do something between, let it go on; tell if it got there."""
    databases: list[MongoDatabase] = []

    async def run(call: Call, command: int, between: Between) -> bool:
        faults = Faults()
        databases.append(FaultyMongoDatabase(mongo_uri, faults))
        history = MongoHistory(databases[-1])
        faults.pause_at(command)
        ended = anyio.Event()

        async def held() -> None:
            with suppress(HistoryError):
                await call(history)
            ended.set()
            faults.paused.set()

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(held)
                await faults.paused.wait()
                reached = not ended.is_set()
                await between()
                faults.resumed.set()
        return reached

    yield run
    for database in databases:
        await database.close()


async def test_an_end_beside_a_deletion_leaves_nothing(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())

        reached = await interleave(
            _end(an_end(record)),
            command,
            partial(healthy.conversations.delete, OWNER, record.conversation_id),
        )

        assert await _faults_beside_marks(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_begin_beside_a_deletion_leaves_nothing(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        first, _ = await healthy.turns.begin(a_first_turn())
        await healthy.turns.end(an_end(first))
        new = a_turn(first.conversation_id, idempotency=a_key(f"key-{command}"))

        reached = await interleave(
            _begin(new),
            command,
            partial(healthy.conversations.delete, OWNER, first.conversation_id),
        )

        assert await _faults_beside_marks(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_late_begin_disturbs_nothing_that_others_finished_meanwhile(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        conversation = (await healthy.turns.begin(a_first_turn()))[0]
        await healthy.turns.end(an_end(conversation))
        key = a_key(f"key-{command}")
        new = a_turn(conversation.conversation_id, idempotency=key)
        helper = a_turn(conversation.conversation_id, idempotency=key)

        reached = await interleave(
            _begin(new),
            command,
            partial(_begin_and_end, healthy, helper),
        )

        following = a_turn(conversation.conversation_id)
        with suppress(TurnRunningError):
            await healthy.turns.begin(following)
        assert await faults_in(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_late_helper_disturbs_no_turn_that_was_withdrawn_meanwhile(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        running, _ = await healthy.turns.begin(a_first_turn())
        key = a_key(f"key-{command}")
        # A begin that is held before it takes the slot: its key leads others to it.
        owner = a_turn(running.conversation_id, idempotency=key)
        helper = a_turn(running.conversation_id, idempotency=key)

        reached = await interleave(
            _begin(owner),
            command,
            partial(_help_then_free, healthy, helper, running),
        )

        assert await faults_in(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_ends_interleaved_at_any_command_agree(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        mine = an_end(record, text="Mine")
        other = an_end(record, text="Other", status=TurnStatus.CANCELLED)

        reached = await interleave(
            _end(mine),
            command,
            partial(healthy.turns.end, other),
        )

        stored = await healthy.turns.get(OWNER, record.turn_id)
        answer = await healthy.messages.get(OWNER, record.message_id)
        assert (answer.text, answer.status) == (stored.text, stored.status)
        assert await faults_in(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_seal_beside_a_deletion_leaves_nothing(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        await healthy.turns.end(an_end(record))

        reached = await interleave(
            _seal(a_seal(record)),
            command,
            partial(healthy.conversations.delete, OWNER, record.conversation_id),
        )

        assert await mongo_database.collection("turns").find_one({"_id": record.turn_id}) is None
        assert await _faults_beside_marks(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_seal_beside_the_next_turn_does_not_disturb_it(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        await healthy.turns.end(an_end(record))
        following = a_turn(record.conversation_id)

        reached = await interleave(
            _seal(a_seal(record)), command, partial(healthy.turns.begin, following)
        )

        conversation = await healthy.conversations.get(OWNER, record.conversation_id)
        assert conversation.active_turn_id == following.turn_id
        stored = await healthy.turns.get(OWNER, record.turn_id)
        assert (stored.last_seq, stored.speech) == (15, a_seal(record).speech)
        assert await faults_in(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_seal_at_any_command_of_an_end_is_whole_or_ignored(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        seal = a_seal(record)

        reached = await interleave(_end(an_end(record)), command, partial(healthy.turns.seal, seal))

        stored = await healthy.turns.get(OWNER, record.turn_id)
        fields = (stored.last_seq, stored.end, stored.speech)
        too_early = command == 0
        end = an_end(record)
        assert fields == (
            (end.last_seq, end.end, ()) if too_early else (seal.last_seq, seal.end, seal.speech)
        )
        assert (await healthy.messages.get(OWNER, record.message_id)).text == end.text
        assert await faults_in(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_of_two_seals_interleaved_the_higher_stays(
    healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        record, _ = await healthy.turns.begin(a_first_turn())
        await healthy.turns.end(an_end(record))
        higher = a_seal(record, last_seq=40, speech=())

        reached = await interleave(
            _seal(a_seal(record)), command, partial(healthy.turns.seal, higher)
        )

        stored = await healthy.turns.get(OWNER, record.turn_id)
        assert (stored.last_seq, stored.speech) == (40, ())
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_deletion_beside_a_begin_is_final(
    mongo_database: MongoDatabase, healthy: MongoHistory, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        first, _ = await healthy.turns.begin(a_first_turn())
        await healthy.turns.end(an_end(first))

        reached = await interleave(
            _delete(first.conversation_id),
            command,
            partial(_begin_or_not, healthy, a_turn(first.conversation_id)),
        )

        assert await _faults_beside_marks(mongo_database) == []
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def _faults_beside_marks(database: MongoDatabase) -> list[str]:
    """Return what is wrong, but for the marks of deletions, which only the sweep removes."""
    return [fault for fault in await faults_in(database) if "mark" not in fault]


def _begin(turn: NewTurn) -> Call:
    return lambda history: history.turns.begin(turn)


def _end(end: TurnEnd) -> Call:
    return lambda history: history.turns.end(end)


def _seal(seal: TurnSeal) -> Call:
    return lambda history: history.turns.seal(seal)


def _delete(conversation_id: str) -> Call:
    return lambda history: history.conversations.delete(OWNER, conversation_id)


async def _begin_and_end(history: MongoHistory, turn: NewTurn) -> None:
    record, _ = await history.turns.begin(turn)
    await history.turns.end(an_end(record))


async def _help_then_free(history: MongoHistory, helper: NewTurn, running: TurnRecord) -> None:
    with suppress(TurnRunningError):
        await history.turns.begin(helper)
    await history.turns.end(an_end(running))


async def _begin_or_not(history: MongoHistory, turn: NewTurn) -> None:
    with suppress(ConversationNotFoundError):
        await history.turns.begin(turn)
