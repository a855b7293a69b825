"""The operators' command as a program of its own, in a folder of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import flags
from flags.changes.editor import FlagEditor, Request
from flags.model import Author, Flag
from flags.store.base import FlagStore

LIMIT_S = 60
"""Far above what a command takes on a machine that is busy; a hanging one fails its test."""

_KEPT = {"PATH", "HOME", "LANG", "USER", "LOGNAME"}
_OURS = os.environ  # noqa: TID251  # what a child needs of it; no setting
_ENVIRONMENT = {name: value for name, value in _OURS.items() if name in _KEPT}


@dataclass(frozen=True)
class Ran:
    """How the command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, object]:
        """The one JSON document."""
        answer: dict[str, object] = json.loads(self.out)
        return answer


def ended(process: subprocess.Popen[bytes], given: bytes = b"") -> Ran:
    """Wait for the end of a command."""
    out, err = process.communicate(given, timeout=LIMIT_S)
    return Ran(process.returncode, out.decode(), err.decode())


class Shell:
    """A folder in which the command is run."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        root = Path(flags.__file__).parents[1]
        self._environment = _ENVIRONMENT | {"PYTHONPATH": str(root)} | environment

    def run(self, *arguments: str, given: str | bytes = b"") -> Ran:
        """Run the command to its end."""
        process = self.start(*arguments)
        return ended(process, given.encode() if isinstance(given, str) else given)

    def together(self, *lines: str) -> list[Ran]:
        """Run several commands that do not depend on each other."""
        processes = [self.start(*line.split()) for line in lines]
        return [ended(process) for process in processes]

    def done(self, *arguments: str, given: str | bytes = b"") -> dict[str, object]:
        """Run the command, which must do what it is told, and return what it answers in JSON."""
        ran = self.run("--json", *arguments, given=given)
        assert (ran.status, ran.err) == (0, ""), ran
        return ran.answer

    def start(self, *arguments: str, output: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the command; `output` is a descriptor that it writes to instead of to us."""
        return subprocess.Popen(
            [sys.executable, "-m", "flags", *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self._environment,
        )


async def an_editor(store: FlagStore, *, why: str = "") -> FlagEditor:
    """Return an editor over a store with a flag `beta` at 1 %."""
    editor = FlagEditor(store)
    await editor.put_flag("beta", {"rollout": {"percentage": 1}}, asked(why))
    return editor


def asked(why: str = "") -> Request:
    """Return how somebody else asks for a change."""
    return Request(Author("ada", why))


async def flag_in(store: FlagStore) -> Flag:
    """Return the flag `beta`."""
    return (await store.read()).flags["beta"]
