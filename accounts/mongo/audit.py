"""The audit log in MongoDB."""

from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from accounts import codec
from accounts.model import AuditEntry, Page
from accounts.mongo.documents import entry_doc, entry_of
from accounts.mongo.records import Records


class MongoAudit:
    """`Audit` in MongoDB."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, entry: AuditEntry) -> None:
        async with self._records.deadline():
            with suppress(DuplicateKeyError):
                await self._records.audit_log.insert_one(entry_doc(entry))

    async def list(
        self, *, limit: int, cursor: str | None = None, subject: str = "", who: str = ""
    ) -> Page[AuditEntry]:
        query: dict[str, object] = {"entry_id": {"$lt": codec.parse_audit_cursor(cursor)}}
        query |= {name: text for name, text in (("subject", subject), ("who", who)) if text}
        async with self._records.deadline():
            found = self._records.audit_log.find(query).sort("entry_id", -1).limit(limit + 1)
            docs = await found.to_list()
        return codec.audit_page([entry_of(doc) for doc in docs], limit)
