"""`scripts/quick-check`: what can be said of a checkout in minutes."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from operations.findings import (
    SKIPPED,
    Finding,
    Level,
    fail,
    ok,
    show,
    show_json,
    skip,
    status,
    summary,
    warn,
)
from operations.steps import ROOT, proven

TIMEOUT_S = 1_800.0
ANSWER_S = 5.0
_UNREACHED = (
    "could not be audited",
    "not found on PyPI",
    "ConnectionError",
    "NameResolutionError",
    "Max retries",
    "ConnectTimeout",
)


def main(arguments: list[str]) -> int:
    """Parse the command line, check, tell; return the exit status."""
    given = _parser().parse_args(arguments)
    listed = []
    for found in _found(given):
        listed.append(found)
        if not given.json:
            show(found)
    if given.json:
        show_json(listed)
    elif len(listed) > 1:
        sys.stdout.write(f"{summary(listed)}\n")
    is_nothing = all(found.level is Level.SKIP for found in listed)
    return SKIPPED if is_nothing else status(listed)


def _found(given: argparse.Namespace) -> Iterator[Finding]:
    checks: dict[str, Callable[[], Finding]] = {
        "git": _git,
        "env": lambda: proven("env", ["scripts/validate-env"], timeout_s=60),
        "health": lambda: _health(given.url),
        "audit": _audit,
        "lint": lambda: proven("lint", ["scripts/check"], timeout_s=TIMEOUT_S),
        "tests": lambda: proven("tests", ["make", "test"], timeout_s=TIMEOUT_S),
    }
    for name, check in checks.items():
        if name not in given.skip and (not given.only or name in given.only):
            yield check()


def _git() -> Finding:
    """Return which commit this is, and whether anything differs from it."""
    try:
        commit = _told("git", "log", "-1", "--format=%h %s")
        changed = _told("git", "status", "--porcelain", "--untracked-files=no").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return skip("git", "this is no checkout")
    if changed:
        return warn("git", f"{commit}: {len(changed)} files differ from it")
    return ok("git", commit)


def _health(url: str | None) -> Finding:
    if url is None:
        return skip("health", "no service was named: --url")
    if urlsplit(url).scheme not in {"http", "https"}:
        return fail("health", f"{url} is no address such as http://127.0.0.1:8000")
    try:
        with urlopen(f"{url.rstrip('/')}/health/ready", timeout=ANSWER_S) as answer:  # noqa: S310  # looked at above
            return ok("health", f"{url} answers {answer.status}")
    except (URLError, OSError) as error:
        return fail("health", f"{url}: {error}")


def _audit() -> Finding:
    """Look up known vulnerabilities of what is locked: takes `pip-audit` and a network."""
    if shutil.which("pip-audit") is None:
        return skip("audit", "pip-audit is not installed: pipx install pip-audit")
    command = ["pip-audit", "--requirement", "requirements.lock", "--require-hashes", "--strict"]
    found = proven("audit", [*command, "--disable-pip"], timeout_s=300)
    if status([found]) and any(word in found.said for word in _UNREACHED):
        return skip("audit", f"nothing could be looked up: {found.said}")
    return found


def _told(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603  # git alone
    return done.stdout.strip()


def _parser() -> argparse.ArgumentParser:
    names = ("git", "env", "health", "audit", "lint", "tests")
    parser = argparse.ArgumentParser(
        prog="quick-check",
        description="Say in a line each: the commit, the settings, a running service's health,"
        " known vulnerabilities of what is locked, lint, tests.",
        epilog="Exit status: 0 nothing failed, 1 something did, 2 wrong usage, 77 all was skipped.",
    )
    parser.add_argument("--url", help="of a running service, such as http://127.0.0.1:8000")
    parser.add_argument("--only", choices=names, action="append", default=[], help="repeatable")
    parser.add_argument("--skip", choices=names, action="append", default=[], help="repeatable")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")
    return parser
