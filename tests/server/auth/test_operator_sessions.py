"""An operator's cookie is good for a working day, for this token, and nothing else makes one."""

import pytest

from server.auth.failed_tries import MAX_ADDRESSES, FailedTries
from server.auth.guests import Guests
from server.auth.operator_sessions import MAX_AGE_S, OperatorSessions

SECRET = "session-secret-session-secret-01"  # noqa: S105 - made up for the tests
TOKEN = "operators-token-operators-token-0001"  # noqa: S105 - made up for the tests


class Clock:
    """Tells the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_cookie_is_good_for_eight_hours_and_not_longer() -> None:
    clock = Clock()
    sessions = OperatorSessions(SECRET, TOKEN, now=clock)
    cookie, ends_at = sessions.make()

    clock.now += MAX_AGE_S
    assert sessions.ends_at(cookie) == ends_at
    assert ends_at.timestamp() == clock.now

    clock.now += 1
    assert sessions.ends_at(cookie) is None


def test_a_cookie_is_good_wherever_secret_and_token_are_the_same() -> None:
    cookie, _ = OperatorSessions(SECRET, TOKEN).make()

    assert OperatorSessions(SECRET, TOKEN).ends_at(cookie) is not None
    assert OperatorSessions(SECRET, TOKEN + "2").ends_at(cookie) is None
    assert OperatorSessions(SECRET + "2", TOKEN).ends_at(cookie) is None


@pytest.mark.parametrize("damage", ["", "operator", "operator.x.y", "\u00e9", "a" * 4096])
def test_what_is_no_cookie_of_ours_is_none(damage: str) -> None:
    sessions = OperatorSessions(SECRET, TOKEN)

    assert sessions.ends_at(damage) is None
    assert sessions.ends_at(sessions.make()[0] + damage[:5] + "x") is None


def test_a_guests_cookie_makes_no_operator() -> None:
    _, cookie = Guests(SECRET).make()

    assert OperatorSessions(SECRET, TOKEN).ends_at(cookie) is None


def test_only_the_token_is_the_token() -> None:
    sessions = OperatorSessions(SECRET, TOKEN)

    assert sessions.is_token(TOKEN.encode())
    assert not any(sessions.is_token(each) for each in (b"", TOKEN[:-1].encode(), b"\xff" * 36))


def test_an_address_that_guessed_wrong_too_often_waits_until_its_first_guess_is_old() -> None:
    clock = Clock()
    tries = FailedTries(limit=3, window_s=60, clock=clock)
    for _ in range(3):
        assert tries.wait_s("192.0.2.1") == 0
        tries.failed("192.0.2.1")
        clock.now += 10

    assert tries.wait_s("192.0.2.1") == 30
    assert tries.wait_s("192.0.2.2") == 0
    clock.now += 30
    assert tries.wait_s("192.0.2.1") == 0
    tries.failed("192.0.2.1")
    assert tries.wait_s("192.0.2.1") == 10


def test_addresses_of_one_ipv6_network_are_one_caller() -> None:
    tries = FailedTries(limit=1, window_s=60)
    tries.failed("2001:db8:0:1::1")

    assert tries.wait_s("2001:db8:0:1:ffff::2") > 0
    assert tries.wait_s("2001:db8:0:2::1") == 0


def test_callers_by_ipv4_on_a_socket_for_both_kinds_are_told_apart() -> None:
    tries = FailedTries(limit=1, window_s=60)
    tries.failed("::ffff:192.0.2.1")

    assert tries.wait_s("::ffff:192.0.2.1") > 0
    assert tries.wait_s("192.0.2.1") > 0
    assert tries.wait_s("::ffff:192.0.2.2") == 0
    assert tries.wait_s("::1") == 0


def test_no_more_addresses_are_remembered_than_the_bound() -> None:
    clock = Clock()
    tries = FailedTries(limit=1, window_s=60, clock=clock)
    for number in range(MAX_ADDRESSES + 1):
        tries.failed(f"caller {number}")

    assert tries.wait_s("caller 0") == 0
    assert tries.wait_s("caller 1") == 60
