"""For whom a call counts."""

import pytest
from starlette.requests import Request

from server.auth.caller import Caller, Owner
from server.limits.addresses import Addresses, networks
from server.limits.subjects import Census, Subject
from server.limits.turns import TurnBounds

ADDRESSES = Addresses("secret", networks(["203.0.113.0/24"]))
ADDRESS = ADDRESSES.name("192.0.2.1")


def a_request(caller: Caller, address: str = "192.0.2.1") -> Request:
    scope = {"type": "http", "client": (address, 1), "state": {"caller": caller}, "headers": []}
    return Request(scope)


def census(factor: int = 10) -> Census:
    return Census(ADDRESSES, address_factor=factor)


USER = Caller(Owner("guest_was", "user", "session_1"))
ADMIN = Caller(Owner("user_1", "admin", "session_2"), operator="user:user_1")
KEY = Caller(Owner("user_1", "user"), scopes=frozenset({"chat"}))
GUEST = Caller(Owner("guest_1"))
NOBODY = Caller()


@pytest.mark.parametrize(
    ("caller", "subjects"),
    [
        (USER, (Subject("guest_was", is_user=True),)),
        (ADMIN, (Subject("user_1", is_user=True),)),
        (KEY, (Subject("user_1", is_user=True),)),
        (GUEST, (Subject(ADDRESS, 10), Subject("guest_1"))),
        (NOBODY, (Subject(ADDRESS, 10),)),
    ],
    ids=["user", "admin", "api_key", "guest", "nobody"],
)
def test_users_count_for_themselves_and_guests_for_their_address_too(
    caller: Caller, subjects: tuple[Subject, ...]
) -> None:
    assert census().subjects(a_request(caller)) == subjects


def test_without_a_factor_an_address_may_have_any_number_of_guests() -> None:
    assert census(0).subjects(a_request(GUEST)) == (Subject("guest_1"),)
    assert census(0).subjects(a_request(NOBODY)) == ()


@pytest.mark.parametrize("caller", [GUEST, NOBODY])
def test_a_sign_in_counts_for_the_address_whatever_guest_it_comes_from(caller: Caller) -> None:
    assert census().strangers(a_request(caller)) == (Subject(ADDRESS),)


@pytest.mark.parametrize("caller", [USER, GUEST, NOBODY])
def test_of_an_allowed_address_nobody_is_counted(caller: Caller) -> None:
    request = a_request(caller, "203.0.113.9")

    assert census().subjects(request) == census().strangers(request) == ()


def test_the_guests_of_an_address_have_their_tokens_together() -> None:
    bounds = TurnBounds(user_tokens=500, guest_tokens=100)

    subjects = [Subject("user_1", is_user=True), Subject("guest_1"), Subject(ADDRESS, 10)]
    assert [bounds.tokens(subject) for subject in subjects] == [500, 100, 1000]
