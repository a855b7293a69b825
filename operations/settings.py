"""The service's settings, from the environment and a file that a command names."""

import argparse
import os
import sys
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from operations.findings import Finding, fail
from server.settings import EX_CONFIG, Settings, fault_lines

DEFAULT = Path(".env")


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let the command line name the file."""
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="settings, beside those of the environment, which come first; default: .env of this"
        " folder, if there is one. Root becomes the user whom the file belongs to",
    )


def read(path: Path | None) -> Settings | list[Finding]:
    """Return the settings, or what is wrong with them; never a secret's value.

    A file that was named has to be there: without it other stores would be looked at.
    """
    try:
        if path is not None:
            path.open(encoding="utf-8").close()
            become_owner(path)
        return Settings(_env_file=path or DEFAULT)
    except OSError as error:
        return [fail(str(error.filename or path), f"{error.strerror}")]
    except ValidationError as error:
        return [_fault(line) for line in fault_lines(error)]
    except (SettingsError, UnicodeDecodeError) as error:
        return [fail("settings", f"{error}: {error.__cause__}")]


def load(path: Path | None) -> Settings:
    """Return the settings, or print what is wrong with them and exit with status 78."""
    settings = read(path)
    if isinstance(settings, Settings):
        return settings
    for fault in settings:
        sys.stderr.write(f"{fault.name}: {fault.said}\n")
    raise SystemExit(EX_CONFIG)


def become_owner(path: Path) -> None:
    """As root become the user whom a file belongs to: nothing of the service is ever root's."""
    owner = path.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([owner.st_gid])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def _fault(line: str) -> Finding:
    name, _, said = line.partition(" ")
    return fail(name.rstrip(":"), said)
