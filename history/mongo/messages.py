"""Messages in MongoDB."""

from typing import Any

from pymongo import ReturnDocument

from history import codec
from history.errors import MessageNotFoundError
from history.model import Feedback, Message, Page
from history.mongo.conversations import MongoConversations
from history.mongo.documents import message_of
from history.mongo.records import Records


class MongoMessages:
    """`Messages` in MongoDB."""

    def __init__(self, records: Records, conversations: MongoConversations) -> None:
        self._records = records
        self._conversations = conversations

    async def list(
        self, owner_id: str, conversation_id: str, *, limit: int, before: int | None
    ) -> Page[Message]:
        query: dict[str, Any] = {"conversation_id": conversation_id}
        if before is not None:
            query["seq"] = {"$lt": before}
        async with self._records.deadline():
            await self._conversations.settled(owner_id, conversation_id)
            found = self._records.messages.find(query).sort("seq", -1).limit(limit + 1)
            docs = await found.to_list()
        return codec.message_page([message_of(doc) for doc in docs], limit)

    async def get(self, owner_id: str, message_id: str) -> Message:
        async with self._records.deadline():
            doc = await self._records.messages.find_one({"_id": message_id, "owner_id": owner_id})
        if doc is None:
            raise MessageNotFoundError(message_id)
        return message_of(doc)

    async def set_feedback(self, owner_id: str, message_id: str, feedback: Feedback) -> Message:
        async with self._records.deadline():
            doc = await self._records.messages.find_one_and_update(
                {"_id": message_id, "owner_id": owner_id, "role": "assistant"},
                {"$set": {"feedback": codec.dump_feedback(feedback)}},
                return_document=ReturnDocument.AFTER,
            )
        if doc is None:
            raise MessageNotFoundError(message_id)
        return message_of(doc)
