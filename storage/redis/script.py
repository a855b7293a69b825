"""A script that Redis runs as one step."""

import hashlib
from collections.abc import Sequence
from pathlib import Path


class Script:
    """A Lua script from a file beside its adapter; read once, here.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


Argument = str | bytes | int


def invocation(keys: Sequence[str], arguments: Sequence[Argument]) -> list[Argument]:
    """Return what follows the script, or its hash, in a command."""
    return [len(keys), *keys, *arguments]
