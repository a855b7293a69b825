"""API keys in MongoDB.

A key that is good holds one of its user's `MAX_API_KEYS` slots, whose names are unique: so no
parallel calls make more. Revoked keys have a slot of their own name.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pymongo.errors import DuplicateKeyError

from accounts import codec
from accounts.base import MAX_API_KEYS, MAX_KEYS_LISTED
from accounts.errors import ApiKeyNotFoundError, TooManyApiKeysError
from accounts.model import ApiKey
from accounts.mongo.documents import api_key_doc, api_key_of
from accounts.mongo.records import Records
from accounts.rules import newest_keys


class MongoApiKeys:
    """`ApiKeys` in MongoDB."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def create(self, key: ApiKey) -> None:
        async with self._records.deadline():
            while await self._records.api_keys.find_one({"_id": key.key_id}, {"_id": 1}) is None:
                is_good = key.revoked_at is None
                slot = await self._free_slot(key.user_id) if is_good else _revoked_slot(key.key_id)
                try:
                    await self._records.api_keys.insert_one(api_key_doc(key, slot))
                except DuplicateKeyError:
                    continue  # the slot went to another, or the key was written just now
                return

    async def get(self, key_id: str) -> ApiKey:
        async with self._records.deadline():
            doc = await self._records.api_keys.find_one({"_id": key_id})
        if doc is None:
            raise ApiKeyNotFoundError(key_id)
        return api_key_of(doc)

    async def list(self, user_id: str) -> Sequence[ApiKey]:
        since_ms = codec.to_ms(datetime.now(UTC) - codec.API_KEY_KEPT)
        async with self._records.deadline():
            good = await self._newest({"user_id": user_id, "revoked_at": None})
            revoked = await self._newest({"user_id": user_id, "revoked_at": {"$gt": since_ms}})
        return newest_keys([*good, *revoked])

    async def revoke(self, user_id: str, key_id: str, *, now: datetime) -> None:
        mine = {"_id": key_id, "user_id": user_id}
        async with self._records.deadline():
            revoked = await self._records.api_keys.update_one(
                {**mine, "revoked_at": None},
                {"$set": {"revoked_at": codec.to_ms(now), "slot": _revoked_slot(key_id)}},
            )
            if revoked.matched_count:
                return
            if await self._records.api_keys.find_one(mine, {"_id": 1}) is None:
                raise ApiKeyNotFoundError(key_id)

    async def used(self, key_id: str, *, at: datetime) -> None:
        async with self._records.deadline():
            await self._records.api_keys.update_one(
                {"_id": key_id}, {"$max": {"last_used_at": codec.to_ms(at)}}
            )

    async def _newest(self, query: Mapping[str, object]) -> Sequence[ApiKey]:
        found = self._records.api_keys.find(query).sort([("created_at", -1), ("_id", -1)])
        return [api_key_of(doc) for doc in await found.limit(MAX_KEYS_LISTED).to_list()]

    async def _free_slot(self, user_id: str) -> str:
        docs = await self._records.api_keys.find(
            {"user_id": user_id, "revoked_at": None}, {"slot": 1}
        ).to_list()
        taken = {doc["slot"] for doc in docs}
        slots = (f"{user_id}/{number}" for number in range(MAX_API_KEYS))
        free = next((slot for slot in slots if slot not in taken), None)
        if free is None:
            raise TooManyApiKeysError(user_id)
        return free


def _revoked_slot(key_id: str) -> str:
    return f"revoked/{key_id}"
