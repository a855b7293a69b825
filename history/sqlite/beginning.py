"""How a turn begins in SQLite: all checks and all writes in one transaction."""

import sqlite3
from datetime import datetime

from history import codec
from history.errors import (
    ConversationNotFoundError,
    IdempotencyConflictError,
    TurnNotFoundError,
    TurnRunningError,
)
from history.model import (
    RECORD_VERSION,
    Conversation,
    Idempotency,
    NewTurn,
    TurnRecord,
    TurnStatus,
    question_of,
)
from history.sqlite.conversations import insert_conversation
from history.sqlite.messages import insert_message
from history.sqlite.records import find_conversation, find_turn
from storage.sqlite import insert_row


def begin(connection: sqlite3.Connection, turn: NewTurn) -> tuple[TurnRecord, bool]:
    """Do what `Turns.begin` promises, within the caller's transaction."""
    begun = _begun_before(connection, turn)
    if begun is not None:
        return begun, begun.turn_id == turn.turn_id
    if turn.new_conversation is not None:
        insert_conversation(connection, turn.new_conversation)
    conversation = find_conversation(connection, turn.owner_id, turn.conversation_id)
    user_message_id = _user_message_id(connection, turn)
    _refuse_beside_running(connection, conversation)
    answer_seq = conversation.last_seq + (1 if turn.text is None else 2)
    connection.execute(
        "UPDATE conversations SET last_seq = ?, active_turn_id = ?,"
        " updated_at = max(updated_at, ?) WHERE conversation_id = ?",
        (answer_seq, turn.turn_id, codec.to_ms(turn.started_at), turn.conversation_id),
    )
    if turn.text is not None:
        insert_message(connection, question_of(turn, text=turn.text, seq=answer_seq - 1))
    _insert_turn(connection, turn, user_message_id=user_message_id, answer_seq=answer_seq)
    _insert_key(connection, turn)
    return find_turn(connection, turn.turn_id), True


def begun_with(
    connection: sqlite3.Connection, key: Idempotency, *, at: datetime
) -> TurnRecord | None:
    """Return the turn that was begun with a key.

    Raises:
        IdempotencyConflictError: the key came with another body.
    """
    row = connection.execute(
        "SELECT * FROM idempotency_keys WHERE key_hash = ? AND expires_at > ?",
        (key.key_hash, codec.to_ms(at)),
    ).fetchone()
    if row is None:
        return None
    if row["body_hash"] != key.body_hash:
        raise IdempotencyConflictError(row["turn_id"])
    return _found(connection, row["turn_id"])


def _begun_before(connection: sqlite3.Connection, turn: NewTurn) -> TurnRecord | None:
    key, record = turn.idempotency, None
    if key is not None:
        record = begun_with(connection, key, at=turn.started_at)
    record = record or _found(connection, turn.turn_id)
    if record is None:
        return None
    if record.owner_id != turn.owner_id:
        raise ConversationNotFoundError(turn.conversation_id)
    return record


def _found(connection: sqlite3.Connection, turn_id: str) -> TurnRecord | None:
    try:
        return find_turn(connection, turn_id)
    except TurnNotFoundError:
        return None


def _user_message_id(connection: sqlite3.Connection, turn: NewTurn) -> str:
    """Return the id of the message to answer: the turn's own, or that of the retried turn."""
    if turn.retry_of is None:
        return turn.user_message_id
    retried = find_turn(connection, turn.retry_of)
    if (retried.owner_id, retried.conversation_id) != (turn.owner_id, turn.conversation_id):
        raise TurnNotFoundError(turn.retry_of)
    return retried.user_message_id


def _refuse_beside_running(connection: sqlite3.Connection, conversation: Conversation) -> None:
    if conversation.active_turn_id is None:
        return
    running = connection.execute(
        "SELECT 1 FROM turns WHERE turn_id = ? AND status = 'running'",
        (conversation.active_turn_id,),
    ).fetchone()
    if running is not None:
        raise TurnRunningError(conversation.active_turn_id)


def _insert_turn(
    connection: sqlite3.Connection, turn: NewTurn, *, user_message_id: str, answer_seq: int
) -> None:
    started_at = codec.to_ms(turn.started_at)
    insert_row(
        connection,
        "turns",
        {
            "turn_id": turn.turn_id,
            "conversation_id": turn.conversation_id,
            "owner_id": turn.owner_id,
            "user_message_id": user_message_id,
            "message_id": turn.message_id,
            "answer_seq": answer_seq,
            "chatbot_id": turn.chatbot_id,
            "model": turn.model,
            "streaming": turn.streaming,
            "worker_id": turn.worker_id,
            "spec": codec.dump_map(turn.spec),
            "metadata": codec.dump_map(turn.metadata),
            "status": TurnStatus.RUNNING,
            "epoch": 1,
            "last_seq": 0,
            "text": "",
            "started_at": started_at,
            "heartbeat_at": started_at,
            "retry_of": turn.retry_of,
            "v": RECORD_VERSION,
        },
    )


def _insert_key(connection: sqlite3.Connection, turn: NewTurn) -> None:
    if turn.idempotency is None:
        return
    # A key in the way has expired, or its turn is gone: a live one was answered before.
    connection.execute(
        "DELETE FROM idempotency_keys WHERE key_hash = ?", (turn.idempotency.key_hash,)
    )
    insert_row(
        connection,
        "idempotency_keys",
        {
            "key_hash": turn.idempotency.key_hash,
            "body_hash": turn.idempotency.body_hash,
            "turn_id": turn.turn_id,
            "conversation_id": turn.conversation_id,
            "expires_at": codec.to_ms(turn.idempotency.expires_at),
            "v": RECORD_VERSION,
        },
    )
