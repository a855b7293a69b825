"""Kills that need no store: keys given at start, and a file that an operator writes.

For the hour in which the store is gone and a flag must be off all the same, on this machine, now.
"""

from collections.abc import Collection
from pathlib import Path

ALL = "*"
"""In the file or at start: every flag."""

_MAX_BYTES = 100_000


class LocalKills:
    """Which flags are killed here, whatever the store says.

    Args:
        keys: Given at start; `*` is every flag.
        path: A file with one key a line in UTF-8, `#` begins a comment. It counts as long as it is
            there; one that cannot be read, is no such text, is longer than 100,000 bytes, or names
            nothing, kills every flag: who writes it wants one killed. A process that has no file
            descriptor left cannot open a file, but tell whether there is one.
    """

    def __init__(self, keys: Collection[str] = (), path: Path | None = None) -> None:
        self._keys = frozenset(keys)
        self._path = path

    def read(self) -> frozenset[str]:
        """Return the killed keys, `*` among them for all. Blocks on a small file; never raises."""
        if self._path is None:
            return self._keys
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
            # Editors on Windows begin a file with a byte order mark; other encodings are no UTF-8.
            text = content.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            return self._keys | {ALL} if _is_there(self._path) else self._keys
        if len(content) > _MAX_BYTES:
            return self._keys | {ALL}
        lines = {line.partition("#")[0].strip() for line in text.splitlines()}
        return self._keys | (lines - {""} or {ALL})


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:  # nobody can tell
        return True
    return True


def killed_of(kills: Collection[str], keys: Collection[str]) -> Collection[str]:
    """Return which of the flags are killed."""
    return keys if ALL in kills else kills
