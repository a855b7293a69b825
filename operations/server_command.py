"""Commands of the service with the settings of a file: `scripts/verify-indexes`, `create-admin`."""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from dotenv import dotenv_values

from operations.settings import add_option, become_owner
from server.settings import EX_CONFIG


def environment(path: Path | None) -> dict[str, str]:
    """Return what a command runs with: this environment, and beside it what a file says.

    Raises:
        OSError: the file cannot be read.
    """
    told = {}
    if path is not None:
        with path.open(encoding="utf-8") as file:
            told = dotenv_values(stream=file)
    kept = {name: value for name, value in told.items() if value is not None}
    return {**kept, **os.environ}  # noqa: TID251  # handed on to the command, not a setting


def create_admin(arguments: list[str]) -> NoReturn:
    """Become `python -m server create-admin`."""
    _become("create-admin", arguments)


def verify_indexes(arguments: list[str]) -> NoReturn:
    """Become `python -m server verify-indexes`."""
    _become("verify-indexes", arguments)


def _become(name: str, arguments: list[str]) -> NoReturn:
    # What the command itself takes, and says of it, is the server's own.
    parser = argparse.ArgumentParser(prog=name, add_help=False, allow_abbrev=False)
    add_option(parser)
    given, arguments = parser.parse_known_args(arguments)
    path = given.env_file
    if {"-h", "--help"} & {*arguments}:
        sys.stdout.write("--env-file FILE: settings beside the environment's; besides:\n\n")
        sys.stdout.flush()
    try:
        beside = environment(path)
        if path is not None:
            become_owner(path)
    except OSError as error:
        sys.stderr.write(f"{name}: {path}: {error.strerror}.\n")
        raise SystemExit(EX_CONFIG) from None
    os.execve(sys.executable, [sys.executable, "-m", "server", name, *arguments], beside)  # noqa: S606  # itself
