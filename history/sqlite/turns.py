"""Turns in SQLite: each step one transaction, so nothing is ever half done."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from history import codec
from history.errors import TurnNotFoundError
from history.model import (
    Checkpoint,
    Idempotency,
    NewTurn,
    TurnEnd,
    TurnRecord,
    TurnSeal,
    answer_of,
)
from history.sqlite.beginning import begin, begun_with
from history.sqlite.messages import insert_message
from history.sqlite.records import Records, find_turn
from history.sqlite.schema import turn_of

MAX_FOUND = 500


class SqliteTurns:
    """`Turns` in SQLite."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def begin(self, turn: NewTurn) -> tuple[TurnRecord, bool]:
        return await self._records.write(lambda connection: begin(connection, turn))

    async def begun_with(
        self, owner_id: str, key: Idempotency, *, at: datetime
    ) -> TurnRecord | None:
        record = await self._records.read(lambda connection: begun_with(connection, key, at=at))
        return record if record is not None and record.owner_id == owner_id else None

    async def find(self, turn_id: str) -> TurnRecord:
        return await self._records.read(lambda connection: find_turn(connection, turn_id))

    async def get(self, owner_id: str, turn_id: str) -> TurnRecord:
        record = await self.find(turn_id)
        if record.owner_id != owner_id:
            raise TurnNotFoundError(turn_id)
        return record

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> frozenset[str]:
        def work(connection: sqlite3.Connection) -> frozenset[str]:
            return frozenset(
                checkpoint.turn_id
                for checkpoint in checkpoints
                if not _checkpoint(connection, checkpoint)
            )

        return await self._records.write(work) if checkpoints else frozenset()

    async def end(self, end: TurnEnd) -> TurnRecord:
        return await self._records.write(lambda connection: _end(connection, end))

    async def seal(self, seal: TurnSeal) -> None:
        await self._records.write(lambda connection: _seal(connection, seal))

    async def find_running(self, *, silent_since: datetime | None) -> Sequence[TurnRecord]:
        before = 2**62 if silent_since is None else codec.to_ms(silent_since)

        def work(connection: sqlite3.Connection) -> Sequence[TurnRecord]:
            rows = connection.execute(
                "SELECT * FROM turns WHERE status = 'running' AND heartbeat_at < ?"
                " ORDER BY heartbeat_at LIMIT ?",
                (before, MAX_FOUND),
            )
            return [turn_of(row) for row in rows]

        return await self._records.read(work)


def _checkpoint(connection: sqlite3.Connection, checkpoint: Checkpoint) -> bool:
    """Write a checkpoint; return whether its epoch holds the record."""
    updated = connection.execute(
        "UPDATE turns SET heartbeat_at = max(heartbeat_at, ?5),"
        " text = iif((epoch, last_seq) <= (?2, ?3), ?4, text),"
        " last_seq = iif((epoch, last_seq) <= (?2, ?3), ?3, last_seq), epoch = ?2"
        " WHERE turn_id = ?1 AND status = 'running' AND epoch <= ?2",
        (
            checkpoint.turn_id,
            checkpoint.epoch,
            checkpoint.last_seq,
            checkpoint.text,
            codec.to_ms(checkpoint.at),
        ),
    )
    return updated.rowcount == 1


def _end(connection: sqlite3.Connection, end: TurnEnd) -> TurnRecord:
    row = connection.execute(
        "UPDATE turns SET status = ?, epoch = ?, last_seq = ?, text = ?, heartbeat_at = ?,"
        " ended_at = ?, finish_reason = ?, usage = ?, error = ?, end = ?"
        " WHERE turn_id = ? AND status = 'running' AND epoch <= ? RETURNING answer_seq",
        (
            end.status,
            end.epoch,
            end.last_seq,
            end.text,
            codec.to_ms(end.ended_at),
            codec.to_ms(end.ended_at),
            end.finish_reason,
            codec.dump_usage(end.usage),
            codec.dump_optional_map(end.error),
            codec.dump_map(end.end),
            end.turn_id,
            end.expected_epoch,
        ),
    ).fetchone()
    record = find_turn(connection, end.turn_id)
    if row is not None:
        insert_message(connection, answer_of(record, seq=row["answer_seq"]))
        _free_conversation(connection, record, at=end.ended_at)
    return record


def _seal(connection: sqlite3.Connection, seal: TurnSeal) -> None:
    connection.execute(
        "UPDATE turns SET last_seq = ?3, end = ?4, speech = ?5"
        " WHERE turn_id = ?1 AND status <> 'running' AND epoch = ?2 AND last_seq <= ?3",
        (
            seal.turn_id,
            seal.epoch,
            seal.last_seq,
            codec.dump_map(seal.end),
            codec.dump_speech(seal.speech),
        ),
    )


def _free_conversation(connection: sqlite3.Connection, record: TurnRecord, *, at: datetime) -> None:
    connection.execute(
        "UPDATE conversations SET updated_at = max(updated_at, ?),"
        " active_turn_id = nullif(active_turn_id, ?) WHERE conversation_id = ?",
        (codec.to_ms(at), record.turn_id, record.conversation_id),
    )
