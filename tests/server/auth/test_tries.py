"""Who guesses is slowed down; who knows is not locked out."""

import pytest

from server.auth import account_tries, wrong_proofs
from server.auth.account_tries import FREE_TRIES, AccountTries
from server.auth.wrong_proofs import MAX_PROVED, TRIES, WrongProofs
from tests.server.auth.clock import Clock

ANN = "ann@example.com"
HOME, CAFE, ELSEWHERE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def failed(proofs: WrongProofs, address: str, times: int) -> None:
    for _ in range(times):
        proofs.failed(address)


def test_an_address_that_guessed_much_is_let_try_once_a_second() -> None:
    clock = Clock()
    proofs = WrongProofs(clock=clock)
    failed(proofs, HOME, TRIES - 1)
    assert [proofs.wait_s(HOME, "guess") for _ in range(3)] == [0, 0, 0]
    failed(proofs, HOME, 1)

    assert [proofs.wait_s(HOME, "guess") for _ in range(3)] == [0, 1, 1]
    assert proofs.wait_s(ELSEWHERE, "guess") == 0
    clock.now += 1
    assert [proofs.wait_s(HOME, "guess") for _ in range(2)] == [0, 1]


def test_what_was_right_there_before_passes_whoever_else_guesses() -> None:
    proofs = WrongProofs(clock=Clock())
    proofs.proved(HOME, "right")
    failed(proofs, HOME, TRIES)
    failed(proofs, CAFE, TRIES)
    proofs.wait_s(HOME, "guess")
    proofs.wait_s(CAFE, "guess")

    assert [proofs.wait_s(HOME, "right") for _ in range(3)] == [0, 0, 0]
    assert proofs.wait_s(CAFE, "right") == 1


def test_guesses_are_forgotten_after_the_window() -> None:
    clock = Clock()
    proofs = WrongProofs(clock=clock)
    failed(proofs, HOME, TRIES)
    clock.now += wrong_proofs.WINDOW_S

    assert [proofs.wait_s(HOME, "guess") for _ in range(3)] == [0, 0, 0]


def test_no_more_proofs_are_remembered_than_the_bound() -> None:
    proofs = WrongProofs(clock=Clock())
    for number in range(MAX_PROVED + 1):
        proofs.proved(HOME, f"right {number}")
    failed(proofs, HOME, TRIES)
    proofs.wait_s(HOME, "guess")

    assert proofs.wait_s(HOME, "right 0") == 1
    assert proofs.wait_s(HOME, "right 1") == 0


def test_an_account_takes_one_try_a_minute_from_new_addresses_after_five_failures() -> None:
    clock = Clock()
    tries = AccountTries(clock=clock)
    waits = []
    for number in range(20):
        wait_s = tries.wait_s(ANN, f"198.51.100.{number}", known_addresses=())
        waits.append(wait_s)
        if wait_s == 0:
            tries.failed(ANN)

    assert waits == [0] * (FREE_TRIES + 1) + [60] * 14
    assert tries.wait_s("bob@example.com", ELSEWHERE, known_addresses=()) == 0
    clock.now += 60
    assert tries.wait_s(ANN, ELSEWHERE, known_addresses=()) == 0
    assert tries.wait_s(ANN, ELSEWHERE, known_addresses=()) == 60


def test_whoever_comes_from_where_they_signed_in_does_not_wait() -> None:
    tries = AccountTries(clock=Clock())
    tries.succeeded(ANN, HOME)
    for _ in range(FREE_TRIES):
        tries.failed(ANN)
    assert tries.wait_s(ANN, ELSEWHERE, known_addresses=()) == 0

    assert tries.wait_s(ANN, HOME, known_addresses=()) == 0
    assert tries.wait_s(ANN, CAFE, known_addresses={CAFE}) == 0
    assert tries.wait_s(ANN, CAFE, known_addresses=()) == 60
    assert tries.wait_s("bob@example.com", HOME, known_addresses=()) == 0


def test_failures_of_an_account_are_forgotten_after_the_window() -> None:
    clock = Clock()
    tries = AccountTries(clock=clock)
    for _ in range(FREE_TRIES):
        tries.failed(ANN)
    assert tries.is_slowed(ANN)
    clock.now += account_tries.WINDOW_S

    assert not tries.is_slowed(ANN)


@pytest.mark.parametrize("times", [1, 100])
def test_where_nothing_is_counted_nobody_waits(times: int) -> None:
    tries, proofs = AccountTries(is_counting=False), WrongProofs(is_counting=False)
    for _ in range(times):
        tries.failed(ANN)
        proofs.failed(HOME)

    assert [tries.wait_s(ANN, HOME, known_addresses=()) for _ in range(2)] == [0, 0]
    assert [proofs.wait_s(HOME, "guess") for _ in range(2)] == [0, 0]
