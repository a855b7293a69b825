"""Users in SQLite."""

import sqlite3

from accounts import codec
from accounts.errors import EmailTakenError, LastAdminError, UserChangedError, UserNotFoundError
from accounts.model import Identity, Page, User
from accounts.rules import is_active_admin, same_user
from accounts.sqlite.records import Records
from accounts.sqlite.schema import RECORD_VERSION, user_of
from storage.sqlite import insert_row


class SqliteUsers:
    """`Users` in SQLite."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def create(self, user: User) -> User:
        def work(connection: sqlite3.Connection) -> User:
            row = _row(connection, "user_id = ?", user.user_id)
            if row is not None:
                return same_user(_user(connection, row), user)
            try:
                _insert(connection, user)
            except sqlite3.IntegrityError:
                raise EmailTakenError(user.user_id) from None
            return _found(connection, user.user_id)

        return await self._records.write(work)

    async def get(self, user_id: str) -> User:
        return await self._records.read(lambda connection: _found(connection, user_id))

    async def find(self, *, email: str = "", identity: Identity | None = None) -> User:
        def work(connection: sqlite3.Connection) -> User:
            if identity is None:
                row = _row(connection, "email = ?", email)
            else:
                row = _row(
                    connection,
                    "user_id = (SELECT user_id FROM user_identities"
                    " WHERE issuer = ? AND subject = ?)",
                    identity.issuer,
                    identity.subject,
                )
            if row is None:
                raise UserNotFoundError
            return _user(connection, row)

        return await self._records.read(work)

    async def list(
        self, *, limit: int, cursor: str | None = None, email_contains: str = ""
    ) -> Page[User]:
        after = codec.parse_user_cursor(cursor)
        if not codec.may_be_in_email(email_contains):
            return Page((), None)

        def work(connection: sqlite3.Connection) -> Page[User]:
            rows = connection.execute(
                "SELECT * FROM users WHERE email > ? AND instr(email, ?) > 0"
                " ORDER BY email LIMIT ?",
                (after, email_contains, limit + 1),
            ).fetchall()
            return codec.user_page([_user(connection, row) for row in rows], limit)

        return await self._records.read(work)

    async def put(self, user: User, *, if_version: int) -> User:
        def work(connection: sqlite3.Connection) -> User:
            stored = _found(connection, user.user_id)
            if stored.version != if_version:
                raise UserChangedError(user.user_id, stored.version)
            if is_active_admin(stored) and not is_active_admin(user):
                _keep_an_admin(connection, user.user_id)
            try:
                _update(connection, user)
            except sqlite3.IntegrityError:
                raise EmailTakenError(user.user_id) from None
            return _found(connection, user.user_id)

        return await self._records.write(work)


def _keep_an_admin(connection: sqlite3.Connection, user_id: str) -> None:
    other = connection.execute(
        "SELECT 1 FROM users WHERE role = 'admin' AND is_disabled = 0 AND user_id <> ? LIMIT 1",
        (user_id,),
    ).fetchone()
    if other is None:
        raise LastAdminError(user_id)


def _found(connection: sqlite3.Connection, user_id: str) -> User:
    row = _row(connection, "user_id = ?", user_id)
    if row is None:
        raise UserNotFoundError(user_id)
    return _user(connection, row)


def _row(connection: sqlite3.Connection, where: str, *values: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        f"SELECT * FROM users WHERE {where}",  # noqa: S608  # from this module
        values,
    ).fetchone()
    return row


def _user(connection: sqlite3.Connection, row: sqlite3.Row) -> User:
    identities = connection.execute(
        "SELECT issuer, subject FROM user_identities WHERE user_id = ? ORDER BY place",
        (row["user_id"],),
    )
    return user_of(row, tuple(Identity(issuer, subject) for issuer, subject in identities))


def _insert(connection: sqlite3.Connection, user: User) -> None:
    insert_row(
        connection,
        "users",
        {
            "user_id": user.user_id,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "password_hash": user.password_hash,
            "is_disabled": user.is_disabled,
            "created_at": codec.to_ms(user.created_at),
            "version": 1,
            "v": RECORD_VERSION,
        },
    )
    _insert_identities(connection, user)


def _update(connection: sqlite3.Connection, user: User) -> None:
    connection.execute(
        "UPDATE users SET email = ?, name = ?, role = ?, password_hash = ?, is_disabled = ?,"
        " version = version + 1 WHERE user_id = ?",
        (user.email, user.name, user.role, user.password_hash, user.is_disabled, user.user_id),
    )
    connection.execute("DELETE FROM user_identities WHERE user_id = ?", (user.user_id,))
    _insert_identities(connection, user)


def _insert_identities(connection: sqlite3.Connection, user: User) -> None:
    for place, identity in enumerate(user.identities):
        insert_row(
            connection,
            "user_identities",
            {
                "issuer": identity.issuer,
                "subject": identity.subject,
                "user_id": user.user_id,
                "place": place,
            },
        )
