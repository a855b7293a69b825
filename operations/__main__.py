"""Operators' commands by their names: `scripts/backup` is `python -m operations backup`.

However one ends, it says so in a line: stopped, without rights, on a full disk, unread by a pipe.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from operations.findings import USAGE, OperationError, refuse

COMMANDS = {
    "backup": "operations.backup.command:main",
    "create-admin": "operations.server_command:create_admin",
    "production-check": "operations.production_check:main",
    "quick-check": "operations.quick_check:main",
    "restore": "operations.backup.restore:main",
    "rotate-secrets": "operations.rotate_secrets:main",
    "smoke": "operations.smoke.command:main",
    "validate-env": "operations.validate_env:main",
    "verify-indexes": "operations.server_command:verify_indexes",
}
INTERRUPTED = 130
TERMINATED = 143
UNREAD = 141
"""What a shell makes of SIGINT, SIGTERM and SIGPIPE."""


def run(name: str, arguments: list[str]) -> int:
    """Run a command; return its exit status. What it cannot do is one line on standard error."""
    place, _, function = COMMANDS[name].partition(":")
    try:
        main: Callable[[list[str]], int] = getattr(import_module(place), function)
        return main(arguments)
    except ModuleNotFoundError as error:
        return refuse(name, OperationError(f"{error}: `make run` in the checkout makes .venv."))
    except OperationError as error:
        return refuse(name, error)
    except BrokenPipeError:
        # The interpreter would complain of it a second time as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return refuse(name, OperationError(f"{where}{error.strerror or error}."))
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: stopped.\n")
        return INTERRUPTED


def main() -> NoReturn:
    """Become the command that is named first."""
    name, *arguments = sys.argv[1:] or [""]
    if name not in COMMANDS:
        sys.stderr.write(f"operations: one of {', '.join(COMMANDS)}; each has --help.\n")
        raise SystemExit(USAGE)
    signal.signal(signal.SIGTERM, _end)
    raise SystemExit(run(name, arguments))


def _end(*_: object) -> NoReturn:
    """Leave as an exception does, so that nothing half made stays."""
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    main()
