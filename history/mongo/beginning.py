"""How a turn begins in MongoDB: one winner per key, whoever asks and whatever crashes."""

from typing import Any

from pymongo.errors import DuplicateKeyError

from history import codec
from history.errors import (
    ConversationNotFoundError,
    HistoryUnavailableError,
    IdempotencyConflictError,
    TurnNotFoundError,
)
from history.model import RECORD_VERSION, Idempotency, NewTurn, TurnRecord
from history.mongo.documents import BEGINNING, KeyDoc, TurnDoc, beginning_doc, turn_of
from history.mongo.records import Records
from history.mongo.steps import ATTEMPTS, Steps


class Begin:
    """One begin: the turn is written down, then the key decides whose turn it is."""

    def __init__(self, records: Records, steps: Steps) -> None:
        self._records = records
        self._steps = steps

    async def run(self, turn: NewTurn) -> tuple[TurnRecord, bool]:
        """Do what `Turns.begin` promises, within the caller's deadline."""
        for _ in range(ATTEMPTS):
            doc = await self._write_down(turn)
            winner_id = await self._claim(turn, doc) if doc["status"] == BEGINNING else doc["_id"]
            own = winner_id == turn.turn_id
            if not own:
                await self._steps.withdraw(doc)
            # The winner may be half way or dead: its document holds all that is needed to go on.
            begun = await self._steps.finish_begin(winner_id, own=own)
            if begun is not None:
                return turn_of(begun), own
        raise HistoryUnavailableError("Too many calls begin this turn at once.")

    async def _write_down(self, turn: NewTurn) -> TurnDoc:
        """Store the turn as `beginning`; return it, or what an earlier call made of it."""
        doc = beginning_doc(turn, user_message_id=await self._user_message_id(turn))
        try:
            await self._records.turns.insert_one(doc)
        except DuplicateKeyError:
            stored = await self._records.turns.find_one({"_id": turn.turn_id})
            if stored is not None and stored["owner_id"] != turn.owner_id:
                raise ConversationNotFoundError(turn.conversation_id) from None
            return stored or doc
        return doc

    async def _user_message_id(self, turn: NewTurn) -> str:
        """Return the id of the message to answer: the turn's own, or that of the retried turn."""
        if turn.retry_of is None:
            return turn.user_message_id
        mine = {"_id": turn.conversation_id, "owner_id": turn.owner_id}
        if await self._records.conversations.find_one(mine) is None:
            raise ConversationNotFoundError(turn.conversation_id)
        retried = await self._records.turns.find_one({"_id": turn.retry_of})
        if retried is None or retried["status"] == BEGINNING:
            raise TurnNotFoundError(turn.retry_of)
        if retried["conversation_id"] != turn.conversation_id:
            raise TurnNotFoundError(turn.retry_of)
        return retried["user_message_id"]

    async def _claim(self, turn: NewTurn, doc: TurnDoc) -> str:
        """Return the id of the turn that has the key: this one, or one that came before.

        Raises:
            IdempotencyConflictError: that one came with another body; this one was withdrawn.
        """
        key = turn.idempotency
        if key is None:
            return turn.turn_id
        for _ in range(ATTEMPTS):
            held = await self._hold(turn, key)
            if held is None or held["turn_id"] == turn.turn_id:
                return turn.turn_id
            if await self._is_void(held, turn):
                # Guarded by what was read: of many that find it void, one replaces it.
                await self._records.keys.delete_one(_as_read(held))
                continue
            if held["body_hash"] != key.body_hash:
                await self._steps.withdraw(doc)
                raise IdempotencyConflictError(held["turn_id"])
            return held["turn_id"]
        raise HistoryUnavailableError("Too many calls claim this key at once.")

    async def _hold(self, turn: NewTurn, key: Idempotency) -> KeyDoc | None:
        """Store the key for the turn; return what is stored already, None where it was free."""
        doc: KeyDoc = {
            "_id": key.key_hash,
            "body_hash": key.body_hash,
            "turn_id": turn.turn_id,
            "conversation_id": turn.conversation_id,
            "expires_at": key.expires_at,
            "expires_ms": codec.to_ms(key.expires_at),
            "v": RECORD_VERSION,
        }
        try:
            await self._records.keys.insert_one(doc)
        except DuplicateKeyError:
            held = await self._records.keys.find_one({"_id": key.key_hash})
            return held if held is not None else await self._hold(turn, key)
        return None

    async def _is_void(self, held: KeyDoc, turn: NewTurn) -> bool:
        """Tell whether a key has expired, or its turn was withdrawn or deleted.

        A turn is written down before its key, so a key without one has no begin under way.
        """
        if held["expires_ms"] <= codec.to_ms(turn.started_at):
            return True
        return await self._records.turns.find_one({"_id": held["turn_id"]}) is None


def _as_read(held: KeyDoc) -> dict[str, Any]:
    return {"_id": held["_id"], "turn_id": held["turn_id"], "expires_ms": held["expires_ms"]}
