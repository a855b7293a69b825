"""`verify-indexes`: whether the stores have the indexes that queries need."""

from argparse import Namespace

from accounts.errors import AccountsUnavailableError
from history.errors import HistoryUnavailableError
from server.commands.accounts import REFUSED, say
from server.services import StartError, choose_stores, store_fault
from server.settings import Settings


async def run(settings: Settings, given: Namespace) -> int:
    """Print the names of indexes that are missing; return the exit status."""
    del given
    stores = choose_stores(settings)
    try:
        missing = [
            *await stores.history.verify_indexes(),
            *await stores.accounts.verify_indexes(),
        ]
    except (HistoryUnavailableError, AccountsUnavailableError) as error:
        raise StartError(f"The history cannot be reached: {store_fault(settings, error)}") from None
    finally:
        await stores.history.close()
    for name in missing:
        say(f"missing: {name}")
    return REFUSED if missing else say("all indexes exist")
