"""Sessions in MongoDB."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from accounts import codec
from accounts.base import MAX_SESSIONS_LISTED
from accounts.errors import RefreshReusedError, SessionNotFoundError
from accounts.model import EndReason, Session
from accounts.mongo.documents import session_doc, session_of
from accounts.mongo.records import Records
from accounts.rules import rotation_step


class MongoSessions:
    """`Sessions` in MongoDB."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def begin(self, session: Session) -> None:
        async with self._records.deadline():
            with suppress(DuplicateKeyError):
                await self._records.sessions.insert_one(session_doc(session))

    async def get(self, session_id: str) -> Session:
        async with self._records.deadline():
            return await self._found(session_id)

    async def rotate(
        self, session_id: str, *, generation: int, now: datetime, grace: timedelta
    ) -> Session:
        async with self._records.deadline():
            while True:  # a second time where another call rotated between the two steps
                session = await self._found(session_id)
                step = rotation_step(session, generation, now=now, grace=grace)
                if step == "repeat":
                    return session
                if step == "reused":
                    await self._end({"_id": session_id}, reason="reused", now=now)
                    raise RefreshReusedError(session_id)
                doc = await self._records.sessions.find_one_and_update(
                    {"_id": session_id, "generation": generation, "ended_at": None},
                    {"$set": {"rotated_at": codec.to_ms(now)}, "$inc": {"generation": 1}},
                    return_document=ReturnDocument.AFTER,
                )
                if doc is not None:
                    return session_of(doc)

    async def end(
        self,
        *,
        user_id: str,
        session_id: str | None = None,
        but: str | None = None,
        reason: EndReason,
        now: datetime,
    ) -> int:
        which: list[dict[str, object]] = [{"user_id": user_id}]
        if session_id is not None:
            which.append({"_id": session_id})
        if but is not None:
            which.append({"_id": {"$ne": but}})
        async with self._records.deadline():
            return await self._end({"$and": which}, reason=reason, now=now)

    async def list(self, user_id: str) -> Sequence[Session]:
        now_ms = codec.to_ms(datetime.now(UTC))
        query = {"user_id": user_id, "ended_at": None, "expires_at": {"$gt": now_ms}}
        async with self._records.deadline():
            found = self._records.sessions.find(query).sort([("created_at", -1), ("_id", -1)])
            docs = await found.limit(MAX_SESSIONS_LISTED).to_list()
        return [session_of(doc) for doc in docs]

    async def ended(self, session_ids: Collection[str], *, now: datetime) -> frozenset[str]:
        query = {
            "_id": {"$in": list(session_ids)},
            "ended_at": None,
            "expires_at": {"$gt": codec.to_ms(now)},
        }
        async with self._records.deadline():
            docs = await self._records.sessions.find(query, {"_id": 1}).to_list()
        return frozenset(session_ids) - {doc["_id"] for doc in docs}

    async def _end(self, which: dict[str, object], *, reason: EndReason, now: datetime) -> int:
        now_ms = codec.to_ms(now)
        ended = await self._records.sessions.update_many(
            {**which, "ended_at": None, "expires_at": {"$gt": now_ms}},
            {"$set": {"ended_at": now_ms, "end_reason": reason}},
        )
        return ended.modified_count

    async def _found(self, session_id: str) -> Session:
        doc = await self._records.sessions.find_one({"_id": session_id})
        if doc is None:
            raise SessionNotFoundError(session_id)
        return session_of(doc)
