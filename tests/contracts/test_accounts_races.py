"""What MongoDB's lack of transactions must not show: a crash, or another call, at any command."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from accounts.errors import (
    AccountsError,
    AccountsUnavailableError,
    RefreshReusedError,
    UserChangedError,
    UserNotFoundError,
)
from accounts.model import Identity, User
from accounts.mongo import MongoAccounts
from storage.mongo import MongoDatabase
from tests.accounts.factories import GRACE, a_session, a_user, an_admin, an_identity, later
from tests.history.faulty_mongo import Faults, FaultyMongoDatabase, When

COMMANDS = 20
"""More than any call sends: each test ends at the first count that the call does not reach."""

Call = Callable[[MongoAccounts], Awaitable[object]]
Between = Callable[[], Awaitable[object]]
Crash = Callable[[Call, int, When], Awaitable[bool]]
Interleave = Callable[[Call, int, Between], Awaitable[bool]]

either_side = pytest.mark.parametrize("when", ["before", "after"])


@pytest.fixture
async def healthy(mongo_database: MongoDatabase) -> MongoAccounts:
    """The process that lives on, and is not held up."""
    accounts = MongoAccounts(mongo_database)
    await accounts.open()
    return accounts


@pytest.fixture
async def crash(mongo_uri: str) -> AsyncIterator[Crash]:
    """Run a call in a process that dies at its n-th command; tell whether it got that far."""
    databases: list[MongoDatabase] = []

    async def run(call: Call, command: int, when: When) -> bool:
        faults = Faults()
        databases.append(FaultyMongoDatabase(mongo_uri, faults))
        faults.crash_at(command, when)
        try:
            await call(MongoAccounts(databases[-1]))
        except AccountsUnavailableError:
            return True
        return False

    yield run
    for database in databases:
        await database.close()


@pytest.fixture
async def interleave(mongo_uri: str) -> AsyncIterator[Interleave]:
    """Hold a call at its n-th command, do something between, let it go on; tell if it got there."""
    databases: list[MongoDatabase] = []

    async def run(call: Call, command: int, between: Between) -> bool:
        faults = Faults()
        databases.append(FaultyMongoDatabase(mongo_uri, faults))
        faults.pause_at(command)
        ended = anyio.Event()

        async def held() -> None:
            with suppress(AccountsError):
                await call(MongoAccounts(databases[-1]))
            ended.set()
            faults.paused.set()

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(held)
                await faults.paused.wait()
                reached = not ended.is_set()
                with suppress(AccountsError):
                    await between()
                faults.resumed.set()
        return reached

    yield run
    for database in databases:
        await database.close()


@either_side
async def test_a_user_whose_creation_is_repeated_after_any_crash_is_there_once(
    healthy: MongoAccounts, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        user = a_user(identities=(an_identity(), an_identity()))
        crashed = await crash(_create(user), command, when)

        assert await healthy.users.create(user) == user

        assert await healthy.users.find(identity=user.identities[1]) == user
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_a_change_that_crashed_anywhere_is_whole_or_not_there(
    healthy: MongoAccounts, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        old, new = an_identity(), an_identity()
        user = await healthy.users.create(a_user(identities=(old,)))
        changed = replace(user, name="New", identities=(new,))
        crashed = await crash(_put(changed), command, when)

        stored = await healthy.users.get(user.user_id)
        assert stored in (user, replace(changed, version=2))
        assert await _holder(healthy, old) == (stored if old in stored.identities else None)
        assert await _holder(healthy, new) == (stored if new in stored.identities else None)
        again = await healthy.users.put(changed, if_version=stored.version)
        assert await _holder(healthy, new) == again
        assert await _holder(healthy, old) is None
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@pytest.mark.long
@either_side
async def test_a_demotion_that_crashed_anywhere_holds_up_no_other_one(
    healthy: MongoAccounts, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        admins = [await healthy.users.create(an_admin()) for _ in range(3)]
        crashed = await crash(_put(replace(admins[0], role="user")), command, when)

        with anyio.fail_after(10):
            for admin in admins[:2]:
                await _demote(healthy, admin.user_id)

        assert (await healthy.users.get(admins[2].user_id)).role == "admin"
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


@pytest.mark.long
async def test_two_last_admins_who_demote_each_other_leave_one_however_they_interleave(
    healthy: MongoAccounts, interleave: Interleave
) -> None:
    ann = await healthy.users.create(an_admin())
    for command in range(COMMANDS):
        bea = await healthy.users.create(an_admin())

        async def demote_ann(ann: User = ann) -> None:
            await _demote(healthy, ann.user_id)

        reached = await interleave(_put(replace(bea, role="user")), command, demote_ann)

        left = [await healthy.users.get(user.user_id) for user in (ann, bea)]
        admins = [user for user in left if user.role == "admin"]
        assert admins
        if not reached:
            return
        ann = admins[0]
        for spare in admins[1:]:
            await _demote(healthy, spare.user_id)
    pytest.fail("The call sends more commands than were tried.")


async def test_an_identity_claimed_by_two_is_never_found_for_the_one_without_it(
    healthy: MongoAccounts, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        identity = an_identity()
        ann, bea = a_user(identities=(identity,)), a_user(identities=(identity,))

        async def create_bea(bea: User = bea) -> None:
            await healthy.users.create(bea)

        reached = await interleave(_create(ann), command, create_bea)

        holder = await _holder(healthy, identity)
        assert holder in (ann, bea)
        assert not (await _is_there(healthy, ann) and await _is_there(healthy, bea))
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


@either_side
async def test_a_refresh_repeated_after_any_crash_goes_one_generation_on(
    healthy: MongoAccounts, crash: Crash, when: When
) -> None:
    for command in range(COMMANDS):
        session = a_session()
        await healthy.sessions.begin(session)
        crashed = await crash(_rotate(session.session_id), command, when)

        rotated = await healthy.sessions.rotate(
            session.session_id, generation=1, now=later(2), grace=GRACE
        )

        assert rotated.generation == 2
        if not crashed:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_session_that_ends_beside_a_refresh_stays_ended(
    healthy: MongoAccounts, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        session = a_session()
        await healthy.sessions.begin(session)

        async def sign_out(session_id: str = session.session_id) -> None:
            await healthy.sessions.end(
                user_id="user-1", session_id=session_id, reason="signed_out", now=later(1)
            )

        reached = await interleave(_rotate(session.session_id), command, sign_out)

        stored = await healthy.sessions.get(session.session_id)
        assert (stored.generation, stored.end_reason) == (1 if reached else 2, "signed_out")
        if not reached:
            return
    pytest.fail("The call sends more commands than were tried.")


async def test_a_reuse_beside_a_refresh_leaves_no_second_family(
    healthy: MongoAccounts, interleave: Interleave
) -> None:
    for command in range(COMMANDS):
        session = a_session()
        await healthy.sessions.begin(session)

        async def use_twice(session_id: str = session.session_id) -> None:
            await healthy.sessions.rotate(session_id, generation=1, now=later(1), grace=timedelta())
            with pytest.raises(RefreshReusedError):
                await healthy.sessions.rotate(
                    session_id, generation=1, now=later(1), grace=timedelta()
                )

        reached = await interleave(_rotate(session.session_id), command, use_twice)

        stored = await healthy.sessions.get(session.session_id)
        if not reached:
            return
        assert (stored.generation, stored.end_reason) == (2, "reused")
    pytest.fail("The call sends more commands than were tried.")


def _create(user: User) -> Call:
    return lambda accounts: accounts.users.create(user)


def _put(user: User) -> Call:
    return lambda accounts: accounts.users.put(user, if_version=1)


def _rotate(session_id: str) -> Call:
    return lambda accounts: accounts.sessions.rotate(
        session_id, generation=1, now=later(1), grace=GRACE
    )


async def _demote(accounts: MongoAccounts, user_id: str) -> None:
    """Demote whatever version is stored, as somebody does who reads again after a 412."""
    for _ in range(5):
        user = await accounts.users.get(user_id)
        if user.role != "admin":
            return
        with suppress(UserChangedError):
            await accounts.users.put(replace(user, role="user"), if_version=user.version)


async def _holder(accounts: MongoAccounts, identity: Identity) -> User | None:
    try:
        return await accounts.users.find(identity=identity)
    except UserNotFoundError:
        return None


async def _is_there(accounts: MongoAccounts, user: User) -> bool:
    try:
        await accounts.users.get(user.user_id)
    except UserNotFoundError:
        return False
    return True
