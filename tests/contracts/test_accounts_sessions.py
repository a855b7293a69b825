"""What every store of sessions promises."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from accounts.base import MAX_SESSIONS_LISTED, Accounts
from accounts.errors import (
    AccountsError,
    RefreshReusedError,
    SessionEndedError,
    SessionNotFoundError,
)
from accounts.model import Session
from tests.accounts.factories import GRACE, NOW, a_session, later

NONE = timedelta()


async def test_a_session_comes_back_as_it_was_begun(accounts: Accounts) -> None:
    session = a_session()

    await accounts.sessions.begin(session)

    assert await accounts.sessions.get(session.session_id) == session
    with pytest.raises(SessionNotFoundError):
        await accounts.sessions.get("nobody")
    with pytest.raises(SessionNotFoundError):
        await accounts.sessions.rotate("nobody", generation=1, now=NOW, grace=GRACE)


async def test_beginning_a_session_again_does_not_bring_it_back(accounts: Accounts) -> None:
    session = await _begun(accounts)
    await accounts.sessions.end(user_id=session.user_id, reason="signed_out", now=later(1))

    await accounts.sessions.begin(session)

    assert (await accounts.sessions.get(session.session_id)).end_reason == "signed_out"


async def test_each_rotation_goes_one_generation_on(accounts: Accounts) -> None:
    session = await _begun(accounts)

    second = await accounts.sessions.rotate(
        session.session_id, generation=1, now=later(60), grace=GRACE
    )
    third = await accounts.sessions.rotate(
        session.session_id, generation=2, now=later(61), grace=GRACE
    )

    assert second == replace(session, generation=2, rotated_at=later(60))
    assert third == replace(session, generation=3, rotated_at=later(61))
    assert await accounts.sessions.get(session.session_id) == third


async def test_the_token_used_last_gives_the_same_next_one_for_a_while(accounts: Accounts) -> None:
    session = await _begun(accounts)
    second = await accounts.sessions.rotate(
        session.session_id, generation=1, now=later(60), grace=GRACE
    )

    for at in (60, 65, 69.999):
        again = await accounts.sessions.rotate(
            session.session_id, generation=1, now=later(at), grace=GRACE
        )
        assert again == second

    with pytest.raises(RefreshReusedError):
        await accounts.sessions.rotate(session.session_id, generation=1, now=later(70), grace=GRACE)


async def test_an_older_token_ends_the_family_within_the_grace_as_well(accounts: Accounts) -> None:
    session = await _begun(accounts)
    for generation in (1, 2):
        await accounts.sessions.rotate(
            session.session_id, generation=generation, now=later(1), grace=GRACE
        )

    with pytest.raises(RefreshReusedError):
        await accounts.sessions.rotate(session.session_id, generation=1, now=later(2), grace=GRACE)

    for generation in (1, 2, 3, 4):
        with pytest.raises(SessionEndedError) as ended:
            await accounts.sessions.rotate(
                session.session_id, generation=generation, now=later(2), grace=GRACE
            )
        assert (ended.value.reason, ended.value.code) == ("reused", "session_ended")
    stored = await accounts.sessions.get(session.session_id)
    assert (stored.ended_at, stored.end_reason, stored.generation) == (later(2), "reused", 3)


async def test_a_generation_that_is_still_to_come_is_not_found(accounts: Accounts) -> None:
    session = await _begun(accounts)

    with pytest.raises(SessionNotFoundError):
        await accounts.sessions.rotate(session.session_id, generation=2, now=NOW, grace=GRACE)

    assert await accounts.sessions.get(session.session_id) == session


async def test_fifty_parallel_refreshes_go_one_generation_on(accounts: Accounts) -> None:
    session = await _begun(accounts)

    rotated, ended = await _rotate_at_once(accounts, session, calls=50, grace=GRACE)

    assert not ended
    assert rotated == {replace(session, generation=2, rotated_at=later(60)): 50}


async def test_without_grace_one_of_parallel_refreshes_holds_and_the_others_end_it(
    accounts: Accounts,
) -> None:
    session = await _begun(accounts)

    rotated, ended = await _rotate_at_once(accounts, session, calls=10, grace=NONE)

    assert list(rotated.values()) == [1]
    assert ended["refresh_reused"] >= 1
    assert ended["refresh_reused"] + ended["session_ended"] == 9
    assert (await accounts.sessions.get(session.session_id)).end_reason == "reused"


async def test_an_expired_session_goes_no_further(accounts: Accounts) -> None:
    session = await _begun(accounts, expires_at=later(100))

    with pytest.raises(SessionEndedError) as ended:
        await accounts.sessions.rotate(
            session.session_id, generation=1, now=later(100), grace=GRACE
        )

    assert ended.value.reason == "expired"
    count = await accounts.sessions.end(
        user_id=session.user_id, reason="signed_out", now=later(100)
    )
    assert count == 0


async def test_one_session_ends_or_all_or_all_but_one(accounts: Accounts) -> None:
    sessions = [await _begun(accounts) for _ in range(4)]
    others = await _begun(accounts, user_id="user-2")
    ids = [session.session_id for session in sessions]

    async def end(*, session_id: str | None = None, but: str | None = None) -> int:
        return await accounts.sessions.end(
            user_id="user-1", session_id=session_id, but=but, reason="revoked", now=later(5)
        )

    assert await end(session_id=others.session_id) == 0
    assert await end(session_id=ids[0]) == 1
    assert await end(session_id=ids[0]) == 0
    assert await end(but=ids[1]) == 2
    assert await accounts.sessions.ended([*ids, others.session_id], now=later(6)) == {
        ids[0],
        ids[2],
        ids[3],
    }
    assert await end() == 1
    assert await accounts.sessions.get(others.session_id) == others
    ended = await accounts.sessions.get(ids[0])
    assert (ended.ended_at, ended.end_reason) == (later(5), "revoked")


async def test_the_first_end_of_a_session_is_the_one_that_is_kept(accounts: Accounts) -> None:
    session = await _begun(accounts)
    await accounts.sessions.end(user_id="user-1", reason="password_changed", now=later(1))

    await accounts.sessions.end(user_id="user-1", reason="disabled", now=later(2))

    stored = await accounts.sessions.get(session.session_id)
    assert (stored.ended_at, stored.end_reason) == (later(1), "password_changed")


async def test_sessions_that_are_not_over_are_listed_newest_first(accounts: Accounts) -> None:
    old = await _begun(accounts, created_at=later(-9))
    new = await _begun(accounts, created_at=later(9))
    over = await _begun(accounts)
    await _begun(accounts, expires_at=NOW.replace(year=2020))
    await _begun(accounts, user_id="user-2")
    await accounts.sessions.end(
        user_id="user-1", session_id=over.session_id, reason="signed_out", now=NOW
    )

    assert list(await accounts.sessions.list("user-1")) == [new, old]
    assert list(await accounts.sessions.list("nobody")) == []


async def test_no_more_than_a_hundred_sessions_are_listed(accounts: Accounts) -> None:
    for second in range(MAX_SESSIONS_LISTED + 2):
        await _begun(accounts, created_at=later(second))

    listed = await accounts.sessions.list("user-1")

    assert len(listed) == MAX_SESSIONS_LISTED
    assert listed[0].created_at == later(MAX_SESSIONS_LISTED + 1)


async def test_whoever_is_over_expired_or_not_there_is_told_among_a_thousand(
    accounts: Accounts,
) -> None:
    live = await _begun(accounts)
    expired = await _begun(accounts, expires_at=later(10))
    unknown = {f"unknown-{number}" for number in range(997)} | {'"]); --'}

    asked = [live.session_id, expired.session_id, *unknown]

    assert await accounts.sessions.ended(asked, now=later(9)) == unknown
    assert await accounts.sessions.ended(asked, now=later(10)) == {*unknown, expired.session_id}
    assert await accounts.sessions.ended([], now=NOW) == frozenset()


async def test_a_sweep_removes_sessions_a_day_after_they_expired(accounts: Accounts) -> None:
    day = timedelta(days=1)
    gone = await _begun(accounts, expires_at=NOW - day)
    kept = await _begun(accounts, expires_at=NOW - day + timedelta(milliseconds=1))
    ended = await _begun(accounts, user_id="user-2")
    await accounts.sessions.end(user_id="user-2", reason="signed_out", now=NOW - 9 * day)

    await accounts.sweep(NOW)
    await accounts.sweep(NOW)

    assert await accounts.sessions.get(kept.session_id) == kept
    assert (await accounts.sessions.get(ended.session_id)).end_reason == "signed_out"
    with pytest.raises(SessionNotFoundError):
        await accounts.sessions.get(gone.session_id)


async def _begun(accounts: Accounts, **fields: Any) -> Session:
    session = a_session(**fields)
    await accounts.sessions.begin(session)
    return session


async def _rotate_at_once(
    accounts: Accounts, session: Session, *, calls: int, grace: timedelta
) -> tuple[Counter[Session], Counter[str]]:
    rotated: Counter[Session] = Counter()
    ended: Counter[str] = Counter()

    async def rotate() -> None:
        try:
            told = await accounts.sessions.rotate(
                session.session_id, generation=session.generation, now=later(60), grace=grace
            )
        except AccountsError as error:
            ended[error.code] += 1
        else:
            rotated[told] += 1

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(rotate)
    return rotated, ended
