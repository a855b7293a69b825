"""Messages in SQLite."""

import sqlite3

from history import codec
from history.errors import MessageNotFoundError
from history.model import RECORD_VERSION, Feedback, Message, Page
from history.sqlite.records import Records, find_conversation
from history.sqlite.schema import message_of
from storage.sqlite import insert_row


class SqliteMessages:
    """`Messages` in SQLite."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def list(
        self, owner_id: str, conversation_id: str, *, limit: int, before: int | None
    ) -> Page[Message]:
        def work(connection: sqlite3.Connection) -> Page[Message]:
            find_conversation(connection, owner_id, conversation_id)
            rows = connection.execute(
                "SELECT * FROM messages WHERE conversation_id = ? AND seq < ?"
                " ORDER BY seq DESC LIMIT ?",
                (conversation_id, 2**62 if before is None else before, limit + 1),
            )
            return codec.message_page([message_of(row) for row in rows], limit)

        return await self._records.read(work)

    async def get(self, owner_id: str, message_id: str) -> Message:
        return await self._records.read(
            lambda connection: _find_message(connection, owner_id, message_id)
        )

    async def set_feedback(self, owner_id: str, message_id: str, feedback: Feedback) -> Message:
        def work(connection: sqlite3.Connection) -> Message:
            updated = connection.execute(
                "UPDATE messages SET feedback = ? WHERE message_id = ? AND owner_id = ?"
                " AND role = 'assistant'",
                (codec.dump_feedback(feedback), message_id, owner_id),
            )
            if updated.rowcount == 0:
                raise MessageNotFoundError(message_id)
            return _find_message(connection, owner_id, message_id)

        return await self._records.write(work)


def insert_message(connection: sqlite3.Connection, message: Message) -> None:
    """Insert a message, unless it is there."""
    insert_row(
        connection,
        "messages",
        {
            "message_id": message.message_id,
            "conversation_id": message.conversation_id,
            "owner_id": message.owner_id,
            "seq": message.seq,
            "role": message.role,
            "text": message.text,
            "status": message.status,
            "created_at": codec.to_ms(message.created_at),
            "turn_id": message.turn_id,
            "chatbot_id": message.chatbot_id,
            "model": message.model,
            "usage": codec.dump_usage(message.usage),
            "feedback": codec.dump_feedback(message.feedback),
            "v": RECORD_VERSION,
        },
        conflict="ON CONFLICT (message_id) DO NOTHING",
    )


def _find_message(connection: sqlite3.Connection, owner_id: str, message_id: str) -> Message:
    row = connection.execute(
        "SELECT * FROM messages WHERE message_id = ? AND owner_id = ?", (message_id, owner_id)
    ).fetchone()
    if row is None:
        raise MessageNotFoundError(message_id)
    return message_of(row)
