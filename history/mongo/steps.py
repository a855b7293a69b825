"""The steps of a turn's life that take several writes, each safe to repeat, by anyone, any time.

Begin:  turn as `beginning` → key → slot and numbers → user's message → turn as `running`
End:    turn as ended → answer's message → slot free

The conversation's `active_turn_id` is the slot. It is held from before the first visible write to
after the last, so a held slot whose turn does not run is the one mark of a half-done call; a turn
`beginning` without slot has shown nothing to anyone and may be withdrawn.
"""

from contextlib import suppress

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from history import codec
from history.errors import (
    ConversationNotFoundError,
    HistoryUnavailableError,
    TurnNotFoundError,
    TurnRunningError,
)
from history.model import Message, TurnRecord, TurnStatus, answer_of
from history.mongo.documents import (
    BEGINNING,
    BeginningDoc,
    ConversationDoc,
    TurnDoc,
    message_doc,
    turn_of,
)
from history.mongo.records import Records

ATTEMPTS = 16
"""Races that one call may lose: each lost race means that another call got on."""


class Steps:
    """What finishes a begin or an end, wherever it stopped."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def finish_begin(self, turn_id: str, *, own: bool) -> TurnDoc | None:
        """Bring a turn from `beginning` to `running`; return it as it is then, None where gone.

        Args:
            turn_id: The turn.
            own: Whether the caller's call wrote it down: it alone may withdraw what cannot begin.

        Raises:
            ConversationNotFoundError: the conversation is not there.
            TurnRunningError: another turn holds the slot.
        """
        for _ in range(ATTEMPTS):
            doc = await self._records.turns.find_one({"_id": turn_id})
            if doc is None or doc["status"] != BEGINNING:
                return doc
            try:
                answer_seq = await self._take_slot(doc)
            except (ConversationNotFoundError, TurnRunningError):
                if not own or await self.withdraw(doc):
                    raise
                continue  # a helper finished it in between
            await self._store_question(doc, answer_seq - 1)
            begun = await self._show(doc, answer_seq)
            if begun is not None:
                return begun
        raise HistoryUnavailableError("Too many calls write this conversation at once.")

    async def settle(self, conversation_id: str, turn_id: str) -> bool:
        """Finish whatever left a slot held; return whether the slot is rightly held still."""
        doc = await self._records.turns.find_one({"_id": turn_id})
        if doc is not None and doc["status"] == BEGINNING:
            doc = await self.finish_begin(turn_id, own=False)
        if doc is None:
            await self._drop(conversation_id, turn_id)
            return False
        if doc["status"] == TurnStatus.RUNNING:
            return True
        await self.finish_end(doc)
        return False

    async def finish_end(self, doc: TurnDoc) -> TurnRecord:
        """Store the answer of an ended turn and free the slot; return the record.

        Raises:
            TurnNotFoundError: the conversation was deleted meanwhile; nothing is left behind.
        """
        record = turn_of(doc)
        await self._store(answer_of(record, seq=doc["answer_seq"]))
        mine = {"_id": record.conversation_id, "owner_id": record.owner_id}
        freed = await self._records.conversations.update_one(
            mine | {"active_turn_id": record.turn_id},
            {"$set": {"active_turn_id": None}, "$max": {"updated_at": doc["ended_at"]}},
        )
        if freed.matched_count == 0 and await self._records.conversations.find_one(mine) is None:
            await self._records.purge(record.conversation_id)
            raise TurnNotFoundError(record.turn_id)
        return record

    async def withdraw(self, doc: TurnDoc) -> bool:
        """Remove a turn that has shown nothing yet, and its key; False where it began after all."""
        turn_id = doc["_id"]
        removed = await self._records.turns.delete_one({"_id": turn_id, "status": BEGINNING})
        key_hash = _beginning_of(doc)["key_hash"]
        if removed.deleted_count and key_hash is not None:
            await self._records.keys.delete_one({"_id": key_hash, "turn_id": turn_id})
        return removed.deleted_count == 1

    async def _take_slot(self, doc: TurnDoc) -> int:
        """Hold the conversation for the turn; return the answer's number.

        While the slot is held nobody else takes numbers, so the highest is the answer's.
        """
        beginning = _beginning_of(doc)
        if beginning["conversation"] is not None:
            await self._create(beginning["conversation"])
        mine = {"_id": doc["conversation_id"], "owner_id": doc["owner_id"]}
        for _ in range(ATTEMPTS):
            conversation = await self._records.conversations.find_one_and_update(
                mine | {"active_turn_id": None},
                {
                    "$set": {"active_turn_id": doc["_id"]},
                    "$inc": {"last_seq": 1 if beginning["text"] is None else 2},
                    "$max": {"updated_at": doc["started_at"]},
                },
                return_document=ReturnDocument.AFTER,
            ) or await self._records.conversations.find_one(mine)
            if conversation is None:
                raise ConversationNotFoundError(doc["conversation_id"])
            holder = conversation["active_turn_id"]
            if holder == doc["_id"]:
                return conversation["last_seq"]
            if holder is not None and await self.settle(conversation["_id"], holder):
                raise TurnRunningError(holder)
        raise HistoryUnavailableError("Too many calls write this conversation at once.")

    async def _create(self, conversation: ConversationDoc) -> None:
        try:
            await self._records.conversations.insert_one(conversation)
        except DuplicateKeyError:
            return

    async def _store_question(self, doc: TurnDoc, seq: int) -> None:
        text = _beginning_of(doc)["text"]
        if text is None:
            return
        await self._store(
            Message(
                message_id=doc["user_message_id"],
                conversation_id=doc["conversation_id"],
                owner_id=doc["owner_id"],
                seq=seq,
                role="user",
                text=text,
                status=TurnStatus.COMPLETED,
                created_at=codec.from_ms(doc["started_at"]),
                turn_id=doc["_id"],
                chatbot_id=doc["chatbot_id"],
            )
        )

    async def _show(self, doc: TurnDoc, answer_seq: int) -> TurnDoc | None:
        """Make the turn visible; None where it is gone or another call did it before."""
        begun = await self._records.turns.find_one_and_update(
            {"_id": doc["_id"], "status": BEGINNING},
            {
                "$set": {"status": TurnStatus.RUNNING.value, "answer_seq": answer_seq},
                "$unset": {"beginning": ""},
            },
            return_document=ReturnDocument.AFTER,
        )
        if begun is None:
            # A late helper may have taken the slot again after the end; or the turn is gone.
            with suppress(TurnNotFoundError):
                await self.settle(doc["conversation_id"], doc["_id"])
        return begun

    async def _store(self, message: Message) -> None:
        try:
            await self._records.messages.insert_one(message_doc(message))
        except DuplicateKeyError as exc:
            if await self._records.messages.find_one({"_id": message.message_id}) is None:
                taken = f"Number {message.seq} of {message.conversation_id} is taken."
                raise HistoryUnavailableError(taken) from exc

    async def _drop(self, conversation_id: str, turn_id: str) -> None:
        """Free a slot whose turn is gone, and remove the message it may have left."""
        mine = {"_id": conversation_id, "active_turn_id": turn_id}
        conversation = await self._records.conversations.find_one(mine)
        newest = 0 if conversation is None else conversation["last_seq"] - 1
        await self._records.messages.delete_many(
            {"conversation_id": conversation_id, "seq": {"$gte": newest}, "turn_id": turn_id}
        )
        await self._records.conversations.update_one(mine, {"$set": {"active_turn_id": None}})


def _beginning_of(doc: TurnDoc) -> BeginningDoc:
    beginning = doc.get("beginning")
    if beginning is None:
        raise HistoryUnavailableError(f"Turn {doc['_id']} is damaged: it begins without a plan.")
    return beginning
