"""What every store of API keys promises."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from accounts.base import MAX_API_KEYS, Accounts
from accounts.errors import ApiKeyNotFoundError, TooManyApiKeysError
from tests.accounts.factories import NOW, an_api_key, later


async def test_a_key_comes_back_as_it_was_made(accounts: Accounts) -> None:
    plain, full = an_api_key(), an_api_key(expires_at=later(60), scopes=frozenset({"ofrep"}))

    for key in (plain, full):
        await accounts.api_keys.create(key)

        assert await accounts.api_keys.get(key.key_id) == key
    with pytest.raises(ApiKeyNotFoundError):
        await accounts.api_keys.get("nobody")


async def test_making_a_key_again_does_not_bring_it_back(accounts: Accounts) -> None:
    key = an_api_key()
    await accounts.api_keys.create(key)
    await accounts.api_keys.revoke(key.user_id, key.key_id, now=later(1))

    await accounts.api_keys.create(key)

    assert await accounts.api_keys.get(key.key_id) == replace(key, revoked_at=later(1))


async def test_keys_are_listed_newest_first_and_revoked_ones_for_a_month(
    accounts: Accounts,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    old = an_api_key(created_at=later(-9))
    lately = an_api_key(revoked_at=now - timedelta(days=29))
    long_ago = an_api_key(revoked_at=now - timedelta(days=31))
    new = an_api_key(created_at=later(9))
    for key in (old, lately, long_ago, new, an_api_key(user_id="user-2")):
        await accounts.api_keys.create(key)

    assert list(await accounts.api_keys.list("user-1")) == [new, lately, old]


async def test_a_revoked_key_stays_revoked_since_then(accounts: Accounts) -> None:
    key = an_api_key()
    await accounts.api_keys.create(key)

    for at in (later(1), later(2)):
        await accounts.api_keys.revoke("user-1", key.key_id, now=at)

    assert (await accounts.api_keys.get(key.key_id)).revoked_at == later(1)
    for user_id, key_id in (("user-2", key.key_id), ("user-1", "nobody")):
        with pytest.raises(ApiKeyNotFoundError):
            await accounts.api_keys.revoke(user_id, key_id, now=NOW)


async def test_a_use_is_noted_and_time_goes_on_only(accounts: Accounts) -> None:
    key = an_api_key()
    await accounts.api_keys.create(key)

    for at in (later(5), later(9), later(7)):
        await accounts.api_keys.used(key.key_id, at=at)
    await accounts.api_keys.used("nobody", at=NOW)

    assert await accounts.api_keys.get(key.key_id) == replace(key, last_used_at=later(9))


async def test_a_user_has_so_many_keys_and_no_more_however_they_are_made(
    accounts: Accounts,
) -> None:
    keys = [an_api_key() for _ in range(MAX_API_KEYS + 10)]
    refused: list[str] = []

    async def create(number: int) -> None:
        try:
            await accounts.api_keys.create(keys[number])
        except TooManyApiKeysError:
            refused.append(keys[number].key_id)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(len(keys)):
                tasks.start_soon(create, number)

    assert len(refused) == 10
    mine = await accounts.api_keys.list("user-1")
    assert {key.key_id for key in mine} == {key.key_id for key in keys} - set(refused)
    await accounts.api_keys.create(mine[0])  # again: nothing new, so not one too many
    await accounts.api_keys.create(an_api_key(user_id="user-2"))
    await accounts.api_keys.revoke("user-1", mine[7].key_id, now=NOW)
    await accounts.api_keys.create(an_api_key())
    with pytest.raises(TooManyApiKeysError):
        await accounts.api_keys.create(an_api_key())


async def test_a_sweep_removes_keys_a_month_after_their_end(accounts: Accounts) -> None:
    month = timedelta(days=30)
    live = an_api_key(expires_at=NOW + month)
    for_ever = an_api_key()
    late = NOW - month + timedelta(milliseconds=1)
    kept = [live, for_ever, an_api_key(expires_at=late), an_api_key(revoked_at=late)]
    gone = [an_api_key(expires_at=NOW - month), an_api_key(revoked_at=NOW - month)]
    for key in (*kept, *gone):
        await accounts.api_keys.create(key)

    await accounts.sweep(NOW)

    for key in kept:
        assert await accounts.api_keys.get(key.key_id) == key
    for key in gone:
        with pytest.raises(ApiKeyNotFoundError):
            await accounts.api_keys.get(key.key_id)
