"""One change of what runs at a time: a file lock that its holder's death releases."""

import fcntl
import os
from pathlib import Path


class LockedError(Exception):
    """Somebody else changes what runs; wait, then try again."""


class Lock:
    """Held from its making until `release`, or the end of the process.

    Raises:
        LockedError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise LockedError(
                f"Another deployment holds {path}, or an instance leaves for its memory; wait."
            ) from None
        self._is_held = True

    def release(self) -> None:
        """Let others go on; a second time does nothing."""
        if self._is_held:
            self._is_held = False
            os.close(self._descriptor)
