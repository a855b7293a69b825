"""`scripts/smoke`: ask a running service for all that a user asks of it."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from getpass import getpass
from pathlib import Path

import httpx2

from operations.arguments import count
from operations.findings import (
    Finding,
    OperationError,
    fail,
    ok,
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
    timings: list[turns.Timing] = field(default_factory=list)

    def caller(self) -> Caller:
        """Return somebody who calls, who is nobody yet.

        Raises:
            OperationError: the address or the authority cannot be used.
        """
        verify = trust(self.given.ca, insecure=self.given.insecure)
        return Caller(self.url, verify=verify, timeout_s=self.given.timeout)

    @property
    def figures(self) -> turns.Figures | None:
        """What was measured; None where nothing was streamed."""
        return turns.measured(self.timings) if self.timings else None

    def findings(self, caller: Caller) -> Iterator[Finding]:
        """Yield what was found, in the order in which it was looked at."""
        for name, step in (
            ("health", lambda: refusals.health(caller)),
            ("sign-in", lambda: ok("sign-in", caller.sign_in(self.credentials))),
        ):
            found = _tried(name, step)
            yield found
            if status([found]):
                return
        yield _tried("cookies", lambda: refusals.cookies(caller))
        yield _tried("headers", lambda: refusals.headers(caller))
        with closing(self.caller()) as nobody:
            yield _tried("figures", lambda: refusals.figures(nobody))
        yield from self._arms(caller)
        yield from _guarded(refusals.refused(caller))

    def _arms(self, caller: Caller) -> Iterator[Finding]:
        for number in range(self.given.turns):
            found = _tried("a turn", lambda: self._turn(caller))
            if not number or status([found]):
                yield found
            if status([found]) or not self.timings:
                break
        figures = self.figures
        if figures is None:
            yield skip("streaming", "this caller was not streamed to: see the flag `streaming`")
            return
        yield self._first_word(figures)
        yield _tried("resume after a cut", lambda: turns.resumed(caller))
        yield _tried("stop", lambda: turns.cancelled(caller))
        yield _tried("a repeated start", lambda: turns.repeated(caller))
        yield _tried("speech", lambda: turns.spoken(caller))
        yield _tried("a whole answer", self._off_arm)

    def _turn(self, caller: Caller) -> Finding:
        found, timing = turns.streamed(caller)
        if timing is not None:
            self.timings.append(timing)
        return found

    def _first_word(self, figures: turns.Figures) -> Finding:
        said = (
            f"p50 {figures.ttft_p50_ms:g} ms, p95 {figures.ttft_p95_ms:g} ms; gaps p50"
            f" {figures.gap_p50_ms:g} ms, p95 {figures.gap_p95_ms:g} ms; {figures.turns} turns"
        )
        bound = self.given.max_ttft
        if bound is not None and figures.ttft_p95_ms > bound:
            return fail("first word", f"{said}: later than {bound:g} ms")
        return ok("first word", said)

    def _off_arm(self) -> Finding:
        """Look for a guest who is not streamed to: there is none at 100 %."""
        if self.credentials.email or self.credentials.api_key:
            return skip("a whole answer", "looked for as a guest only")
        for _ in range(MAX_GUESTS):
            with closing(self.caller()) as guest:
                guest.sign_in(self.credentials)
                try:
                    answer = guest.post("/turns", {"message": turns.QUESTION})
                finally:
                    guest.clean()
            if answer.headers.get("X-Streaming") == "off":
                return turns.whole(answer.json())
        return skip("a whole answer", f"all of {MAX_GUESTS} guests are streamed to")


def main(arguments: list[str]) -> int:
    """Parse the command line, ask, tell; return the exit status."""
    given = _parser().parse_args(arguments)
    run = Run(given.url.rstrip("/"), given, _credentials(given))
    with closing(run.caller()) as caller:
        listed: list[Finding] = []
        try:
            _look(run, caller, listed)
        finally:
            # Also of a run that is stopped: what it made is nobody's.
            left = _cleaned(caller, keep=given.keep)
    listed += left
    if given.json:
        figures = asdict(run.figures) if run.figures else None
        show_json(listed, url=run.url, figures=figures)
        return status(listed)
    for found in left:
        show(found)
    verdict = "FAIL" if status(listed) else "PASS"
    sys.stdout.write(f"{verdict}: {summary(listed)}\n")
    return status(listed)


def _look(run: Run, caller: Caller, listed: list[Finding]) -> None:
    for found in run.findings(caller):
        listed.append(found)
        if not run.given.json:
            show(found)


def _cleaned(caller: Caller, *, keep: bool) -> list[Finding]:
    if keep or not caller.has_something:
        return []
    return [_tried("clean up", lambda: ok("clean up", f"{caller.clean()} conversations deleted"))]


def _credentials(given: argparse.Namespace) -> Credentials:
    """Return who calls; what is secret comes from standard input or a terminal, never from argv.

    Raises:
        OperationError: nothing came.
    """
    if not given.api_key and given.email is None:
        return Credentials()
    if given.api_key or given.password_stdin or not sys.stdin.isatty():
        secret = sys.stdin.readline().strip("\r\n")
    else:
        secret = getpass("Password: ")
    if not secret:
        wanted = "API key" if given.api_key else "password"
        raise OperationError(f"no {wanted} came: give it on standard input.")
    if given.api_key:
        return Credentials(api_key=secret)
    return Credentials(given.email, secret)


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
        epilog="Exit status: 0 all well, 1 something is not, 2 wrong usage, 130 or 143 stopped.",
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
    add = parser.add_argument
    add("--turns", type=count, default=3, metavar="N", help="to measure")
    add("--max-ttft", type=float, metavar="MS", help="fail where a first word comes later (p95)")
    add("--timeout", type=float, default=60, metavar="S", help="of one answer")
    parser.add_argument("--keep", action="store_true", help="leave the conversations")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")
    return parser
