"""The record as a whole, in MongoDB."""

from datetime import datetime

from history.mongo.conversations import MongoConversations
from history.mongo.documents import INDEXES
from history.mongo.messages import MongoMessages
from history.mongo.records import Records, translated
from history.mongo.repair import Repair
from history.mongo.steps import Steps
from history.mongo.turns import MongoTurns
from storage.mongo import MongoDatabase


class MongoHistory:
    """`History` in MongoDB. Closing it closes the database's client, also for others.

    Args:
        database: Where; its deadline is this adapter's.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        records = Records(database)
        steps = Steps(records)
        self.conversations = MongoConversations(records, steps)
        self.messages = MongoMessages(records, self.conversations)
        self.turns = MongoTurns(records, steps)
        self._repair = Repair(records, steps)

    async def open(self) -> None:
        with translated():
            await self._database.create_indexes(INDEXES)
        await self._repair.settle_slots()

    async def sweep(self, now: datetime) -> None:
        await self._repair.run(now)

    async def check(self) -> None:
        with translated():
            await self._database.check()

    async def verify_indexes(self) -> list[str]:
        """Return the names of declared indexes that are missing; empty when all is well."""
        with translated():
            return await self._database.missing_indexes(INDEXES)

    async def close(self) -> None:
        await self._database.close()
