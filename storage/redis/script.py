"""A script that Redis runs as one step."""

import hashlib
from pathlib import Path


class Script:
    """A Lua script from a file beside its adapter; read once, here.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
