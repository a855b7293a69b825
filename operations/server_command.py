"""Commands of the service with the settings of a file: `scripts/verify-indexes`, `create-admin`."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from dotenv import dotenv_values

from server.settings import EX_CONFIG

OPTION = "--env-file"


def environment(path: Path | None) -> dict[str, str]:
    """Return what a command runs with: this environment, and beside it what a file says.

    Raises:
        OSError: there is no such file.
    """
    told = {}
    if path is not None:
        with path.open(encoding="utf-8") as file:
            told = dotenv_values(stream=file)
    kept = {name: value for name, value in told.items() if value is not None}
    return {**kept, **os.environ}  # noqa: TID251  # handed on to the command, not a setting


def main() -> NoReturn:
    """Become the command of the service that is named first."""
    name, *arguments = sys.argv[1:]
    path = None
    if arguments[:1] == [OPTION] and len(arguments) > 1:
        path, arguments = Path(arguments[1]), arguments[2:]
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(f"first of all: {OPTION} FILE, settings beside the environment's\n\n")
        sys.stdout.flush()
    try:
        beside = environment(path)
    except OSError as error:
        sys.stderr.write(f"{name}: {path}: {error.strerror}.\n")
        raise SystemExit(EX_CONFIG) from None
    os.execve(sys.executable, [sys.executable, "-m", "server", name, *arguments], beside)  # noqa: S606  # itself


if __name__ == "__main__":
    main()
