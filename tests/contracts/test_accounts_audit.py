"""What every store of the audit log promises."""

from dataclasses import replace

import pytest

from accounts.base import Accounts
from accounts.model import AuditEntry
from tests.accounts.factories import an_entry


async def test_an_entry_comes_back_as_it_was_written(accounts: Accounts) -> None:
    entry = an_entry()

    await accounts.audit.add(entry)

    assert (await accounts.audit.list(limit=1)).items == (entry,)


async def test_an_entry_written_again_is_one_and_stays_as_it_was(accounts: Accounts) -> None:
    entry = an_entry()
    await accounts.audit.add(entry)

    for again in (entry, replace(entry, why="Rewritten", who="somebody")):
        await accounts.audit.add(again)

    assert (await accounts.audit.list(limit=9)).items == (entry,)


async def test_entries_are_listed_newest_first_page_by_page(accounts: Accounts) -> None:
    entries = await _written(accounts)

    first = await accounts.audit.list(limit=2)
    second = await accounts.audit.list(limit=2, cursor=first.next)
    third = await accounts.audit.list(limit=2, cursor=second.next)

    assert [*first.items, *second.items, *third.items] == entries[::-1]
    assert third.next is None
    whole = await accounts.audit.list(limit=len(entries))
    assert (len(whole.items), whole.next) == (len(entries), None)


async def test_entries_are_chosen_by_subject_by_actor_and_by_both(accounts: Accounts) -> None:
    one, two, three, four, five = await _written(accounts)

    async def chosen(*, subject: str = "", who: str = "") -> list[AuditEntry]:
        return list((await accounts.audit.list(limit=9, subject=subject, who=who)).items)

    assert await chosen(subject="user-1") == [five, four, two, one]
    assert await chosen(who="cli") == [five, three, two]
    assert await chosen(subject="user-1", who="cli") == [five, two]
    assert await chosen(subject="user-3") == await chosen(who="$ne") == []
    page = await accounts.audit.list(limit=1, subject="user-1", who="cli")
    rest = await accounts.audit.list(limit=1, cursor=page.next, subject="user-1", who="cli")
    assert (rest.items, rest.next) == ((two,), None)


@pytest.mark.parametrize("cursor", ["", " ", "a\n", "ä", "x" * 129, "\x00"])
async def test_a_strange_cursor_is_refused(accounts: Accounts, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await accounts.audit.list(limit=1, cursor=cursor)


async def _written(accounts: Accounts) -> list[AuditEntry]:
    entries = [
        an_entry(),
        an_entry(who="cli"),
        an_entry(who="cli", subject="user-2"),
        an_entry(),
        an_entry(who="cli"),
    ]
    for entry in (entries[2], entries[0], entries[4], entries[1], entries[3]):
        await accounts.audit.add(entry)
    return entries
