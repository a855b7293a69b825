"""Conversations in MongoDB."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from history import codec
from history.errors import ConversationNotFoundError, TurnNotFoundError
from history.model import RECORD_VERSION, Conversation, Page
from history.mongo.documents import ConversationDoc, conversation_doc, conversation_of
from history.mongo.records import Records
from history.mongo.steps import Steps

NEWEST_FIRST = [("updated_at", -1), ("conversation_id", -1)]


class MongoConversations:
    """`Conversations` in MongoDB."""

    def __init__(self, records: Records, steps: Steps) -> None:
        self._records = records
        self._steps = steps

    async def create(self, conversation: Conversation) -> Conversation:
        async with self._records.deadline():
            with suppress(DuplicateKeyError):
                await self._records.conversations.insert_one(conversation_doc(conversation))
            return await self._find(conversation.owner_id, conversation.conversation_id)

    async def get(self, owner_id: str, conversation_id: str) -> Conversation:
        async with self._records.deadline():
            return await self.settled(owner_id, conversation_id)

    async def list(self, owner_id: str, *, limit: int, cursor: str | None) -> Page[Conversation]:
        query: dict[str, Any] = {"owner_id": owner_id}
        if cursor is not None:
            query |= _after(*codec.parse_cursor(cursor))
        async with self._records.deadline():
            found = self._records.conversations.find(query).sort(NEWEST_FIRST).limit(limit + 1)
            docs = await found.to_list()
        return codec.conversation_page([conversation_of(doc) for doc in docs], limit)

    async def rename(
        self, owner_id: str, conversation_id: str, title: str, *, if_title: str | None = None
    ) -> Conversation:
        query = {"_id": conversation_id, "owner_id": owner_id}
        if if_title is not None:
            query["title"] = if_title
        async with self._records.deadline():
            doc = await self._records.conversations.find_one_and_update(
                query, {"$set": {"title": title}}, return_document=ReturnDocument.AFTER
            )
            return (
                await self._find(owner_id, conversation_id) if doc is None else conversation_of(doc)
            )

    async def delete(self, owner_id: str, conversation_id: str) -> None:
        async with self._records.deadline():
            # What stays is a mark without owner: to all readers the conversation is gone at once,
            # and a write under way finds no conversation and cleans up. The sweep removes it.
            deleted = await self._records.conversations.find_one_and_replace(
                {"_id": conversation_id, "owner_id": owner_id},
                {
                    "conversation_id": conversation_id,
                    "deleted_at": codec.to_ms(datetime.now(UTC)),
                    "v": RECORD_VERSION,
                },
            )
            if deleted is None:
                raise ConversationNotFoundError(conversation_id)
            await self._records.purge(conversation_id)

    async def settled(self, owner_id: str, conversation_id: str) -> Conversation:
        """Return a conversation after finishing what a crash left half done; within a deadline.

        Raises:
            ConversationNotFoundError: not there, or another owner's.
        """
        conversation = await self._find(owner_id, conversation_id)
        if conversation.active_turn_id is None:
            return conversation
        with suppress(TurnNotFoundError):  # deleted just now: the second look says so
            if await self._steps.settle(conversation_id, conversation.active_turn_id):
                return conversation
        return await self._find(owner_id, conversation_id)

    async def _find(self, owner_id: str, conversation_id: str) -> Conversation:
        doc: ConversationDoc | None = await self._records.conversations.find_one(
            {"_id": conversation_id, "owner_id": owner_id}
        )
        if doc is None:
            raise ConversationNotFoundError(conversation_id)
        return conversation_of(doc)


def _after(ms: int, conversation_id: str) -> dict[str, Any]:
    # The first bound would do no harm left out; with it the search in the index starts at the page.
    return {
        "updated_at": {"$lte": ms},
        "$or": [
            {"updated_at": {"$lt": ms}},
            {"updated_at": ms, "conversation_id": {"$lt": conversation_id}},
        ],
    }
