"""Sessions in SQLite."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from accounts import codec
from accounts.base import MAX_SESSIONS_LISTED
from accounts.errors import RefreshReusedError, SessionNotFoundError
from accounts.model import EndReason, Session
from accounts.rules import rotation_step
from accounts.sqlite.records import Records
from accounts.sqlite.schema import RECORD_VERSION, session_of
from storage.sqlite import insert_row


class SqliteSessions:
    """`Sessions` in SQLite."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def begin(self, session: Session) -> None:
        await self._records.write(lambda connection: _insert(connection, session))

    async def get(self, session_id: str) -> Session:
        return await self._records.read(lambda connection: _found(connection, session_id))

    async def rotate(
        self, session_id: str, *, generation: int, now: datetime, grace: timedelta
    ) -> Session:
        def work(connection: sqlite3.Connection) -> Session | None:
            session = _found(connection, session_id)
            match rotation_step(session, generation, now=now, grace=grace):
                case "rotate":
                    connection.execute(
                        "UPDATE sessions SET generation = ?, rotated_at = ? WHERE session_id = ?",
                        (generation + 1, codec.to_ms(now), session_id),
                    )
                    return _found(connection, session_id)
                case "repeat":
                    return session
                case "reused":
                    _end(connection, "session_id = ?", (session_id,), reason="reused", now=now)
                    return None  # an error that is raised in here would undo the end

        rotated = await self._records.write(work)
        if rotated is None:
            raise RefreshReusedError(session_id)
        return rotated

    async def end(
        self,
        *,
        user_id: str,
        session_id: str | None = None,
        but: str | None = None,
        reason: EndReason,
        now: datetime,
    ) -> int:
        which, values = "user_id = ?", [user_id]
        if session_id is not None:
            which, values = f"{which} AND session_id = ?", [*values, session_id]
        if but is not None:
            which, values = f"{which} AND session_id <> ?", [*values, but]
        return await self._records.write(
            lambda connection: _end(connection, which, values, reason=reason, now=now)
        )

    async def list(self, user_id: str) -> Sequence[Session]:
        now_ms = codec.to_ms(datetime.now(UTC))

        def work(connection: sqlite3.Connection) -> Sequence[Session]:
            rows = connection.execute(
                "SELECT * FROM sessions WHERE user_id = ? AND ended_at IS NULL AND expires_at > ?"
                " ORDER BY created_at DESC, session_id DESC LIMIT ?",
                (user_id, now_ms, MAX_SESSIONS_LISTED),
            )
            return [session_of(row) for row in rows]

        return await self._records.read(work)

    async def ended(self, session_ids: Collection[str], *, now: datetime) -> frozenset[str]:
        def work(connection: sqlite3.Connection) -> frozenset[str]:
            rows = connection.execute(
                "SELECT session_id FROM sessions WHERE ended_at IS NULL AND expires_at > ?"
                " AND session_id IN (SELECT value FROM json_each(?))",
                (codec.to_ms(now), json.dumps(list(session_ids))),
            )
            return frozenset(session_ids) - {row["session_id"] for row in rows}

        return await self._records.read(work)


def _found(connection: sqlite3.Connection, session_id: str) -> Session:
    row = connection.execute(
        "SELECT * FROM sessions WHERE session_id = ?", (session_id,)
    ).fetchone()
    if row is None:
        raise SessionNotFoundError(session_id)
    return session_of(row)


def _end(
    connection: sqlite3.Connection,
    which: str,
    values: Sequence[str],
    *,
    reason: EndReason,
    now: datetime,
) -> int:
    now_ms = codec.to_ms(now)
    ended = connection.execute(
        "UPDATE sessions SET ended_at = ?, end_reason = ?"  # noqa: S608  # from this module
        f" WHERE ended_at IS NULL AND expires_at > ? AND {which}",
        (now_ms, reason, now_ms, *values),
    )
    return ended.rowcount


def _insert(connection: sqlite3.Connection, session: Session) -> None:
    insert_row(
        connection,
        "sessions",
        {
            "session_id": session.session_id,
            "user_id": session.user_id,
            "nonce": session.nonce,
            "generation": session.generation,
            "created_at": codec.to_ms(session.created_at),
            "rotated_at": codec.to_ms(session.rotated_at),
            "expires_at": codec.to_ms(session.expires_at),
            "client": session.client,
            "address": session.address,
            "ended_at": codec.to_optional_ms(session.ended_at),
            "end_reason": session.end_reason,
            "v": RECORD_VERSION,
        },
        conflict="ON CONFLICT (session_id) DO NOTHING",
    )
