"""Conversations in SQLite."""

import sqlite3

from history import codec
from history.errors import ConversationNotFoundError
from history.model import RECORD_VERSION, Conversation, Page
from history.sqlite.records import Records, find_conversation
from history.sqlite.schema import conversation_of
from storage.sqlite import insert_row


class SqliteConversations:
    """`Conversations` in SQLite."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def create(self, conversation: Conversation) -> Conversation:
        def work(connection: sqlite3.Connection) -> Conversation:
            insert_conversation(connection, conversation)
            return find_conversation(
                connection, conversation.owner_id, conversation.conversation_id
            )

        return await self._records.write(work)

    async def get(self, owner_id: str, conversation_id: str) -> Conversation:
        return await self._records.read(
            lambda connection: find_conversation(connection, owner_id, conversation_id)
        )

    async def list(self, owner_id: str, *, limit: int, cursor: str | None) -> Page[Conversation]:
        after_ms, after_id = codec.parse_cursor(cursor) if cursor is not None else (2**62, "")

        def work(connection: sqlite3.Connection) -> Page[Conversation]:
            rows = connection.execute(
                "SELECT * FROM conversations WHERE owner_id = ?"
                " AND (updated_at, conversation_id) < (?, ?)"
                " ORDER BY updated_at DESC, conversation_id DESC LIMIT ?",
                (owner_id, after_ms, after_id, limit + 1),
            )
            return codec.conversation_page([conversation_of(row) for row in rows], limit)

        return await self._records.read(work)

    async def rename(
        self, owner_id: str, conversation_id: str, title: str, *, if_title: str | None = None
    ) -> Conversation:
        def work(connection: sqlite3.Connection) -> Conversation:
            connection.execute(
                "UPDATE conversations SET title = ?1 WHERE conversation_id = ?2"
                " AND owner_id = ?3 AND title = coalesce(?4, title)",
                (title, conversation_id, owner_id, if_title),
            )
            return find_conversation(connection, owner_id, conversation_id)

        return await self._records.write(work)

    async def delete(self, owner_id: str, conversation_id: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            # Messages, turns and keys go with it: ON DELETE CASCADE.
            deleted = connection.execute(
                "DELETE FROM conversations WHERE conversation_id = ? AND owner_id = ?",
                (conversation_id, owner_id),
            )
            if deleted.rowcount == 0:
                raise ConversationNotFoundError(conversation_id)

        await self._records.write(work)


def insert_conversation(connection: sqlite3.Connection, conversation: Conversation) -> None:
    """Insert a conversation as new and empty, unless one of its id is there."""
    insert_row(
        connection,
        "conversations",
        {
            "conversation_id": conversation.conversation_id,
            "owner_id": conversation.owner_id,
            "title": conversation.title,
            "chatbot_id": conversation.chatbot_id,
            "created_at": codec.to_ms(conversation.created_at),
            "updated_at": codec.to_ms(conversation.updated_at),
            "last_seq": 0,
            "v": RECORD_VERSION,
        },
        conflict="ON CONFLICT (conversation_id) DO NOTHING",
    )
