"""Turns in MongoDB."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument, UpdateOne

from history import codec
from history.errors import IdempotencyConflictError, TurnNotFoundError
from history.model import (
    Checkpoint,
    Idempotency,
    NewTurn,
    TurnEnd,
    TurnRecord,
    TurnSeal,
    TurnStatus,
)
from history.mongo.beginning import Begin
from history.mongo.documents import BEGINNING, TurnDoc, place_of, turn_of
from history.mongo.records import Records
from history.mongo.steps import Steps

MAX_FOUND = 500

_ENDED = [status.value for status in TurnStatus if status is not TurnStatus.RUNNING]


class MongoTurns:
    """`Turns` in MongoDB."""

    def __init__(self, records: Records, steps: Steps) -> None:
        self._records = records
        self._steps = steps
        self._begin = Begin(records, steps)

    async def begin(self, turn: NewTurn) -> tuple[TurnRecord, bool]:
        async with self._records.deadline():
            return await self._begin.run(turn)

    async def begun_with(
        self, owner_id: str, key: Idempotency, *, at: datetime
    ) -> TurnRecord | None:
        async with self._records.deadline():
            held = await self._records.keys.find_one({"_id": key.key_hash})
        if held is None or held["expires_ms"] <= codec.to_ms(at):
            return None
        try:
            record = await self.get(owner_id, held["turn_id"])
        except TurnNotFoundError:  # withdrawn, deleted, or still to begin
            return None
        if held["body_hash"] != key.body_hash:
            raise IdempotencyConflictError(record.turn_id)
        return record

    async def find(self, turn_id: str) -> TurnRecord:
        return await self._get({"_id": turn_id})

    async def get(self, owner_id: str, turn_id: str) -> TurnRecord:
        return await self._get({"_id": turn_id, "owner_id": owner_id})

    async def _get(self, query: dict[str, Any]) -> TurnRecord:
        async with self._records.deadline():
            doc = await self._find(query)
            if doc["status"] == TurnStatus.RUNNING:
                return turn_of(doc)
            return await self._settled(doc)

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> frozenset[str]:
        if not checkpoints:
            return frozenset()
        async with self._records.deadline():
            written = await self._records.turns.bulk_write(
                [_checkpoint(checkpoint) for checkpoint in checkpoints], ordered=False
            )
            if written.matched_count == len(checkpoints):
                return frozenset()
            return await self._lost(checkpoints)

    async def end(self, end: TurnEnd) -> TurnRecord:
        async with self._records.deadline():
            doc = await self._records.turns.find_one_and_update(
                {
                    "_id": end.turn_id,
                    "status": TurnStatus.RUNNING.value,
                    "epoch": {"$lte": end.expected_epoch},
                },
                {"$set": _ended(end)},
                return_document=ReturnDocument.AFTER,
            ) or await self._find({"_id": end.turn_id})
            if doc["status"] == TurnStatus.RUNNING:
                return turn_of(doc)
            return await self._steps.finish_end(doc)

    async def seal(self, seal: TurnSeal) -> None:
        async with self._records.deadline():
            # An end that stopped half way stays as it is for whoever comes across it next.
            await self._records.turns.update_one(
                {
                    "_id": seal.turn_id,
                    "status": {"$in": _ENDED},
                    "epoch": seal.epoch,
                    "last_seq": {"$lte": seal.last_seq},
                },
                {"$set": _sealed(seal)},
            )

    async def find_running(self, *, silent_since: datetime | None) -> Sequence[TurnRecord]:
        query: dict[str, Any] = {"status": TurnStatus.RUNNING.value}
        if silent_since is not None:
            query["heartbeat_at"] = {"$lt": codec.to_ms(silent_since)}
        async with self._records.deadline():
            found = self._records.turns.find(query).sort("heartbeat_at", 1).limit(MAX_FOUND)
            return [turn_of(doc) for doc in await found.to_list()]

    async def _find(self, query: dict[str, Any]) -> TurnDoc:
        doc = await self._records.turns.find_one(query)
        if doc is None or doc["status"] == BEGINNING:
            raise TurnNotFoundError(query["_id"])
        return doc

    async def _settled(self, doc: TurnDoc) -> TurnRecord:
        """Return an ended turn's record; finish its end first if that stopped half way."""
        held = {"_id": doc["conversation_id"], "active_turn_id": doc["_id"]}
        if await self._records.conversations.find_one(held, {"_id": 1}) is None:
            return turn_of(doc)
        return await self._steps.finish_end(doc)

    async def _lost(self, checkpoints: Sequence[Checkpoint]) -> frozenset[str]:
        """Return whose epoch holds no more; refresh the heartbeat of the rest."""
        ids = [checkpoint.turn_id for checkpoint in checkpoints]
        found = self._records.turns.find(
            {"_id": {"$in": ids}, "status": TurnStatus.RUNNING.value}, {"_id": 1, "epoch": 1}
        )
        epochs = {doc["_id"]: doc["epoch"] for doc in await found.to_list()}
        held = [each for each in checkpoints if epochs.get(each.turn_id) == each.epoch]
        if held:
            await self._records.turns.bulk_write([_heartbeat(each) for each in held], ordered=False)
        return frozenset(ids) - {each.turn_id for each in held}


def _checkpoint(checkpoint: Checkpoint) -> UpdateOne:
    place = place_of(epoch=checkpoint.epoch, last_seq=checkpoint.last_seq)
    return UpdateOne(
        {
            "_id": checkpoint.turn_id,
            "status": TurnStatus.RUNNING.value,
            "place": {"$lte": place},
        },
        {
            "$set": {
                "place": place,
                "epoch": checkpoint.epoch,
                "last_seq": checkpoint.last_seq,
                "text": checkpoint.text,
            },
            "$max": {"heartbeat_at": codec.to_ms(checkpoint.at)},
        },
    )


def _heartbeat(checkpoint: Checkpoint) -> UpdateOne:
    return UpdateOne(
        {
            "_id": checkpoint.turn_id,
            "status": TurnStatus.RUNNING.value,
            "epoch": checkpoint.epoch,
        },
        {"$max": {"heartbeat_at": codec.to_ms(checkpoint.at)}},
    )


def _ended(end: TurnEnd) -> dict[str, object]:
    return {
        "status": end.status.value,
        "epoch": end.epoch,
        "last_seq": end.last_seq,
        "text": end.text,
        "heartbeat_at": codec.to_ms(end.ended_at),
        "ended_at": codec.to_ms(end.ended_at),
        "finish_reason": end.finish_reason,
        "usage": codec.dump_usage(end.usage),
        "error": codec.dump_optional_map(end.error),
        "end": codec.dump_map(end.end),
    }


def _sealed(seal: TurnSeal) -> dict[str, object]:
    return {
        "last_seq": seal.last_seq,
        "end": codec.dump_map(seal.end),
        "speech": codec.dump_speech(seal.speech),
    }
