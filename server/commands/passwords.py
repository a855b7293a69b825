"""Where a command has a password from: a terminal, standard input, or chance. Never from argv."""

import secrets
import signal
import sys
from getpass import getpass

from accounts.passwords import MAX_GIVEN_CHARS

GENERATED_BYTES = 15


def asked_password(*, from_stdin: bool) -> str:
    """Return the password that somebody types, or that is piped in: its first line.

    Raises:
        ValueError: nothing was typed, or twice not the same.
    """
    if from_stdin or not sys.stdin.isatty():
        # One character above what can be one: more is refused, not cut.
        return sys.stdin.readline(MAX_GIVEN_CHARS + 2).rstrip("\r\n")
    # The event loop would keep Ctrl+C to itself until the prompt has ended.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        password, again = getpass("Password: "), getpass("Again: ")
    except (EOFError, KeyboardInterrupt):
        raise ValueError("Nothing was done.") from None
    finally:
        signal.signal(signal.SIGINT, before)
    if again != password:
        raise ValueError("These were two passwords; nothing was done.")
    return password


def generated_password() -> str:
    """Return a password that nobody has to guess at: 120 random bits."""
    return secrets.token_urlsafe(GENERATED_BYTES)
