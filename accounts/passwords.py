"""Passwords: what may be one, and how they are kept. The event loop never waits for a hash.

Hashes are Argon2id in PHC form. A hash takes tens of milliseconds and 19 MiB on purpose, so no
more than a few are made at once, on threads of their own, and no more than `MAX_WAITING` wait. The
threads have no lower priority: beside busy programs sign-ins would starve, and the loop, which then
waits for a thread that holds the interpreter's lock, be no less late.
"""

import asyncio
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

import anyio
from argon2 import PasswordHasher as Argon2
from argon2 import Type
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from accounts.errors import PasswordsBusyError

T = TypeVar("T")

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
"""Source: OWASP ASVS 5.0.0, appendix C, passwords: Argon2id with t = 2, p = 1 takes 19 MiB."""

MIN_CHARS = 8
MAX_CHARS = 128
"""Source: OWASP ASVS 5.0.0, 6.2.1 and 6.2.9: at least 8; at least 64 must be let in."""

MAX_GIVEN_CHARS = 4 * MAX_CHARS
"""Before normalisation, which makes one character of up to four. Longer ones are not looked at."""

MAX_WAITING = 256
"""Hashes that wait; on two cores of a small server about ten seconds of work."""

MAX_WAIT_S = 15.0
BUSY_AGAIN_S = 5

PRODUCT = "chatstream"

_TOO_SHORT = f"It has fewer than {MIN_CHARS} characters."
_TOO_LONG = f"It has more than {MAX_CHARS} characters."


class PasswordHasher:
    """Makes and checks hashes; used from one event loop, closed after use.

    Args:
        max_at_once: Hashes made at the same time; each takes 19 MiB while it lasts.
        max_waiting: Further ones that may wait.
        max_wait_s: Seconds that a call may take, waiting included.
    """

    def __init__(
        self,
        *,
        max_at_once: int,
        max_waiting: int = MAX_WAITING,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        self._argon2 = Argon2(
            time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID
        )
        self._max_wait_s = max_wait_s
        self._places = threading.BoundedSemaphore(max_at_once + max_waiting)
        self._threads = ThreadPoolExecutor(max_at_once, thread_name_prefix="passwords")

    async def hash(self, password: str) -> str:
        """Return a new hash, with a salt of its own.

        Raises:
            ValueError: it is too long; `password_fault` tells people so.
            PasswordsBusyError: too many wait; nothing was done.
        """
        if len(password) > MAX_GIVEN_CHARS:
            raise ValueError("too long")
        return await self._run(lambda: self._argon2.hash(prepared(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Say whether a password is the one of a hash.

        With None (there is no such user, or they have no password) the answer is no, and takes as
        long: how long it took tells nobody who has an account.

        Raises:
            PasswordsBusyError: too many wait; nothing was checked.
        """
        if len(password) > MAX_GIVEN_CHARS:
            return False
        given = prepared(password)
        if password_hash is None:
            await self._run(lambda: self._argon2.hash(given))
            return False
        return await self._run(lambda: self._is(password_hash, given))

    def needs_rehash(self, password_hash: str) -> bool:
        """Say whether a hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let what waits fall, and the threads end with what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is(self, password_hash: str, given: bytes) -> bool:
        try:
            return self._argon2.verify(password_hash, given)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise PasswordsBusyError(BUSY_AGAIN_S)
        hashing: Future[T] = self._threads.submit(work)
        hashing.add_done_callback(lambda _: self._places.release())
        try:
            with anyio.fail_after(self._max_wait_s):
                return await asyncio.wrap_future(
                    hashing
                )  # cancelled before its turn, it is dropped
        except TimeoutError as exc:
            raise PasswordsBusyError(BUSY_AGAIN_S) from exc


def prepared(password: str) -> bytes:
    """Return what is hashed: the same for one password, whatever keyboard it was typed on.

    Source: RFC 8265, section 4.2.2 (OpaqueString): other spaces become the plain one, then NFC;
    nothing is trimmed and no case is folded.
    """
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in password)
    # A lone surrogate is in no password that was let in; it must not break the check of one.
    return unicodedata.normalize("NFC", spaced).encode(errors="surrogatepass")


def password_fault(password: str, *, email: str, name: str) -> str | None:
    """Return what is wrong with a new password, as a sentence for whoever chose it; None: nothing.

    There are no rules of composition. Cheap whatever is given: call it before hashing.

    Source: OWASP ASVS 5.0.0, 6.2.1, 6.2.4, 6.2.5, 6.2.9, 6.2.11.

    Args:
        password: As it was typed.
        email: Of its user.
        name: Of its user; may be empty.
    """
    if len(password) > MAX_GIVEN_CHARS:
        return _TOO_LONG
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in password):
        return "It holds a character that cannot be typed."
    chosen = prepared(password).decode()
    if not MIN_CHARS <= len(chosen) <= MAX_CHARS:
        return _TOO_LONG if len(chosen) > MAX_CHARS else _TOO_SHORT
    if chosen.strip().casefold() in _common_passwords():
        return "It is one of the most common passwords; choose another."
    known = (email, email.partition("@")[0], name, PRODUCT)
    if _core(chosen) in {_core(word) for word in known if word.strip()}:
        return "It is your address, your name, or ours; choose another."
    return None


@cache
def _common_passwords() -> frozenset[str]:
    text = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("# "))


def _core(text: str) -> str:
    """Return a word without the digits and signs that people put round it."""
    folded = unicodedata.normalize("NFC", text.strip().casefold())
    letters = [place for place, char in enumerate(folded) if char.isalpha()]
    return folded[letters[0] : letters[-1] + 1] if letters else folded
