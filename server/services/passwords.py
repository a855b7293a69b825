"""The threads on which passwords are hashed."""

from contextlib import AsyncExitStack

from accounts.passwords import PasswordHasher
from server.settings import Settings


def open_passwords(settings: Settings, stack: AsyncExitStack) -> PasswordHasher:
    """Return what hashes passwords; the stack closes it."""
    passwords = PasswordHasher(max_at_once=settings.max_hashes_at_once)
    stack.callback(passwords.close)
    return passwords
