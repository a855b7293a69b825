"""`python -m loadtests.bench.held FILE MODULE`: run a module; told to, write down what it holds.

SIGUSR1 has the garbage collected and its own count, with those of what is left, put into the file.
From the first time on nothing is collected in between: what only a collection finds is counted.
"""

import asyncio
import gc
import os
import runpy
import signal
import sys
import weakref
from collections import Counter
from pathlib import Path

import msgspec


class Held(msgspec.Struct):
    """What a process holds, but for what it made while it started.

    Attributes:
        garbage: Objects that held each other and nothing else did, since the time before.
        objects: How many there are that could hold others, by type.
        tasks: How many wait.
        descriptors: Files and sockets that are open.
    """

    garbage: int
    objects: dict[str, int]
    tasks: int
    descriptors: int


class Holding:
    """Writes it down."""

    def __init__(self, into: Path) -> None:
        self._into = into

    def look(self, *_: object) -> None:
        """Count, and put it into the file at once."""
        gc.disable()
        garbage = gc.collect()
        kinds = Counter(type(each) for each in gc.get_objects() if not _is_dead(each))
        held = Held(
            garbage,
            {f"{kind.__module__}.{kind.__qualname__}": count for kind, count in kinds.items()},
            len(asyncio.all_tasks()),
            len(os.listdir("/proc/self/fd")),  # noqa: PTH208  # names alone
        )
        part = self._into.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(held))
        part.replace(self._into)


def _is_dead(each: object) -> bool:
    """Whether it refers weakly to what is gone: sqlite3 has up to 200 of its cursors' so."""
    return type(each) is weakref.ref and each() is None


def main() -> None:
    """Run."""
    into, module = Path(sys.argv[1]), sys.argv[2]
    signal.signal(signal.SIGUSR1, Holding(into).look)
    del sys.argv[1:3]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # as `python -m` does
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
