"""The command: `chatstream`, `python -m server`."""

import argparse
import sys
from contextlib import closing

import anyio

from accounts.errors import AccountsUnavailableError
from history.errors import HistoryUnavailableError
from server.observability import configure_logging
from server.services import StartError, choose_stores, store_fault
from server.services.alerts import send_test
from server.serving import bind, serve
from server.settings import EX_CONFIG, Settings, load_settings
from server.settings_page import settings_table


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="chatstream", description="A streaming LLM chat server.")
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=["serve", "settings", "verify-indexes", "test-alert"],
        help="serve (default); settings: print the table of all settings; verify-indexes: check"
        " that the stores have the indexes that queries need; test-alert: send operators a message",
    )
    command = parser.parse_args().command
    if command == "settings":
        sys.stdout.write(settings_table())
        return
    settings = load_settings()
    configure_logging(settings)
    try:
        if command == "verify-indexes":
            raise SystemExit(anyio.run(_verify_indexes, settings))
        if command == "test-alert":
            raise SystemExit(anyio.run(send_test, settings))
        with closing(bind(settings)) as sock:
            anyio.run(serve, settings, sock, backend_options={"use_uvloop": True})
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EX_CONFIG) from None


async def _verify_indexes(settings: Settings) -> int:
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
    sys.stdout.write("".join(f"missing: {name}\n" for name in missing) or "all indexes exist\n")
    return 1 if missing else 0


if __name__ == "__main__":
    main()
