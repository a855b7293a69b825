"""What every command gets, and how one is refused."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from flags.changes.editor import FlagEditor, Request
from flags.cli.place import Place, Settings
from flags.errors import FlagNotFoundError
from flags.model import Author, Flag, Ruleset
from flags.store.base import FlagStore

REFUSED = 1
EX_UNAVAILABLE = 69
EX_CONFIG = 78
EX_SIGNAL = 128
"""And a signal's number: how shells tell that a command was interrupted."""


class RefusedError(Exception):
    """A command is not carried out; the text says why and what to do.

    `code` is stable, for `--json`.
    """

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the command.

    `say` tells people of progress: on standard output, or beside it where that is for machines.
    """

    arguments: Namespace
    store: FlagStore
    place: Place
    settings: Settings
    who: str
    say: Callable[[str], None]

    @property
    def editor(self) -> FlagEditor:
        """What changes flags here."""
        return FlagEditor(self.store)

    async def read(self) -> Ruleset:
        """Return everything; nothing where nothing was ever written.

        Raises:
            FlagStoreError: it cannot be read.
        """
        return await self.store.read()

    async def flag(self) -> Flag:
        """Return the flag that the command names.

        Raises:
            FlagNotFoundError: there is none.
            FlagStoreError: it cannot be read.
        """
        key: str = self.arguments.key
        flag = (await self.read()).flags.get(key)
        if flag is None:
            raise FlagNotFoundError(key)
        return flag

    def request(self, *, if_version: int | None = None, why: str = "") -> Request:
        """Return who asks for a change, why, and at which version."""
        author = Author(self.who, self.arguments.why or why)
        return Request(author, if_version=if_version)
