"""Every fault has a test that shows what holds, or says what it waits for; the page tells it."""

from tests.reliability.page import PAGE, shown_by, written
from tests.reliability.rows import GROUPS

ROWS = [row for _, rows in GROUPS for row in rows]


def test_the_rows_are_numbered_without_gaps() -> None:
    assert [row.number for row in ROWS] == list(range(1, len(ROWS) + 1))


def test_each_row_is_shown_or_waits_for_something() -> None:
    shown = shown_by()

    assert [row.number for row in ROWS if bool(shown.get(row.number)) == bool(row.waits_for)] == []
    assert sorted(shown.keys() - {row.number for row in ROWS}) == []


def test_the_page_has_the_table_as_it_is_now() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == written(page), "run `python -m tests.reliability`"
