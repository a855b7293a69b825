"""Demotions of admins one after another, so that one admin is left, whoever demotes whom.

A document names the demotion under way: who is to be demoted, at which version. While it stands
nobody else demotes, so the admin that was seen beside them stays one. Whose process died, or
sleeps, is fenced off: their user's version is raised first, and their late write finds it changed.
No promise rests on clocks: one that is wrong makes somebody read again at the most.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import anyio
from pymongo.errors import DuplicateKeyError

from accounts import codec
from accounts.errors import LastAdminError
from accounts.mongo.documents import DemotionDoc
from accounts.mongo.records import Records

DEMOTION_MS = 500
"""After which another's demotion is fenced off; it takes three round trips."""

_POLL_S = 0.02
_ID = "demotion"
_NONE = {"token": "", "user_id": "", "version": 0, "at": 0}


class Demotions:
    """Lets one demotion pass at a time."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @asynccontextmanager
    async def alone(self, user_id: str, version: int) -> AsyncIterator[None]:
        """Hold all other demotions off; the block writes the user, guarded by that version.

        Within a deadline, which also ends the waiting.

        Raises:
            LastAdminError: no other admin may sign in.
        """
        token = secrets.token_hex(16)
        while not await self._claim(token, user_id, version):  # noqa: ASYNC110  # of other processes, too
            await anyio.sleep(_POLL_S)
        try:
            other = await self._records.users.find_one(
                {"role": "admin", "is_disabled": False, "_id": {"$ne": user_id}}, {"_id": 1}
            )
            if other is None:
                raise LastAdminError(user_id)
            yield
        finally:
            await self._release(token)

    async def _claim(self, token: str, user_id: str, version: int) -> bool:
        now_ms = codec.to_ms(datetime.now(UTC))
        mine: DemotionDoc = {
            "_id": _ID,
            "token": token,
            "user_id": user_id,
            "version": version,
            "at": now_ms,
        }
        with suppress(DuplicateKeyError):
            await self._records.demotions.insert_one(mine)
            return True
        fields = {name: value for name, value in mine.items() if name != "_id"}
        claimed = await self._records.demotions.update_one(
            {"_id": _ID, "token": ""}, {"$set": fields}
        )
        if claimed.modified_count:
            return True
        await self._fence_off(now_ms)
        return False

    async def _fence_off(self, now_ms: int) -> None:
        held = await self._records.demotions.find_one({"_id": _ID})
        if held is None or abs(now_ms - held["at"]) < DEMOTION_MS:
            return
        # Invariant: before a demotion is let go for its holder, the holder can demote no more.
        await self._records.users.update_one(
            {"_id": held["user_id"], "version": held["version"]}, {"$inc": {"version": 1}}
        )
        await self._release(held["token"])

    async def _release(self, token: str) -> None:
        await self._records.demotions.update_one({"_id": _ID, "token": token}, {"$set": _NONE})
