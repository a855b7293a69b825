"""Where the record, the chatbots and the accounts are kept, as the settings say."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import structlog

from accounts.base import Accounts
from accounts.errors import AccountsError
from accounts.sqlite import SqliteAccounts
from chatbots.base import Chatbots
from chatbots.errors import ChatbotsError
from chatbots.sqlite import SqliteChatbots
from history.base import History
from history.errors import HistoryError
from history.sqlite.history import SqliteHistory
from metrics.turns import TurnMetrics
from resilience.breaker import Breaker, BreakerState
from server.services.faults import StartError
from server.settings import Settings
from storage.errors import StorageError
from storage.sqlite import SqliteDatabase
from storage.timing import OnCall

BREAKER_OPEN_S = 1.0
BREAKER_MAX_OPEN_S = 5.0
"""How long a lost MongoDB is left alone at first, and at most: users wait for it to be tried."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept for good: all in one file, or in one database; closing the history closes it."""

    history: History
    chatbots: Chatbots
    accounts: Accounts


def history_breaker(settings: Settings, metrics: TurnMetrics) -> Breaker | None:
    """Return the breaker of a store that is a server; a file cannot be left alone."""
    if settings.mongodb_uri is None:
        return None

    def changed(_: str, before: BreakerState, after: BreakerState) -> None:
        log.warning("history.breaker_changed", before=before.value, after=after.value)
        metrics.history_breaker_changed(is_open=after is not BreakerState.CLOSED)

    return Breaker(
        "history", open_s=BREAKER_OPEN_S, max_open_s=BREAKER_MAX_OPEN_S, on_change=changed
    )


def choose_stores(
    settings: Settings, breaker: Breaker | None = None, *, on_call: OnCall | None = None
) -> Stores:
    """Return the stores the settings ask for, not opened yet.

    Args:
        settings: Of the process.
        breaker: Told how calls to a MongoDB end, and asked before the next one.
        on_call: Told how long calls took.

    Raises:
        StartError: the address of a store cannot be used.
    """
    if settings.mongodb_uri is None:
        file = SqliteDatabase(
            settings.data_dir / "chat.db", timeout_s=settings.history_timeout_s, on_call=on_call
        )
        return Stores(SqliteHistory(file), SqliteChatbots(file), SqliteAccounts(file))
    from accounts.mongo import MongoAccounts  # noqa: PLC0415  # only what is used
    from chatbots.mongo import MongoChatbots  # noqa: PLC0415
    from history.mongo.history import MongoHistory  # noqa: PLC0415
    from storage.mongo import MongoDatabase  # noqa: PLC0415

    try:
        database = MongoDatabase(
            settings.mongodb_uri.get_secret_value(),
            timeout_s=settings.history_timeout_s,
            breaker=breaker,
            on_call=on_call,
        )
    except StorageError as error:
        raise StartError(f"MONGODB_URI: {error}") from None
    return Stores(MongoHistory(database), MongoChatbots(database), MongoAccounts(database))


async def open_stores(
    settings: Settings, stack: AsyncExitStack, breaker: Breaker | None, metrics: TurnMetrics
) -> Stores:
    """Return the stores, opened; the stack closes them.

    Raises:
        StartError: a store cannot be used.
    """
    on_call = partial(metrics.dependency_called, "history")
    stores = choose_stores(settings, breaker, on_call=on_call)
    stack.push_async_callback(stores.history.close)
    try:
        await stores.history.open()
        await stores.chatbots.open()
        await stores.accounts.open()
    except (HistoryError, ChatbotsError, AccountsError, StorageError) as error:
        raise StartError(f"The history cannot be opened: {store_fault(settings, error)}") from None
    return stores


def store_fault(settings: Settings, error: Exception) -> str:
    """Return a driver's complaint in one line, and where to look."""
    brief = str(error).partition(" (configured timeouts")[0].splitlines()[0]
    return brief if settings.mongodb_uri is None else f"{brief}; check MONGODB_URI."
