"""Accounts as a whole, in MongoDB."""

from collections.abc import Sequence
from datetime import datetime

from accounts import codec
from accounts.mongo.api_keys import MongoApiKeys
from accounts.mongo.audit import MongoAudit
from accounts.mongo.documents import INDEXES
from accounts.mongo.records import Records, translated
from accounts.mongo.sessions import MongoSessions
from accounts.mongo.users import MongoUsers
from storage.mongo import MongoDatabase


class MongoAccounts:
    """`Accounts` in MongoDB. Whoever made the database closes it.

    Args:
        database: Where; its deadline is this adapter's.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._records = Records(database)
        self.users = MongoUsers(self._records)
        self.sessions = MongoSessions(self._records)
        self.api_keys = MongoApiKeys(self._records)
        self.audit = MongoAudit(self._records)

    async def open(self) -> None:
        with translated():
            await self._database.create_indexes(INDEXES)

    async def sweep(self, now: datetime) -> None:
        sessions_ms = codec.to_ms(now - codec.SESSION_KEPT)
        keys_ms = codec.to_ms(now - codec.API_KEY_KEPT)
        async with self._records.deadline():
            await self._records.sessions.delete_many({"expires_at": {"$lte": sessions_ms}})
            for end in ("revoked_at", "expires_at"):
                await self._records.api_keys.delete_many({end: {"$lte": keys_ms}})

    async def verify_indexes(self) -> Sequence[str]:
        with translated():
            return await self._database.missing_indexes(INDEXES)
