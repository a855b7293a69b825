"""Where the record and the chatbots are kept, as the settings say."""

from contextlib import AsyncExitStack

from chatbots.base import Chatbots
from chatbots.errors import ChatbotsError
from chatbots.sqlite import SqliteChatbots
from history.base import History
from history.errors import HistoryError
from history.sqlite.history import SqliteHistory
from server.services.faults import StartError
from server.settings import Settings
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase


def choose_stores(settings: Settings) -> tuple[History, Chatbots]:
    """Return the stores the settings ask for, not opened yet.

    Raises:
        StartError: the address of a store cannot be used.
    """
    if settings.mongodb_uri is None:
        file = SqliteDatabase(settings.data_dir / "chat.db", timeout_s=settings.history_timeout_s)
        return SqliteHistory(file), SqliteChatbots(file)
    from chatbots.mongo import MongoChatbots  # noqa: PLC0415  # only what is used
    from history.mongo.history import MongoHistory  # noqa: PLC0415
    from storage.mongo import MongoDatabase  # noqa: PLC0415

    try:
        database = MongoDatabase(
            settings.mongodb_uri.get_secret_value(), timeout_s=settings.history_timeout_s
        )
    except StorageError as error:
        raise StartError(f"MONGODB_URI: {error}") from None
    return MongoHistory(database), MongoChatbots(database)


async def open_stores(settings: Settings, stack: AsyncExitStack) -> tuple[History, Chatbots]:
    """Return the stores, opened; the stack closes them.

    Raises:
        StartError: a store cannot be used.
    """
    history, chatbots = choose_stores(settings)
    stack.push_async_callback(history.close)
    try:
        await history.open()
        await chatbots.open()
    except (HistoryError, ChatbotsError, StorageError) as error:
        raise StartError(f"The history cannot be opened: {store_fault(settings, error)}") from None
    return history, chatbots


def store_fault(settings: Settings, error: Exception) -> str:
    """Return a driver's complaint in one line, and where to look."""
    brief = str(error).partition(" (configured timeouts")[0].splitlines()[0]
    return brief if settings.mongodb_uri is None else f"{brief}; check MONGODB_URI."
