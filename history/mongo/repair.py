"""What nobody came back for: half-done calls, expired keys, marks of deleted conversations."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from history import codec
from history.errors import TurnNotFoundError
from history.model import TurnStatus
from history.mongo.documents import BEGINNING, ConversationDoc
from history.mongo.records import Records
from history.mongo.steps import Steps

GRACE_MS = 3_600_000
"""Far above any call's deadline: after it, what is half done belongs to nobody who lives."""

BATCH = 500

PURGE_TIMEOUT_S = 30.0
"""For one deleted conversation: it may be long, and nobody waits."""


class Repair:
    """Finds and finishes what is half done; safe beside running calls and other repairs."""

    def __init__(self, records: Records, steps: Steps) -> None:
        self._records = records
        self._steps = steps

    async def run(self, now: datetime) -> None:
        """Do all of it, each batch within a deadline of its own."""
        now_ms = codec.to_ms(now)
        await self.settle_slots()
        async with self._records.deadline():
            await self._records.keys.delete_many({"expires_ms": {"$lte": now_ms}})
        await self._withdraw_beginnings(now_ms - GRACE_MS)
        await self._remove_marks(now_ms - GRACE_MS)

    async def settle_slots(self) -> None:
        """Finish the begins and ends whose slot is still held."""
        after = ""
        while True:
            async with self._records.deadline():
                held = await self._held_slots(after)
                running = await self._running(held)
            for conversation in held:
                if conversation["active_turn_id"] not in running:
                    await self._settle(conversation)
            if len(held) < BATCH:
                return
            after = held[-1]["active_turn_id"] or ""

    async def _held_slots(self, after: str) -> Sequence[ConversationDoc]:
        found = self._records.conversations.find(
            {"active_turn_id": {"$gt": after}}, {"_id": 1, "active_turn_id": 1}
        )
        return await found.sort("active_turn_id", 1).limit(BATCH).to_list()

    async def _running(self, held: Sequence[ConversationDoc]) -> set[str]:
        ids = [conversation["active_turn_id"] for conversation in held]
        found = self._records.turns.find(
            {"_id": {"$in": ids}, "status": TurnStatus.RUNNING.value}, {"_id": 1}
        )
        return {doc["_id"] for doc in await found.to_list()} if ids else set()

    async def _settle(self, conversation: ConversationDoc) -> None:
        turn_id = conversation["active_turn_id"]
        if turn_id is None:
            return
        with suppress(TurnNotFoundError):
            async with self._records.deadline():
                await self._steps.settle(conversation["_id"], turn_id)

    async def _withdraw_beginnings(self, before_ms: int) -> None:
        """Remove turns that were written down and then showed nothing: their caller is gone."""
        async with self._records.deadline():
            found = self._records.turns.find(
                {"status": BEGINNING, "heartbeat_at": {"$lt": before_ms}}
            ).limit(BATCH)
            for doc in await found.to_list():
                await self._steps.withdraw(doc)

    async def _remove_marks(self, before_ms: int) -> None:
        async with self._records.deadline():
            found = self._records.conversations.find({"deleted_at": {"$lt": before_ms}}, {"_id": 1})
            marks = await found.limit(BATCH).to_list()
        for mark in marks:
            async with self._records.deadline(PURGE_TIMEOUT_S):
                await self._records.purge(mark["_id"])
                await self._records.conversations.delete_one({"_id": mark["_id"]})
