"""A session's end is known at once here, soon where it was ended elsewhere, and asked for once."""

from collections.abc import Collection
from datetime import datetime

import pytest

from accounts.errors import AccountsUnavailableError, SessionNotFoundError, UserNotFoundError
from accounts.model import EndReason, Session, User
from server.auth.guests import NONE_FOR_S, UNKNOWN_FOR_S, Converted
from server.auth.session_states import MAX_KNOWN, SessionStates
from tests.server.auth.clock import Clock

CHECK_S = 5.0


class Store:
    """Sessions that others end, in a store that may be lost."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.asked: list[str] = []
        self.is_lost = False

    async def ended(self, session_ids: Collection[str], *, now: datetime) -> frozenset[str]:  # noqa: ARG002
        if self.is_lost:
            raise AccountsUnavailableError
        self.asked += session_ids
        return frozenset(self.over) & frozenset(session_ids)

    async def get(self, session_id: str) -> Session:
        raise SessionNotFoundError(session_id)


def states() -> tuple[SessionStates, Store, Clock, list[tuple[str, EndReason]]]:
    store, clock, told = Store(), Clock(), list[tuple[str, EndReason]]()
    known = SessionStates(store, check_s=CHECK_S, clock=clock)  # type: ignore[arg-type]  # a part
    known.on_over(lambda session_id, reason: told.append((session_id, reason)))
    return known, store, clock, told


async def test_a_good_session_is_asked_about_once_in_a_while() -> None:
    known, store, clock, _ = states()

    for _ in range(3):
        assert not await known.is_over("s", "ann")
        clock.now += CHECK_S / 2

    assert store.asked == ["s", "s"]


async def test_an_end_made_elsewhere_is_noticed_at_the_next_look_and_told_once() -> None:
    known, store, clock, told = states()
    assert not await known.is_over("s", "ann")
    store.over.add("s")

    assert not await known.is_over("s", "ann")
    clock.now += CHECK_S
    assert await known.is_over("s", "ann")
    assert await known.is_over("s", "ann")

    assert told == [("s", "expired")]
    assert len(store.asked) == 2


async def test_who_must_know_for_certain_asks_each_time() -> None:
    known, store, _, _ = states()
    assert not await known.is_over_now("s", "ann")
    store.over.add("s")

    assert await known.is_over_now("s", "ann")


async def test_while_the_store_is_lost_a_session_goes_on_and_it_is_asked_now_and_then() -> None:
    known, store, clock, _ = states()
    store.is_lost = True

    assert not await known.is_over("s", "ann")
    with pytest.raises(AccountsUnavailableError):
        await known.is_over_now("s", "ann")
    store.is_lost = False
    store.over.add("s")
    assert not await known.is_over("s", "ann")
    clock.now += CHECK_S
    assert await known.is_over("s", "ann")


async def test_a_users_sessions_end_at_once_but_the_one_that_is_spared() -> None:
    known, _, _, told = states()
    for session_id, user_id in (("a", "ann"), ("b", "ann"), ("c", "ann"), ("d", "bob")):
        await known.is_over(session_id, user_id)

    known.user_over("ann", session_id=None, but="b", reason="password_changed")
    assert sorted(told) == [("a", "password_changed"), ("c", "password_changed")]
    known.user_over("bob", session_id="c", but=None, reason="revoked")
    known.user_over("bob", session_id="d", but=None, reason="revoked")

    assert told[2:] == [("d", "revoked")]
    assert not await known.is_over("b", "ann")


async def test_all_open_sessions_are_looked_at_in_batches() -> None:
    known, store, _, _ = states()
    store.over = {"s7", "s2345"}

    over = await known.look([f"s{number}" for number in range(2500)])

    assert over == {"s7": "expired", "s2345": "expired"}
    assert await known.look(["s7", "s8"]) == {"s7": "expired"}


async def test_no_more_sessions_are_remembered_than_the_bound() -> None:
    known, store, _, _ = states()
    for number in range(MAX_KNOWN + 1):
        known.over(f"s{number}", "signed_out")
    store.over.add("s0")

    assert await known.is_over("s0", "ann")
    assert store.asked == ["s0"]


class Accounts:
    """Who has an account, in a store that may be lost."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.asked = 0
        self.is_lost = False

    async def get(self, user_id: str) -> User:
        self.asked += 1
        if self.is_lost:
            raise AccountsUnavailableError
        if user_id not in self.known:
            raise UserNotFoundError(user_id)
        return User(user_id, "", "", "user", None, datetime.min)  # noqa: DTZ901  # not looked at


def converted() -> tuple[Converted, Accounts, Clock]:
    accounts, clock = Accounts(), Clock()
    return Converted(accounts, clock=clock), accounts, clock  # type: ignore[arg-type]  # a part


async def test_a_guest_who_registered_elsewhere_is_noticed_within_a_minute_and_for_ever() -> None:
    known, accounts, clock = converted()
    assert not await known.is_account("guest")
    accounts.known.add("guest")

    assert not await known.is_account("guest")
    clock.now += NONE_FOR_S
    assert await known.is_account("guest")
    accounts.known.clear()
    clock.now += 10 * NONE_FOR_S
    assert await known.is_account("guest")
    assert accounts.asked == 2


async def test_a_guest_who_registered_here_is_known_at_once() -> None:
    known, accounts, _ = converted()
    known.is_new("guest")
    assert not await known.is_account("guest")

    known.is_account_now("guest")

    assert await known.is_account("guest")
    assert accounts.asked == 0


async def test_while_the_store_is_lost_a_guest_is_one_and_it_is_asked_now_and_then() -> None:
    known, accounts, clock = converted()
    accounts.is_lost = True
    for _ in range(3):
        assert not await known.is_account("guest")
    assert accounts.asked == 1
    accounts.is_lost = False
    accounts.known.add("guest")
    clock.now += UNKNOWN_FOR_S

    assert await known.is_account("guest")
