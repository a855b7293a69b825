"""The service's settings, from the environment and a file that a command names."""

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError

from operations.findings import Finding, fail
from server.settings import EX_CONFIG, Settings, fault_lines


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let the command line name the file."""
    parser.add_argument(
        "--env-file",
        type=Path,
        default=Path(".env"),
        metavar="FILE",
        help="settings, beside those of the environment, which come first; default: .env",
    )


def read(path: Path) -> Settings | list[Finding]:
    """Return the settings, or what is wrong with them; never a secret's value."""
    try:
        return Settings(_env_file=path)
    except ValidationError as error:
        return [_fault(line) for line in fault_lines(error)]
    except SettingsError as error:
        return [fail("settings", f"{error}: {error.__cause__}")]


def load(path: Path) -> Settings:
    """Return the settings, or print what is wrong with them and exit with status 78."""
    settings = read(path)
    if isinstance(settings, Settings):
        return settings
    for fault in settings:
        sys.stderr.write(f"{fault.name}: {fault.said}\n")
    raise SystemExit(EX_CONFIG)


def _fault(line: str) -> Finding:
    name, _, said = line.partition(" ")
    return fail(name.rstrip(":"), said)
