"""`python -m loadtests.bench.counted FILE MODULE`: run a module, and count what its code executes.

From SIGUSR1 to SIGUSR2 the bytecode instructions of the main thread are counted, by function; then
they are in the file. The count is of Python's own instructions: it does not depend on the machine,
and what C code does is not in it.
"""

import asyncio
import os
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec

TraceFunction = Callable[[FrameType, str, object], Any]


class Function(msgspec.Struct):
    """How often a function was entered or gone on with, and what was executed in it."""

    name: str
    entered: int
    executed: int


class Counting:
    """Counts while it is on."""

    def __init__(self, into: Path) -> None:
        self._into = into
        self._entered: Counter[CodeType] = Counter()
        self._executed: Counter[CodeType] = Counter()

    def start(self, *_: object) -> None:
        """Count from zero, also in what waits in the tasks that there are."""
        self._entered.clear()
        self._executed.clear()
        for task in asyncio.all_tasks():
            for frame in _frames(task.get_coro()):
                self._look_into(frame)
        sys.settrace(self._called)

    def stop(self, *_: object) -> None:
        """Count no more, and write down what was counted."""
        sys.settrace(None)
        found = [
            Function(_name(code), self._entered[code], executed)
            for code, executed in self._executed.items()
        ]
        part = self._into.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(found))
        part.replace(self._into)

    def _look_into(self, frame: FrameType) -> None:
        frame.f_trace, frame.f_trace_opcodes, frame.f_trace_lines = self._traced, True, False

    def _called(self, frame: FrameType, _event: str, _arg: object) -> TraceFunction:
        self._entered[frame.f_code] += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._traced

    def _traced(self, frame: FrameType, event: str, _arg: object) -> TraceFunction:
        if event == "opcode":
            self._executed[frame.f_code] += 1
        return self._traced


def _name(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_firstlineno} {code.co_qualname}"


def _frames(awaited: object) -> list[FrameType]:
    """Return the frames of a coroutine that waits, and of what it waits for."""
    found = []
    while awaited is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if isinstance(frame, FrameType):
                found.append(frame)
        nexts = ("cr_await", "gi_yieldfrom", "ag_await")
        awaited = next((there for name in nexts if (there := getattr(awaited, name, None))), None)
    return found


def main() -> None:
    """Run."""
    into, module = Path(sys.argv[1]), sys.argv[2]
    counting = Counting(into)
    signal.signal(signal.SIGUSR1, counting.start)
    signal.signal(signal.SIGUSR2, counting.stop)
    del sys.argv[1:3]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # as `python -m` does
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
