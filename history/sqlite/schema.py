"""Tables and indexes of the record, and how their rows become values."""

import sqlite3

from history import codec
from history.model import Conversation, Message, TurnRecord, TurnStatus

INDEXES = (
    "conversations_by_owner",
    "messages_by_seq",
    "turns_by_conversation",
    "turns_running",
    "idempotency_keys_by_expiry",
    "idempotency_keys_by_conversation",
)

STEPS = (
    (
        """
        CREATE TABLE conversations (
            conversation_id TEXT PRIMARY KEY,
            owner_id TEXT NOT NULL,
            title TEXT NOT NULL,
            chatbot_id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            last_seq INTEGER NOT NULL,
            active_turn_id TEXT,
            v INTEGER NOT NULL
        )
        """,
        """
        CREATE INDEX conversations_by_owner
            ON conversations (owner_id, updated_at DESC, conversation_id DESC)
        """,
        """
        CREATE TABLE messages (
            message_id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
            owner_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            role TEXT NOT NULL,
            text TEXT NOT NULL,
            status TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            turn_id TEXT NOT NULL,
            chatbot_id TEXT NOT NULL,
            model TEXT,
            usage TEXT,
            feedback TEXT,
            v INTEGER NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX messages_by_seq ON messages (conversation_id, seq)",
        """
        CREATE TABLE turns (
            turn_id TEXT PRIMARY KEY,
            conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
            owner_id TEXT NOT NULL,
            user_message_id TEXT NOT NULL,
            message_id TEXT NOT NULL,
            answer_seq INTEGER NOT NULL,
            chatbot_id TEXT NOT NULL,
            model TEXT NOT NULL,
            streaming INTEGER NOT NULL,
            worker_id TEXT NOT NULL,
            spec TEXT NOT NULL,
            metadata TEXT NOT NULL,
            status TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            last_seq INTEGER NOT NULL,
            text TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            heartbeat_at INTEGER NOT NULL,
            retry_of TEXT,
            ended_at INTEGER,
            finish_reason TEXT,
            usage TEXT,
            error TEXT,
            end TEXT,
            v INTEGER NOT NULL
        )
        """,
        "CREATE INDEX turns_by_conversation ON turns (conversation_id)",
        "CREATE INDEX turns_running ON turns (heartbeat_at) WHERE status = 'running'",
        """
        CREATE TABLE idempotency_keys (
            key_hash TEXT PRIMARY KEY,
            body_hash TEXT NOT NULL,
            turn_id TEXT NOT NULL,
            conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
            expires_at INTEGER NOT NULL,
            v INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at)",
        "CREATE INDEX idempotency_keys_by_conversation ON idempotency_keys (conversation_id)",
    ),
    ("ALTER TABLE turns ADD COLUMN speech TEXT",),
)
"""One entry per release of the schema. Steps only add, and none is changed once released."""


def conversation_of(row: sqlite3.Row) -> Conversation:
    """Return the conversation of a row."""
    return Conversation(
        conversation_id=row["conversation_id"],
        owner_id=row["owner_id"],
        title=row["title"],
        chatbot_id=row["chatbot_id"],
        created_at=codec.from_ms(row["created_at"]),
        updated_at=codec.from_ms(row["updated_at"]),
        last_seq=row["last_seq"],
        active_turn_id=row["active_turn_id"],
    )


def message_of(row: sqlite3.Row) -> Message:
    """Return the message of a row."""
    return Message(
        message_id=row["message_id"],
        conversation_id=row["conversation_id"],
        owner_id=row["owner_id"],
        seq=row["seq"],
        role=row["role"],
        text=row["text"],
        status=TurnStatus(row["status"]),
        created_at=codec.from_ms(row["created_at"]),
        turn_id=row["turn_id"],
        chatbot_id=row["chatbot_id"],
        model=row["model"],
        usage=codec.load_usage(row["usage"]),
        feedback=codec.load_feedback(row["feedback"]),
    )


def turn_of(row: sqlite3.Row) -> TurnRecord:
    """Return the record of a row."""
    ended_at = row["ended_at"]
    return TurnRecord(
        turn_id=row["turn_id"],
        owner_id=row["owner_id"],
        conversation_id=row["conversation_id"],
        user_message_id=row["user_message_id"],
        message_id=row["message_id"],
        chatbot_id=row["chatbot_id"],
        model=row["model"],
        streaming=bool(row["streaming"]),
        worker_id=row["worker_id"],
        spec=codec.load_map(row["spec"]),
        metadata=codec.load_map(row["metadata"]),
        status=TurnStatus(row["status"]),
        epoch=row["epoch"],
        last_seq=row["last_seq"],
        text=row["text"],
        started_at=codec.from_ms(row["started_at"]),
        heartbeat_at=codec.from_ms(row["heartbeat_at"]),
        retry_of=row["retry_of"],
        ended_at=None if ended_at is None else codec.from_ms(ended_at),
        finish_reason=row["finish_reason"],
        usage=codec.load_usage(row["usage"]),
        error=codec.load_optional_map(row["error"]),
        end=codec.load_optional_map(row["end"]),
        speech=codec.load_speech(row["speech"]),
    )
