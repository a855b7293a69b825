"""Chatbots in a SQLite file: the embedded form of the seam."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from chatbots.base import MAX_FORMER
from chatbots.errors import ChatbotChangedError, ChatbotNotFoundError, ChatbotsUnavailableError
from chatbots.model import DEFAULT_CHATBOT, Chatbot, FormerChatbot
from chatbots.versions import dump_chatbot, former_chatbot
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase, insert_row

T = TypeVar("T")

MAX_LISTED = 1000
RECORD_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

STEPS = (
    (
        """
        CREATE TABLE chatbots (
            chatbot_id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            instructions TEXT NOT NULL,
            model TEXT,
            temperature REAL,
            voice TEXT,
            greeting TEXT,
            max_response_chars INTEGER,
            enabled INTEGER NOT NULL,
            version INTEGER NOT NULL,
            v INTEGER NOT NULL
        )
        """,
    ),
    ("ALTER TABLE chatbots ADD COLUMN on_break TEXT NOT NULL DEFAULT 'continue'",),
    ("ALTER TABLE chatbots ADD COLUMN moderation TEXT NOT NULL DEFAULT 'off'",),
    (
        """
        CREATE TABLE former_chatbots (
            chatbot_id TEXT NOT NULL,
            version INTEGER NOT NULL,
            replaced_at INTEGER NOT NULL,
            chatbot TEXT NOT NULL,
            v INTEGER NOT NULL,
            PRIMARY KEY (chatbot_id, version)
        )
        """,
    ),
)
"""One entry per release of the schema. Steps only add, and none is changed once released."""


class SqliteChatbots:
    """`Chatbots` in SQLite. Whoever made the database closes it.

    What was read is kept in memory until any chatbot changes, which only this process can do: each
    turn needs one, and to read it takes a thread 0.3 ms before the first token. It is no more than
    all chatbots are.

    Args:
        database: Where; its deadline is this adapter's.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._known: dict[str, Chatbot] = {}

    async def open(self) -> None:
        def store_default(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM chatbots LIMIT 1").fetchone() is None:
                _upsert(connection, DEFAULT_CHATBOT)

        try:
            await self._database.open()
            await self._database.migrate("chatbots", STEPS)
        except StorageError as exc:
            raise ChatbotsUnavailableError(str(exc)) from exc
        await self._write(store_default)

    async def get(self, chatbot_id: str) -> Chatbot:
        known = self._known  # of now: what is read while others change is not kept
        if chatbot_id not in known:
            known[chatbot_id] = await self._read(lambda connection: _find(connection, chatbot_id))
        return known[chatbot_id]

    async def list(self) -> Sequence[Chatbot]:
        def work(connection: sqlite3.Connection) -> Sequence[Chatbot]:
            rows = connection.execute(
                "SELECT * FROM chatbots ORDER BY chatbot_id LIMIT ?", (MAX_LISTED,)
            )
            return [_chatbot_of(row) for row in rows]

        return await self._read(work)

    async def put(self, chatbot: Chatbot, *, if_version: int | None = None) -> Chatbot:
        def work(connection: sqlite3.Connection) -> Chatbot:
            _expect(connection, chatbot.chatbot_id, if_version)
            _keep(connection, chatbot.chatbot_id)
            _upsert(connection, chatbot)
            return _find(connection, chatbot.chatbot_id)

        return await self._write(work)

    async def former(self, chatbot_id: str) -> Sequence[FormerChatbot]:
        def work(connection: sqlite3.Connection) -> Sequence[FormerChatbot]:
            _find(connection, chatbot_id)
            rows = connection.execute(
                "SELECT chatbot, replaced_at FROM former_chatbots WHERE chatbot_id = ?"
                " ORDER BY version DESC",
                (chatbot_id,),
            )
            return [
                former_chatbot(row["chatbot"], _EPOCH + timedelta(milliseconds=row["replaced_at"]))
                for row in rows
            ]

        return await self._read(work)

    async def delete(self, chatbot_id: str, *, if_version: int | None = None) -> None:
        def work(connection: sqlite3.Connection) -> None:
            _find(connection, chatbot_id)
            _expect(connection, chatbot_id, if_version)
            connection.execute("DELETE FROM former_chatbots WHERE chatbot_id = ?", (chatbot_id,))
            connection.execute("DELETE FROM chatbots WHERE chatbot_id = ?", (chatbot_id,))

        await self._write(work)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._database.read(work)
        except StorageError as exc:
            raise ChatbotsUnavailableError(str(exc)) from exc

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._known = {}
        try:
            return await self._database.write(work)
        except StorageError as exc:
            raise ChatbotsUnavailableError(str(exc)) from exc
        finally:
            self._known = {}  # anew: while it was being written, the former one could be read


def _find(connection: sqlite3.Connection, chatbot_id: str) -> Chatbot:
    row = connection.execute(
        "SELECT * FROM chatbots WHERE chatbot_id = ?", (chatbot_id,)
    ).fetchone()
    if row is None:
        raise ChatbotNotFoundError(chatbot_id)
    return _chatbot_of(row)


def _expect(connection: sqlite3.Connection, chatbot_id: str, version: int | None) -> None:
    row = connection.execute(
        "SELECT version FROM chatbots WHERE chatbot_id = ?", (chatbot_id,)
    ).fetchone()
    stored = row["version"] if row else 0
    if version not in {None, stored}:
        raise ChatbotChangedError(chatbot_id, stored)


def _keep(connection: sqlite3.Connection, chatbot_id: str) -> None:
    """Keep what is about to be replaced, if anything is."""
    try:
        former = _find(connection, chatbot_id)
    except ChatbotNotFoundError:
        return
    insert_row(
        connection,
        "former_chatbots",
        {
            "chatbot_id": chatbot_id,
            "version": former.version,
            "replaced_at": (datetime.now(UTC) - _EPOCH) // timedelta(milliseconds=1),
            "chatbot": dump_chatbot(former),
            "v": RECORD_VERSION,
        },
    )
    connection.execute(
        "DELETE FROM former_chatbots WHERE chatbot_id = ? AND version <= ?",
        (chatbot_id, former.version - MAX_FORMER),
    )


def _upsert(connection: sqlite3.Connection, chatbot: Chatbot) -> None:
    insert_row(
        connection,
        "chatbots",
        {
            "chatbot_id": chatbot.chatbot_id,
            "name": chatbot.name,
            "instructions": chatbot.instructions,
            "model": chatbot.model,
            "temperature": chatbot.temperature,
            "voice": chatbot.voice,
            "greeting": chatbot.greeting,
            "max_response_chars": chatbot.max_response_chars,
            "on_break": chatbot.on_break,
            "moderation": chatbot.moderation,
            "enabled": chatbot.enabled,
            "version": 1,
            "v": RECORD_VERSION,
        },
        conflict="ON CONFLICT (chatbot_id) DO UPDATE SET name = excluded.name,"
        " instructions = excluded.instructions, model = excluded.model,"
        " temperature = excluded.temperature, voice = excluded.voice,"
        " greeting = excluded.greeting, max_response_chars = excluded.max_response_chars,"
        " on_break = excluded.on_break, moderation = excluded.moderation,"
        " enabled = excluded.enabled, version = version + 1, v = excluded.v",
    )


def _chatbot_of(row: sqlite3.Row) -> Chatbot:
    return Chatbot(
        chatbot_id=row["chatbot_id"],
        name=row["name"],
        instructions=row["instructions"],
        model=row["model"],
        temperature=row["temperature"],
        voice=row["voice"],
        greeting=row["greeting"],
        max_response_chars=row["max_response_chars"],
        on_break=row["on_break"],
        moderation=row["moderation"],
        enabled=bool(row["enabled"]),
        version=row["version"],
    )
