"""Chatbots in MongoDB: the seam's form for many processes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import NotRequired, TypedDict

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from chatbots.base import MAX_FORMER
from chatbots.errors import (
    ChatbotChangedError,
    ChatbotNotFoundError,
    ChatbotsError,
    ChatbotsUnavailableError,
)
from chatbots.model import DEFAULT_CHATBOT, Chatbot, FormerChatbot, Moderation, OnBreak
from chatbots.versions import dump_chatbot, former_chatbot
from storage.errors import StorageError, StorageUnavailableError
from storage.mongo import MongoDatabase

MAX_LISTED = 1000
RECORD_VERSION = 1
_WITHOUT_FORMER = {"former": 0}
"""They may be large, and turns that are started do not need them."""


class FormerDoc(TypedDict):
    """A version that was replaced."""

    replaced_at: datetime
    chatbot: str


class ChatbotDoc(TypedDict):
    """A chatbot. 0.1.0 stored no `on_break` and no `moderation`."""

    _id: str
    name: str
    instructions: str
    model: str | None
    temperature: float | None
    voice: str | None
    greeting: str | None
    max_response_chars: int | None
    on_break: NotRequired[OnBreak]
    moderation: NotRequired[Moderation]
    enabled: bool
    version: int
    v: int
    former: NotRequired[list[FormerDoc]]


class MongoChatbots:
    """`Chatbots` in MongoDB. Whoever made the database closes it.

    Args:
        database: Where; its deadline is this adapter's.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._chatbots: AsyncCollection[ChatbotDoc] = database.collection("chatbots")

    async def open(self) -> None:
        async with self._deadline():
            if await self._chatbots.find_one({}, {"_id": 1}) is not None:
                return
            with suppress(DuplicateKeyError):  # another process was first
                await self._chatbots.insert_one(_doc_of(DEFAULT_CHATBOT))

    async def get(self, chatbot_id: str) -> Chatbot:
        async with self._deadline():
            doc = await self._chatbots.find_one({"_id": chatbot_id}, _WITHOUT_FORMER)
        if doc is None:
            raise ChatbotNotFoundError(chatbot_id)
        return _chatbot_of(doc)

    async def list(self) -> Sequence[Chatbot]:
        async with self._deadline():
            docs = (
                await self._chatbots.find({}, _WITHOUT_FORMER)
                .sort("_id", 1)
                .limit(MAX_LISTED)
                .to_list()
            )
        return [_chatbot_of(doc) for doc in docs]

    async def put(self, chatbot: Chatbot, *, if_version: int | None = None) -> Chatbot:
        chatbot_id = chatbot.chatbot_id
        async with self._deadline():
            while True:
                stored = await self._chatbots.find_one({"_id": chatbot_id})
                version = stored["version"] if stored else 0
                if if_version not in {None, version}:
                    break
                doc = await self._put_over(stored, chatbot)
                if doc is not None:
                    return _chatbot_of(doc)
                # Somebody else's put came first; of unconditional ones each takes its turn.
        raise ChatbotChangedError(chatbot_id, version)

    async def former(self, chatbot_id: str) -> Sequence[FormerChatbot]:
        async with self._deadline():
            doc = await self._chatbots.find_one({"_id": chatbot_id}, {"former": 1})
        if doc is None:
            raise ChatbotNotFoundError(chatbot_id)
        return [
            former_chatbot(each["chatbot"], each["replaced_at"])
            for each in reversed(doc.get("former", []))
        ]

    async def delete(self, chatbot_id: str, *, if_version: int | None = None) -> None:
        async with self._deadline():
            deleted = await self._chatbots.delete_one(_selected(chatbot_id, if_version))
            if deleted.deleted_count:
                return
            changed = await self._changed(chatbot_id)
        if not changed.version:
            raise ChatbotNotFoundError(chatbot_id)
        raise changed

    async def _changed(self, chatbot_id: str) -> ChatbotChangedError:
        doc = await self._chatbots.find_one({"_id": chatbot_id}, {"version": 1})
        return ChatbotChangedError(chatbot_id, doc["version"] if doc else 0)

    async def _put_over(self, stored: ChatbotDoc | None, chatbot: Chatbot) -> ChatbotDoc | None:
        """Store a chatbot in place of what was just read; None: that has changed since."""
        doc = _doc_of(chatbot)
        if stored is None:
            with suppress(DuplicateKeyError):
                await self._chatbots.insert_one(doc)
                return doc
            return None
        replaced: FormerDoc = {
            "replaced_at": datetime.now(UTC),
            "chatbot": dump_chatbot(_chatbot_of(stored)),
        }
        fields = {name: value for name, value in doc.items() if name not in {"_id", "version"}}
        former = [*stored.get("former", []), replaced][-MAX_FORMER:]
        return await self._chatbots.find_one_and_update(
            _selected(chatbot.chatbot_id, stored["version"]),
            {"$set": {**fields, "former": former}, "$inc": {"version": 1}},
            projection=_WITHOUT_FORMER,
            return_document=ReturnDocument.AFTER,
        )

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with self._database.deadline():
                yield
        except StorageUnavailableError as exc:
            raise ChatbotsUnavailableError(str(exc)) from exc
        except StorageError as exc:
            raise ChatbotsError(str(exc)) from exc


def _selected(chatbot_id: str, version: int | None) -> dict[str, object]:
    return {"_id": chatbot_id} if version is None else {"_id": chatbot_id, "version": version}


def _doc_of(chatbot: Chatbot) -> ChatbotDoc:
    return {
        "_id": chatbot.chatbot_id,
        "name": chatbot.name,
        "instructions": chatbot.instructions,
        "model": chatbot.model,
        "temperature": chatbot.temperature,
        "voice": chatbot.voice,
        "greeting": chatbot.greeting,
        "max_response_chars": chatbot.max_response_chars,
        "on_break": chatbot.on_break,
        "moderation": chatbot.moderation,
        "enabled": chatbot.enabled,
        "version": 1,
        "v": RECORD_VERSION,
    }


def _chatbot_of(doc: ChatbotDoc) -> Chatbot:
    return Chatbot(
        chatbot_id=doc["_id"],
        name=doc["name"],
        instructions=doc["instructions"],
        model=doc["model"],
        temperature=doc["temperature"],
        voice=doc["voice"],
        greeting=doc["greeting"],
        max_response_chars=doc["max_response_chars"],
        on_break=doc.get("on_break", "continue"),
        moderation=doc.get("moderation", "off"),
        enabled=doc["enabled"],
        version=doc["version"],
    )
