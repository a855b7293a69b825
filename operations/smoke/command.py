"""`scripts/smoke`: ask a running service for all that a user asks of it."""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from getpass import getpass
from pathlib import Path

import httpx2

from operations.findings import (
    Finding,
    OperationError,
    fail,
    ok,
    refuse,
    show,
    show_json,
    skip,
    status,
    summary,
)
from operations.smoke import refusals, turns
from operations.smoke.caller import Caller, Credentials, SmokeError, trust

MAX_GUESTS = 5
"""Guests that are tried until one has the other arm of the flag."""


@dataclass
class Run:
    """One run: where, as whom, and what was measured on the way."""

    url: str
    given: argparse.Namespace
    credentials: Credentials
    figures: turns.Figures | None = None

    def caller(self) -> Caller:
        """Return somebody who calls, who is nobody yet.

        Raises:
            OperationError: the address or the authority cannot be used.
        """
        verify = trust(self.given.ca, insecure=self.given.insecure)
        return Caller(self.url, verify=verify, timeout_s=self.given.timeout)

    def findings(self) -> Iterator[Finding]:
        """Yield what was found, in the order in which it was looked at."""
        with self.caller() as caller:
            ready = _tried("health", lambda: refusals.health(caller))
            yield ready
            if status([ready]):
                return
            entered = _tried("sign-in", lambda: ok("sign-in", caller.sign_in(self.credentials)))
            yield entered
            if status([entered]):
                return
            yield _tried("headers", lambda: refusals.headers(caller))
            yield from self._arms(caller)
            yield from _guarded(refusals.refused(caller))
            if not self.given.keep:
                yield ok("clean up", f"{caller.clean()} conversations deleted")

    def _arms(self, caller: Caller) -> Iterator[Finding]:
        first = _tried("a turn", lambda: self._turn(caller))
        yield first
        if self.figures is None:
            yield skip("streaming", "this caller is not streamed to: see the flag `streaming`")
            return
        yield _tried("resume after a cut", lambda: turns.resumed(caller))
        yield _tried("stop", lambda: turns.cancelled(caller))
        yield _tried("a repeated start", lambda: turns.repeated(caller))
        yield _tried("speech", lambda: turns.spoken(caller))
        yield _tried("a whole answer", self._off_arm)

    def _turn(self, caller: Caller) -> Finding:
        found, self.figures = turns.streamed(caller)
        return found

    def _off_arm(self) -> Finding:
        """Look for a guest who is not streamed to: there is none at 100 %."""
        if self.credentials.email or self.credentials.api_key:
            return skip("a whole answer", "looked for as a guest only")
        for _ in range(MAX_GUESTS):
            with self.caller() as guest:
                guest.sign_in(self.credentials)
                answer = guest.post("/turns", {"message": turns.QUESTION})
                guest.clean()
            if answer.headers.get("X-Streaming") == "off":
                return turns.whole(answer.json())
        return skip("a whole answer", f"all of {MAX_GUESTS} guests are streamed to")


def main(arguments: list[str]) -> int:
    """Parse the command line, ask, tell; return the exit status."""
    given = _parser().parse_args(arguments)
    credentials = _credentials(given)
    run = Run(given.url.rstrip("/"), given, credentials)
    try:
        listed = []
        for found in run.findings():
            listed.append(found)
            if not given.json:
                show(found)
    except OperationError as error:
        return refuse("smoke", error)
    except httpx2.HTTPError as error:
        return refuse("smoke", OperationError(f"{run.url} is lost: {_brief(error)}."))
    _tell(run, listed)
    return status(listed)


def _credentials(given: argparse.Namespace) -> Credentials:
    """Return who calls; what is secret comes from standard input or a terminal, never from argv."""
    if given.api_key:
        return Credentials(api_key=sys.stdin.readline().strip())
    if given.email is None:
        return Credentials()
    if given.password_stdin:
        return Credentials(given.email, sys.stdin.readline().rstrip("\r\n"))
    return Credentials(given.email, getpass("Password: "))


def _tell(run: Run, listed: list[Finding]) -> None:
    if run.given.json:
        figures = asdict(run.figures) if run.figures else None
        show_json(listed, url=run.url, figures=figures)
        return
    if run.figures is not None:
        sys.stdout.write(
            f"first word after {run.figures.ttft_ms:g} ms, gaps p95 {run.figures.gap_p95_ms:g} ms\n"
        )
    verdict = "FAIL" if status(listed) else "PASS"
    sys.stdout.write(f"{verdict}: {summary(listed)}\n")


def _tried(name: str, step: Callable[[], Finding]) -> Finding:
    """Return what a step found; a service that breaks off is a finding, too."""
    try:
        return step()
    except SmokeError as error:
        return fail(name, str(error))
    except httpx2.HTTPError as error:
        return fail(name, _brief(error))
    except (LookupError, ValueError, StopIteration) as error:
        return fail(name, f"the answer is not what the API describes ({error!r})")


def _guarded(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield findings up to where the service breaks off, and that."""
    try:
        yield from findings
    except (SmokeError, httpx2.HTTPError, LookupError, ValueError) as error:
        yield fail("refusals", f"broke off: {_brief(error)}")


def _brief(error: Exception) -> str:
    said = str(error).splitlines()
    if said and "certificate" in said[0].lower():
        return "its certificate is not trusted: name the authority with --ca, or say --insecure"
    return f"{type(error).__name__} {said[0] if said else ''}".strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smoke",
        description="Start real turns at URL and judge what comes: streamed, resumed after a cut,"
        " stopped, repeated, spoken, whole; and what is to be refused. Conversations that it"
        " makes are deleted. Turns are counted and cost what a user's cost.",
        epilog="Exit status: 0 all well, 1 something is not, 2 wrong usage.",
    )
    parser.add_argument("url", metavar="URL", help="such as https://chat.example.com")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--email", help="sign in with this address")
    who.add_argument(
        "--api-key", action="store_true", help="call with an API key, read from standard input"
    )
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from there, too"
    )
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument("--ca", type=Path, help="trust this authority, as PEM")
    whom.add_argument("--insecure", action="store_true", help="trust any certificate")
    parser.add_argument("--timeout", type=float, default=60, metavar="S", help="of one answer")
    parser.add_argument("--keep", action="store_true", help="leave the conversations")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")
    return parser
