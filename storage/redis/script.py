"""A script that Redis runs as one step."""

import hashlib
from pathlib import Path


class Script:
    """A Lua script from files beside its adapter; read once, here.

    Args:
        paths: The files, which are joined.
    """

    def __init__(self, *paths: Path) -> None:
        self.text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
