"""Whose an identity is: one document each, claimed before the user's own says so.

An identity is a user's if both documents say so. Claims come first and go last, so a crash leaves
a claim too many at the most: it is good for nothing, and another user's after `CLAIM_MS`. That
waits only for whoever claimed to write their user; should they come later still, the claim is
another's, and so is the identity.
"""

from collections.abc import Collection
from datetime import UTC, datetime

from pymongo.errors import DuplicateKeyError

from accounts import codec
from accounts.errors import EmailTakenError, UserNotFoundError
from accounts.model import Identity, User
from accounts.mongo.documents import ClaimDoc, UserDoc, identity_key, user_of
from accounts.mongo.records import Records

CLAIM_MS = 60_000
"""Far above the deadline of a call."""


class Identities:
    """Claims of identities; each call within a deadline of the caller's."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def find(self, identity: Identity) -> User:
        """Return whose an identity is.

        Raises:
            UserNotFoundError: nobody's.
        """
        claim = await self._records.claims.find_one({"_id": identity_key(identity)})
        doc = claim and await self._holder(claim, identity)
        if not doc:
            raise UserNotFoundError
        return user_of(doc)

    async def claim(self, user_id: str, identities: Collection[Identity]) -> None:
        """Claim all of these for a user; again is nothing new.

        Raises:
            EmailTakenError: one is another user's; claims that were made stay.
        """
        for identity in identities:
            if not await self._claim(user_id, identity):
                raise EmailTakenError(user_id)

    async def release(self, user_id: str, identities: Collection[Identity]) -> None:
        """Give up a user's claims of these, except for what the user's document holds."""
        if not identities:
            return
        doc: UserDoc | None = await self._records.users.find_one({"_id": user_id})
        held = user_of(doc).identities if doc is not None else ()
        keys = [identity_key(identity) for identity in identities if identity not in held]
        await self._records.claims.delete_many({"_id": {"$in": keys}, "user_id": user_id})

    async def _claim(self, user_id: str, identity: Identity) -> bool:
        key, now_ms = identity_key(identity), codec.to_ms(datetime.now(UTC))
        try:
            await self._records.claims.insert_one({"_id": key, "user_id": user_id, "at": now_ms})
        except DuplicateKeyError:
            claim = await self._records.claims.find_one({"_id": key})
        else:
            return True
        if claim is None:
            return False  # given up just now: whoever asks again gets it
        is_own = claim["user_id"] == user_id
        if not is_own and (
            now_ms - claim["at"] < CLAIM_MS or await self._holder(claim, identity) is not None
        ):
            return False
        taken = await self._records.claims.update_one(
            {"_id": key, "user_id": claim["user_id"], "at": claim["at"]},
            {"$set": {"user_id": user_id, "at": now_ms}},
        )
        return taken.matched_count == 1 or is_own

    async def _holder(self, claim: ClaimDoc, identity: Identity) -> UserDoc | None:
        doc: UserDoc | None = await self._records.users.find_one({"_id": claim["user_id"]})
        return doc if doc is not None and identity in user_of(doc).identities else None
