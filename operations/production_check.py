"""`scripts/production-check`: run what docs/production-checklist.md names, and report."""

import argparse
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from operations.backup.archive import MANIFEST, PREFIX
from operations.findings import Finding, show, show_json, skip, status, summary
from operations.server_command import environment
from operations.steps import ROOT, proven

CHECKLIST = ROOT / "docs/production-checklist.md"
TIMEOUT_S = 1_800.0

_LINE = re.compile(r"^- (?P<name>[^:`]+): .*`(?P<command>[^`]+)`(?P<send> \(`--send`\))?$")
_PLACE = re.compile(r"\$([A-Z_]+)")
OPTIONS = {
    "ENV_FILE": "--env-file",
    "URL": "--url",
    "HOST": "--url",
    "ARCHIVE": "--backups",
    "NGINX_CONF": "--nginx-conf",
}
"""What a line may leave open, and the option that says it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list: what is proven, by which command; `sends` tells somebody something."""

    name: str
    command: str
    sends: bool

    def places(self) -> list[str]:
        """Return what the command leaves open."""
        return _PLACE.findall(self.command)


def lines(text: str) -> list[Line]:
    """Return the lines of a list that have a command."""
    found = [_LINE.match(line) for line in text.splitlines()]
    return [Line(each["name"], each["command"], bool(each["send"])) for each in found if each]


def main(arguments: list[str]) -> int:
    """Parse the command line, run every line, report; return the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.env_file is not None and not given.env_file.is_file():
        parser.error(f"there is no {given.env_file}: name the service's settings")
    listed = []
    for found in _found(lines(CHECKLIST.read_text(encoding="utf-8")), given):
        listed.append(found)
        if not given.json:
            show(found)
    if given.json:
        show_json(listed)
    else:
        verdict = "FAIL" if status(listed) else "PASS"
        sys.stdout.write(f"{verdict}: {summary(listed)}\n")
    return status(listed)


def _found(listed: list[Line], given: argparse.Namespace) -> Iterator[Finding]:
    values = _values(given)
    beside = environment(given.env_file)
    for line in listed:
        missing = [OPTIONS[name] for name in line.places() if name not in values]
        if line.sends and not given.send:
            yield skip(line.name, "it tells people something: --send")
        elif missing:
            yield skip(line.name, f"needs {', '.join(dict.fromkeys(missing))}")
        else:
            yield _run(line, values, given, beside)


def _run(
    line: Line, values: Mapping[str, str], given: argparse.Namespace, beside: dict[str, str]
) -> Finding:
    command = [_PLACE.sub(lambda at: values[at[1]], word) for word in shlex.split(line.command)]
    if command[0] == "scripts/smoke":
        command += shlex.split(given.smoke)
    return proven(line.name, command, timeout_s=TIMEOUT_S, environment=beside)


def _values(given: argparse.Namespace) -> dict[str, str]:
    values = {}
    if given.env_file is not None:
        values["ENV_FILE"] = str(given.env_file.absolute())
    if given.url is not None:
        values["URL"] = given.url
        values["HOST"] = urlsplit(given.url).netloc
    if given.nginx_conf is not None:
        values["NGINX_CONF"] = str(given.nginx_conf.absolute())
    if given.backups is not None:
        newest = max(given.backups.glob(f"{PREFIX}*/{MANIFEST}"), default=None)
        values["ARCHIVE"] = str((newest.parent if newest else given.backups).absolute())
    return values


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="production-check",
        description="Run every command of docs/production-checklist.md and say of each line: pass,"
        " fail, or skipped and why. Turns are started where --url is given; nothing is changed.",
        epilog="Exit status: 0 nothing failed, 1 something did, 2 wrong usage.",
    )
    add = parser.add_argument
    add("--env-file", type=Path, help="the service's settings")
    add("--url", help="by which users call it, such as https://chat.example.com")
    add("--smoke", default="", help="options for scripts/smoke, such as '--ca ca.pem'")
    add("--nginx-conf", type=Path, help="nginx.conf, as it is served")
    add("--backups", type=Path, help="the folder of archives")
    add("--send", action="store_true", help="also what tells operators something")
    add("--json", action="store_true", help="answer with one JSON document")
    return parser
