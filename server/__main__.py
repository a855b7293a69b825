"""The command: `chatstream`, `python -m server`."""

import argparse
import sys

import anyio

from server.observability import configure_logging
from server.services import StartError
from server.serving import bind, serve
from server.settings import EX_CONFIG, load_settings, settings_table


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="chatstream", description="A streaming LLM chat server.")
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=["serve", "settings", "verify-indexes"],
        help="serve (default); settings: print the table of all settings; verify-indexes: check"
        " that the history has the indexes its queries need",
    )
    command = parser.parse_args().command
    if command == "settings":
        sys.stdout.write(settings_table())
        return
    settings = load_settings()
    configure_logging(settings)
    try:
        sock = bind(settings)
        anyio.run(serve, settings, sock, backend_options={"use_uvloop": True})
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EX_CONFIG) from None


if __name__ == "__main__":
    main()
