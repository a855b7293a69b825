"""Users in MongoDB."""

import re
from contextlib import AbstractAsyncContextManager, nullcontext

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from accounts import codec
from accounts.errors import AccountsError, EmailTakenError, UserChangedError, UserNotFoundError
from accounts.model import Identity, Page, User
from accounts.mongo.admins import Demotions
from accounts.mongo.documents import UserDoc, user_doc, user_of
from accounts.mongo.identities import Identities
from accounts.mongo.records import Records
from accounts.rules import is_active_admin, same_user


class MongoUsers:
    """`Users` in MongoDB."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._identities = Identities(records)
        self._demotions = Demotions(records)

    async def create(self, user: User) -> User:
        async with self._records.deadline():
            try:
                await self._identities.claim(user.user_id, user.identities)
                return await self._insert(user)
            except AccountsError:
                await self._identities.release(user.user_id, user.identities)
                raise

    async def get(self, user_id: str) -> User:
        async with self._records.deadline():
            return await self._found(user_id)

    async def find(self, *, email: str = "", identity: Identity | None = None) -> User:
        async with self._records.deadline():
            if identity is not None:
                return await self._identities.find(identity)
            doc = await self._records.users.find_one({"email": email})
        if doc is None:
            raise UserNotFoundError
        return user_of(doc)

    async def list(
        self, *, limit: int, cursor: str | None = None, email_contains: str = ""
    ) -> Page[User]:
        after = codec.parse_user_cursor(cursor)
        if not codec.may_be_in_email(email_contains):
            return Page((), None)
        query: dict[str, object] = {"email": {"$gt": after}}
        if email_contains:
            query = {"$and": [query, {"email": {"$regex": re.escape(email_contains)}}]}
        async with self._records.deadline():
            found = self._records.users.find(query).sort("email", 1).limit(limit + 1)
            docs = await found.to_list()
        return codec.user_page([user_of(doc) for doc in docs], limit)

    async def put(self, user: User, *, if_version: int) -> User:
        async with self._records.deadline():
            stored = await self._found(user.user_id)
            if stored.version != if_version:
                raise UserChangedError(user.user_id, stored.version)
            added = [one for one in user.identities if one not in stored.identities]
            removed = [one for one in stored.identities if one not in user.identities]
            try:
                await self._identities.claim(user.user_id, added)
                async with self._alone_if_demoted(stored, user):
                    changed = await self._replace(user, if_version)
            except AccountsError:
                await self._identities.release(user.user_id, added)
                raise
            await self._identities.release(user.user_id, removed)
            return changed

    def _alone_if_demoted(self, stored: User, user: User) -> AbstractAsyncContextManager[None]:
        if is_active_admin(stored) and not is_active_admin(user):
            return self._demotions.alone(user.user_id, stored.version)
        return nullcontext()

    async def _insert(self, user: User) -> User:
        doc = user_doc(user)
        try:
            await self._records.users.insert_one(doc)
        except DuplicateKeyError:
            stored: UserDoc | None = await self._records.users.find_one({"_id": user.user_id})
            if stored is None:
                raise EmailTakenError(user.user_id) from None
            return same_user(user_of(stored), user)
        return user_of(doc)

    async def _replace(self, user: User, if_version: int) -> User:
        kept = {"_id", "created_at", "version", "v"}
        fields = {name: value for name, value in user_doc(user).items() if name not in kept}
        try:
            doc = await self._records.users.find_one_and_update(
                {"_id": user.user_id, "version": if_version},
                {"$set": fields, "$inc": {"version": 1}},
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            raise EmailTakenError(user.user_id) from None
        if doc is not None:
            return user_of(doc)
        version = (await self._found(user.user_id)).version
        if version == if_version:  # nx-27017 finds nothing where MongoDB says DuplicateKeyError
            raise EmailTakenError(user.user_id)
        raise UserChangedError(user.user_id, version)

    async def _found(self, user_id: str) -> User:
        doc = await self._records.users.find_one({"_id": user_id})
        if doc is None:
            raise UserNotFoundError(user_id)
        return user_of(doc)
