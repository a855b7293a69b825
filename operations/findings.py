"""What a check found, a line each, for people or as JSON."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

OK = 0
FAILED = 1
USAGE = 2
SKIPPED = 77
"""Exit statuses, beside 78 for a setting that cannot be used; 77: nothing could be looked at."""


class OperationError(Exception):
    """What was asked for cannot be done; the text is one line that says what to do."""


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its name, and what was seen or what to do."""

    level: Level
    name: str
    said: str = ""


def ok(name: str, said: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, name, said)


def warn(name: str, said: str) -> Finding:
    """Return a finding that somebody should know of."""
    return Finding(Level.WARN, name, said)


def fail(name: str, said: str) -> Finding:
    """Return a finding that has to be mended."""
    return Finding(Level.FAIL, name, said)


def skip(name: str, said: str) -> Finding:
    """Return that something was not looked at, and why."""
    return Finding(Level.SKIP, name, said)


def status(findings: Iterable[Finding]) -> int:
    """Return the exit status: 1 where anything failed."""
    return FAILED if any(found.level is Level.FAIL for found in findings) else OK


def show(finding: Finding) -> None:
    """Print a line."""
    line = f"{finding.level:<4}  {finding.name}"
    line = f"{line}: {finding.said}" if finding.said else line
    # What another server says may be made to look like a line of ours.
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    sys.stdout.write(f"{shown}\n")
    sys.stdout.flush()


def summary(findings: Iterable[Finding]) -> str:
    """Return how many there are of each, such as `3 ok, 1 fail`."""
    listed = list(findings)
    counts = {level: sum(found.level is level for found in listed) for level in Level}
    return ", ".join(f"{count} {level}" for level, count in counts.items() if count)


def show_json(findings: Iterable[Finding], **more: object) -> None:
    """Print everything as one JSON document: `ok`, `findings`, and what else is given."""
    listed = list(findings)
    document = {
        "ok": status(listed) == OK,
        **more,
        "findings": [asdict(found) for found in listed],
    }
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n")


def refuse(program: str, error: Exception) -> int:
    """Print why nothing came of it; return the status for it."""
    sys.stderr.write(f"{program}: {error}\n")
    return FAILED
