"""The audit log in SQLite."""

import sqlite3

from accounts import codec
from accounts.model import AuditEntry, Page
from accounts.sqlite.records import Records
from accounts.sqlite.schema import RECORD_VERSION, entry_of
from storage.sqlite import insert_row


class SqliteAudit:
    """`Audit` in SQLite."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, entry: AuditEntry) -> None:
        await self._records.write(lambda connection: _insert(connection, entry))

    async def list(
        self, *, limit: int, cursor: str | None = None, subject: str = "", who: str = ""
    ) -> Page[AuditEntry]:
        which, values = "entry_id < ?", [codec.parse_audit_cursor(cursor)]
        for column, value in (("subject", subject), ("who", who)):
            if value:
                which, values = f"{which} AND {column} = ?", [*values, value]

        def work(connection: sqlite3.Connection) -> Page[AuditEntry]:
            rows = connection.execute(
                f"SELECT * FROM audit_log WHERE {which} ORDER BY entry_id DESC LIMIT ?",  # noqa: S608  # from this module
                (*values, limit + 1),
            )
            return codec.audit_page([entry_of(row) for row in rows], limit)

        return await self._records.read(work)


def _insert(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    insert_row(
        connection,
        "audit_log",
        {
            "entry_id": entry.entry_id,
            "at": codec.to_ms(entry.at),
            "who": entry.who,
            "action": entry.action,
            "subject": entry.subject,
            "why": entry.why,
            "address": entry.address,
            "request_id": entry.request_id,
            "details": codec.dump_details(entry.details),
            "v": RECORD_VERSION,
        },
        conflict="ON CONFLICT (entry_id) DO NOTHING",
    )
