"""The accounts as commands use them: opened for a moment, and what is done is written down."""

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from accounts.base import Accounts
from accounts.errors import AccountsError, AccountsUnavailableError
from accounts.model import AuditEntry
from server.ids import new_id
from server.services import StartError, choose_stores, store_fault
from server.settings import Settings

OK = 0
REFUSED = 1
USAGE = 2
"""Exit statuses, beside 78 for what is set wrong."""


@asynccontextmanager
async def opened_accounts(settings: Settings, *, may_make: bool = False) -> AsyncIterator[Accounts]:
    """Yield the accounts that the settings ask for.

    With SQLite the server may run: the file is made for several processes, and a write waits for
    another's up to half of HISTORY_TIMEOUT_S.

    Args:
        settings: Of the process.
        may_make: Whether to make the store where there is none yet.

    Raises:
        StartError: the store is not there, or does not answer.
    """
    file = settings.data_dir / "chat.db"
    if settings.mongodb_uri is None and not may_make and not file.exists():
        raise StartError(f"There is no {file}; set DATA_DIR as for the server.")
    stores = choose_stores(settings)
    try:
        await stores.accounts.open()
        yield stores.accounts
    except AccountsUnavailableError as error:
        raise StartError(
            f"The accounts cannot be reached: {store_fault(settings, error)}"
        ) from None
    finally:
        await stores.history.close()


@asynccontextmanager
async def noted(
    accounts: Accounts,
    action: str,
    subject: str,
    *,
    why: str = "",
    details: Mapping[str, object] | None = None,
) -> AsyncIterator[None]:
    """Write down what is about to be done, then have it done in the block.

    What is refused there has a second entry, the action with `.undone` behind it.

    Raises:
        AccountsUnavailableError: it could not be written down; the block was not entered.
    """
    entry = AuditEntry(
        entry_id=new_id("audit"),
        at=datetime.now(UTC),
        who="cli",
        action=action,
        subject=subject,
        why=why,
        details={**(details or {}), "system_uid": os.getuid()},
    )
    await accounts.audit.add(entry)
    try:
        yield
    except AccountsError as error:
        undone = {"entry_id": entry.entry_id, "code": error.code}
        await accounts.audit.add(
            replace(entry, entry_id=new_id("audit"), action=f"{action}.undone", details=undone)
        )
        raise


def text(longest: int) -> Callable[[str], str]:
    """Return what takes an argument that is looked for, kept or shown: a line of plain text.

    What is no text in the shell's encoding comes as lone surrogates, which no store takes.

    Args:
        longest: Characters.
    """

    def taken(given: str) -> str:
        if len(given) > longest or not given.isprintable():
            raise ArgumentTypeError(f"must be one line of at most {longest} characters")
        return given

    return taken


def say(line: str) -> int:
    """Print a line of what was done; return the status for it."""
    sys.stdout.write(f"{line}\n")
    return OK


def refuse(line: str, status: int = REFUSED) -> int:
    """Print why nothing was done; return the status for it."""
    sys.stderr.write(f"{line}\n")
    return status
