"""API keys in SQLite."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from accounts import codec
from accounts.base import MAX_API_KEYS, MAX_KEYS_LISTED
from accounts.errors import ApiKeyNotFoundError, TooManyApiKeysError
from accounts.model import ApiKey
from accounts.rules import newest_keys
from accounts.sqlite.records import Records
from accounts.sqlite.schema import RECORD_VERSION, api_key_of
from storage.sqlite import insert_row


class SqliteApiKeys:
    """`ApiKeys` in SQLite."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def create(self, key: ApiKey) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if _row(connection, key.key_id) is not None:
                return
            _expect_room(connection, key.user_id)
            _insert(connection, key)

        await self._records.write(work)

    async def get(self, key_id: str) -> ApiKey:
        def work(connection: sqlite3.Connection) -> ApiKey:
            row = _row(connection, key_id)
            if row is None:
                raise ApiKeyNotFoundError(key_id)
            return api_key_of(row)

        return await self._records.read(work)

    async def list(self, user_id: str) -> Sequence[ApiKey]:
        since_ms = codec.to_ms(datetime.now(UTC) - codec.API_KEY_KEPT)

        def work(connection: sqlite3.Connection) -> Sequence[ApiKey]:
            good = _newest(connection, "user_id = ? AND revoked_at IS NULL", user_id)
            revoked = _newest(connection, "user_id = ? AND revoked_at > ?", user_id, since_ms)
            return newest_keys([*good, *revoked])

        return await self._records.read(work)

    async def revoke(self, user_id: str, key_id: str, *, now: datetime) -> None:
        def work(connection: sqlite3.Connection) -> None:
            revoked = connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?)"
                " WHERE key_id = ? AND user_id = ?",
                (codec.to_ms(now), key_id, user_id),
            )
            if revoked.rowcount == 0:
                raise ApiKeyNotFoundError(key_id)

        await self._records.write(work)

    async def used(self, key_id: str, *, at: datetime) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?)"
                " WHERE key_id = ?",
                (codec.to_ms(at), key_id),
            )

        await self._records.write(work)


def _row(connection: sqlite3.Connection, key_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM api_keys WHERE key_id = ?", (key_id,)
    ).fetchone()
    return row


def _newest(connection: sqlite3.Connection, which: str, *values: object) -> Sequence[ApiKey]:
    rows = connection.execute(
        f"SELECT * FROM api_keys WHERE {which}"  # noqa: S608  # from this module
        " ORDER BY created_at DESC, key_id DESC LIMIT ?",
        (*values, MAX_KEYS_LISTED),
    )
    return [api_key_of(row) for row in rows]


def _expect_room(connection: sqlite3.Connection, user_id: str) -> None:
    count = connection.execute(
        "SELECT count(*) FROM api_keys WHERE user_id = ? AND revoked_at IS NULL", (user_id,)
    ).fetchone()[0]
    if count >= MAX_API_KEYS:
        raise TooManyApiKeysError(user_id)


def _insert(connection: sqlite3.Connection, key: ApiKey) -> None:
    insert_row(
        connection,
        "api_keys",
        {
            "key_id": key.key_id,
            "user_id": key.user_id,
            "name": key.name,
            "key_hash": key.key_hash,
            "scopes": " ".join(sorted(key.scopes)),
            "created_at": codec.to_ms(key.created_at),
            "expires_at": codec.to_optional_ms(key.expires_at),
            "last_used_at": codec.to_optional_ms(key.last_used_at),
            "revoked_at": codec.to_optional_ms(key.revoked_at),
            "v": RECORD_VERSION,
        },
    )
