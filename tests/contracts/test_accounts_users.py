"""What every store of users promises."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
import pytest

from accounts.base import Accounts
from accounts.errors import (
    AccountsError,
    EmailTakenError,
    LastAdminError,
    UserChangedError,
    UserNotFoundError,
)
from accounts.model import User
from tests.accounts.factories import a_user, an_admin, an_identity


async def test_a_user_is_found_by_id_by_address_and_by_each_identity(accounts: Accounts) -> None:
    user = a_user(identities=(an_identity(), an_identity()), password_hash=None)

    assert await accounts.users.create(user) == user

    assert await accounts.users.get(user.user_id) == user
    assert await accounts.users.find(email=user.email) == user
    for identity in user.identities:
        assert await accounts.users.find(identity=identity) == user


async def test_who_is_not_there_is_not_found(accounts: Accounts) -> None:
    user = await accounts.users.create(a_user())

    for email in ("", "nobody@example.com", user.email.upper(), ".*", user.email[:-1]):
        with pytest.raises(UserNotFoundError):
            await accounts.users.find(email=email)
    with pytest.raises(UserNotFoundError):
        await accounts.users.find(identity=an_identity())
    with pytest.raises(UserNotFoundError):
        await accounts.users.get("nobody")
    with pytest.raises(UserNotFoundError):
        await accounts.users.put(a_user(), if_version=1)


async def test_creating_a_user_again_is_nothing_new(accounts: Accounts) -> None:
    user = a_user(identities=(an_identity(),), version=7)
    fine = replace(user, created_at=user.created_at + timedelta(microseconds=300))

    made = await accounts.users.create(fine)

    assert made == replace(user, version=1)
    assert await accounts.users.create(fine) == made


async def test_an_address_an_id_and_an_identity_are_one_users(accounts: Accounts) -> None:
    identity = an_identity()
    ann = await accounts.users.create(a_user(identities=(identity,)))
    bea = await accounts.users.create(a_user())

    for taken in (
        a_user(email=ann.email),
        a_user(ann.user_id),
        replace(ann, name="Another"),
        a_user(identities=(an_identity(), identity)),
    ):
        with pytest.raises(EmailTakenError):
            await accounts.users.create(taken)
    for taken in (replace(bea, email=ann.email), replace(bea, identities=(identity,))):
        with pytest.raises(EmailTakenError):
            await accounts.users.put(taken, if_version=1)

    assert await accounts.users.get(bea.user_id) == bea
    assert await accounts.users.find(identity=identity) == ann


async def test_an_identity_that_was_refused_with_its_user_is_free(accounts: Accounts) -> None:
    identity = an_identity()
    ann = await accounts.users.create(a_user())
    with pytest.raises(EmailTakenError):
        await accounts.users.create(a_user(email=ann.email, identities=(identity,)))
    with pytest.raises(UserChangedError):
        await accounts.users.put(replace(ann, identities=(identity,)), if_version=3)

    bea = await accounts.users.create(a_user(identities=(identity,)))

    assert await accounts.users.find(identity=identity) == bea


async def test_an_identity_goes_from_one_user_to_another(accounts: Accounts) -> None:
    kept, moved = an_identity(), an_identity()
    ann = await accounts.users.create(a_user(identities=(kept, moved)))
    bea = await accounts.users.create(a_user())

    ann = await accounts.users.put(replace(ann, identities=(kept,)), if_version=1)
    with pytest.raises(UserNotFoundError):
        await accounts.users.find(identity=moved)
    bea = await accounts.users.put(replace(bea, identities=(moved,)), if_version=1)

    assert await accounts.users.find(identity=kept) == ann
    assert await accounts.users.find(identity=moved) == bea


async def test_of_parallel_creations_of_one_address_one_holds(accounts: Accounts) -> None:
    identity = an_identity()
    users = [a_user(email="one@example.com", identities=(identity,)) for _ in range(8)]

    ended = await _outcomes([partial(accounts.users.create, user) for user in users])

    assert ended == {"ok": 1, "email_taken": 7}
    assert await accounts.users.find(identity=identity) == await accounts.users.find(
        email="one@example.com"
    )


async def test_a_put_replaces_what_may_change_and_counts(accounts: Accounts) -> None:
    user = await accounts.users.create(a_user())
    changed = replace(
        user,
        email="new@example.com",
        name="",
        role="admin",
        password_hash=None,
        is_disabled=True,
        identities=(an_identity(),),
    )

    put = await accounts.users.put(replace(changed, version=9), if_version=1)

    assert put == replace(changed, version=2) == await accounts.users.get(user.user_id)
    assert await accounts.users.find(email="new@example.com") == put
    with pytest.raises(UserNotFoundError):
        await accounts.users.find(email=user.email)


async def test_a_put_holds_at_its_version_only(accounts: Accounts) -> None:
    user = await accounts.users.create(a_user())
    second = await accounts.users.put(replace(user, name="Second"), if_version=1)

    for seen in (0, 1, 3):
        with pytest.raises(UserChangedError) as refused:
            await accounts.users.put(replace(user, name="Late"), if_version=seen)
        assert refused.value.version == 2

    assert await accounts.users.get(user.user_id) == second


async def test_the_last_admin_who_may_sign_in_stays(accounts: Accounts) -> None:
    ann = await accounts.users.create(an_admin())
    await accounts.users.create(an_admin(is_disabled=True))
    await accounts.users.create(a_user())

    for less in (replace(ann, role="user"), replace(ann, is_disabled=True)):
        with pytest.raises(LastAdminError):
            await accounts.users.put(less, if_version=1)

    renamed = await accounts.users.put(replace(ann, name="Chief"), if_version=1)
    bea = await accounts.users.create(an_admin())
    demoted = await accounts.users.put(replace(renamed, role="user"), if_version=2)
    assert demoted.role == "user"
    with pytest.raises(LastAdminError):
        await accounts.users.put(replace(bea, is_disabled=True), if_version=1)


async def test_of_admins_who_demote_each_other_at_once_one_stays(accounts: Accounts) -> None:
    admins = [await accounts.users.create(an_admin()) for _ in range(6)]

    ended = await _outcomes([_demotion(accounts, admin) for admin in admins])

    assert ended == {"ok": 5, "last_admin": 1}
    stored = [await accounts.users.get(admin.user_id) for admin in admins]
    assert [user.role for user in stored].count("admin") == 1


async def test_users_are_listed_by_address_page_by_page(accounts: Accounts) -> None:
    users = [await accounts.users.create(a_user(email=f"{n}@example.com")) for n in "dbeac"]
    users.sort(key=lambda user: user.email)

    listed: list[User] = []
    cursor: str | None = None
    for size in (2, 2, 1):
        page = await accounts.users.list(limit=2, cursor=cursor)
        assert len(page.items) == size
        listed += page.items
        cursor = page.next

    assert listed == users
    assert cursor is None
    assert (await accounts.users.list(limit=5)).next is None


async def test_a_text_is_found_in_addresses_as_it_stands(accounts: Accounts) -> None:
    emails = ["a.b+c@example.com", "axb@example.com", "größe@example.com", "a_b%@example.org"]
    for email in emails:
        await accounts.users.create(a_user(email=email))

    async def found(text: str) -> list[str]:
        page = await accounts.users.list(limit=9, email_contains=text)
        return [user.email for user in page.items]

    assert await found("") == sorted(emails)
    assert await found("a.b") == ["a.b+c@example.com"]
    assert await found("_b%") == ["a_b%@example.org"]
    assert await found("+c@") == ["a.b+c@example.com"]
    assert await found("größe") == ["größe@example.com"]
    for text in (".*", "^a", "(a+)+$", "\\", "a\0", "\ud800", "x" * 10_000, "A.B", '{"$ne":1}'):
        assert await found(text) == []
    page = await accounts.users.list(limit=1, email_contains="example.com")
    rest = await accounts.users.list(limit=9, cursor=page.next, email_contains="example.com")
    assert [user.email for user in (*page.items, *rest.items)] == sorted(emails[:3])


@pytest.mark.parametrize("cursor", ["", "x", "====", "ä", "AA==", "YQ==\n", "Y Q=="])
async def test_a_strange_cursor_is_refused(accounts: Accounts, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await accounts.users.list(limit=1, cursor=cursor)


def _demotion(accounts: Accounts, admin: User) -> Callable[[], Awaitable[object]]:
    return lambda: accounts.users.put(replace(admin, role="user"), if_version=1)


async def _outcomes(calls: list[Callable[[], Awaitable[object]]]) -> Counter[str]:
    """Run calls at once; count how they ended."""
    ended: Counter[str] = Counter()

    async def run(call: Callable[[], Awaitable[object]]) -> None:
        try:
            await call()
        except AccountsError as error:
            ended[error.code] += 1
        else:
            ended["ok"] += 1

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(run, call)
    return ended
