"""The command: `chatstream`, `python -m server`."""

import gc

gc.disable()  # until all is loaded and opened, which makes little garbage: a sixth of the start

# ruff: noqa: E402  # what is loaded meanwhile
import sys
from contextlib import closing

import anyio

from server.app import served_routes
from server.commands.parsing import COMMANDS, parse
from server.observability import configure_logging
from server.openapi.document import document_text
from server.services import StartError
from server.serving import bind, serve
from server.settings import EX_CONFIG, load_settings
from server.settings_page import settings_table


def main() -> None:
    """Parse the command line and run."""
    given = parse()
    if given.command == "settings":
        sys.stdout.write(settings_table())
        return
    if given.command == "openapi":
        sys.stdout.write(f"{document_text(served_routes(), indent=2)}\n")
        return
    settings = load_settings()
    configure_logging(settings)
    try:
        if given.command in COMMANDS:
            gc.enable()
            raise SystemExit(anyio.run(COMMANDS[given.command].run, settings, given))
        with closing(bind(settings)) as sock:
            anyio.run(serve, settings, sock, backend_options={"use_uvloop": True})
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EX_CONFIG) from None


if __name__ == "__main__":
    main()
