"""Every attack has something that shows what comes of it, or a reason; the page tells it."""

from tests.security.attacks import attacks
from tests.security.checks import CHECKS
from tests.security.page import PAGE, missing_tests, written

ATTACKS = attacks()


def test_the_attacks_are_numbered_without_gaps_and_their_requests_have_names_of_their_own() -> None:
    assert [each.number for each in ATTACKS] == list(range(1, len(ATTACKS) + 1))
    ids = [case.id for each in ATTACKS for case in each.cases]
    assert len(ids) == len(set(ids)) > 100


def test_each_attack_is_shown_or_says_why_not() -> None:
    for each in ATTACKS:
        is_shown = bool(each.cases or each.checks or each.shown_by)
        assert is_shown != bool(each.not_here or each.waits_for), each.number


def test_what_shows_an_attack_is_there() -> None:
    assert missing_tests() == []
    assert sorted(name for each in ATTACKS for name in each.checks) == sorted(CHECKS)


def test_the_page_has_the_table_as_it_is_now() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == written(page), "run `python -m tests.security`"
