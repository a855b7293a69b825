"""Child processes of a benchmark: started on a core, measured, stopped. Linux, from /proc."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc

ROOT = Path(__file__).parents[2]

_NS = 1e-9
_STOP_S = 5.0
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Command:
    """How a child is started; its environment holds nothing but `environment`."""

    arguments: tuple[str, ...]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Cores:
    """Where server and load run; None leaves it to the kernel."""

    server: int | None
    load: int | None

    @classmethod
    def split(cls) -> "Cores":
        """Return the first core for the server and the second for the load, if there are two."""
        own = sorted(os.sched_getaffinity(0))
        return cls(own[0], own[1]) if len(own) > 1 else cls(None, None)


class Child:
    """A running process with its descendants."""

    def __init__(self, process: anyio.abc.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid

    def last_words(self) -> str:
        """Return the end of what it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-_LAST_LINES:])

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal; none where it has ended."""
        if not self.has_ended:
            self._process.send_signal(number)

    async def status(self) -> int:
        """Wait for the end of the process and return its exit status."""
        return await self._process.wait()

    def cpu_s(self) -> float:
        """Return the CPU seconds used so far, user and system, to the nanosecond."""
        return sum(_thread_cpu_s(thread) for pid in self.tree() for thread in _threads(pid))

    def resident_bytes(self) -> int:
        """Return the memory held, counting what processes share once in each."""
        pages = sum(_resident_pages(pid) for pid in self.tree())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def tree(self) -> list[int]:
        """Return the process and its descendants."""
        found = [self.pid]
        for pid in found:  # grows while it is walked
            for thread in _threads(pid):
                with contextlib.suppress(OSError):
                    children = (thread / "children").read_text(encoding="ascii")
                    found.extend(int(child) for child in children.split())
        return found


@asynccontextmanager
async def running(command: Command, core: int | None, log: Path) -> AsyncGenerator[Child, None]:
    """Run a child for the length of the block; what it writes goes to a file."""
    with log.open("wb") as output, on_core(core):  # inherited, with no moment in between
        process = await anyio.open_process(
            command.arguments,
            cwd=ROOT,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Child(process, log)
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process, Child(process, log))


def pin(core: int | None) -> None:
    """Keep this process, and the children it starts from now on, on a core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def on_core(core: int | None) -> Generator[None, None, None]:
    """Keep this process, and the children it starts meanwhile, on a core; None: anywhere."""
    before = os.sched_getaffinity(0)
    pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def _stop(process: anyio.abc.Process, child: Child) -> None:
    # Killed, not asked: open streams would keep a server draining, and nothing is kept. What it
    # has started goes with it.
    if process.returncode is None:
        for pid in child.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with anyio.move_on_after(_STOP_S):
        await process.wait()
    await process.aclose()


def _threads(pid: int) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _thread_cpu_s(thread: Path) -> float:
    with contextlib.suppress(OSError, IndexError):
        return int((thread / "schedstat").read_text(encoding="ascii").split()[0]) * _NS
    return 0.0


def _resident_pages(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return 0
