"""Flags in one file and in memory, without a server.

Any number of processes of one machine may use the file: a write holds a lock, reads the file anew
and replaces it whole. Other processes' writes are noticed by looking at the file now and then.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import anyio
from anyio import to_thread

from flags.errors import FlagStoreUnavailableError
from flags.model import AuditEntry, Ruleset
from flags.store.base import Commit, Committed
from flags.store.definitions import read_audit, read_ruleset
from flags.store.file.content import Content, committed
from flags.store.sealed import read_sealed, unavailable, write_sealed

LOOK_S = 0.25
"""So late another process's write is noticed, at most."""

LOCK_WAIT_S = 5.0
"""A write that finds others writing gives up after this. One takes some milliseconds."""

_LOCK_RETRY_S = 0.01
_HEAD_BYTES = 128

Mark = tuple[int, int, int, bytes]
"""What tells one content of the file from another: stat's word, and the checksum at its head."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the file held when it had a mark."""

    mark: Mark | None
    content: Content


class FileFlagStore:
    """Flags in a JSON file with a checksum. A missing file is an empty ruleset.

    Args:
        path: The file; its folder must exist. Beside it there is `<path>.lock`.
        clock: Seconds of the epoch, for how long claims live.
    """

    kind = "file"

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._known: _Known | None = None
        self._writing = anyio.Lock()
        self._written = anyio.Event()

    async def read(self) -> Ruleset:
        content = await self._content()
        definitions = content.definitions.items()
        return await to_thread.run_sync(read_ruleset, content.version, definitions)

    async def commit(self, commit: Commit) -> Committed:
        with anyio.move_on_after(LOCK_WAIT_S):
            async with self._writing:
                # No event: it is another process that has the lock.
                while (outcome := await to_thread.run_sync(self._write, commit)) is None:  # noqa: ASYNC110
                    await anyio.sleep(_LOCK_RETRY_S)
                self._written.set()
                self._written = anyio.Event()
                return outcome
        raise FlagStoreUnavailableError(f"{self._path}: others have been writing too long")

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        until = anyio.current_time() + timeout_s
        while True:
            written = self._written
            version = (await self._content()).version
            left_s = until - anyio.current_time()
            if version != seen or left_s <= 0:
                return version
            with anyio.move_on_after(min(left_s, LOOK_S)):
                await written.wait()

    async def history(
        self, subject: str, *, limit: int, before: int | None = None
    ) -> Sequence[AuditEntry]:
        kept = (await self._content()).audit
        entries = (
            entry.entry
            for entry in reversed(kept)
            if entry.subject == subject and (before is None or entry.version < before)
        )
        return read_audit(subject, islice(entries, max(limit, 0)))

    async def close(self) -> None:
        """Do nothing: between two calls nothing is held."""

    async def _content(self) -> Content:
        self._known = known = await to_thread.run_sync(self._looked, self._known)
        return known.content

    def _looked(self, known: _Known | None) -> _Known:
        """Return what the file holds now; it is read only if it is another one than before."""
        # The mark comes first: should the file change in between, the next look reads it again.
        mark = _mark(self._path)
        if known and known.mark == mark:
            return known
        return _Known(mark, self._stored())

    def _stored(self) -> Content:
        return read_sealed(self._path, Content) or Content()

    def _write(self, commit: Commit) -> Committed | None:
        """Write if the ruleset is at the expected version; None where others are writing."""
        lock_path = self._path.with_name(f"{self._path.name}.lock")
        try:
            with _lock(lock_path) as is_held:
                return self._written_now(commit) if is_held else None
        except OSError as error:
            raise unavailable(lock_path, error) from error

    def _written_now(self, commit: Commit) -> Committed:
        outcome, content = committed(self._stored(), commit, now=self._clock())
        if content:
            write_sealed(self._path, content.plain())
        return outcome


def _mark(path: Path) -> Mark | None:
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            return stat.st_ino, stat.st_mtime_ns, stat.st_size, file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unavailable(path, error) from error


@contextmanager
def _lock(lock_path: Path) -> Iterator[bool]:
    """Hold the lock of all writers, unless one of them has it; never waits."""
    descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _is_taken(descriptor, lock_path)
    finally:
        # Closing alone would leave it with a child that was forked meanwhile.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _is_taken(descriptor: int, lock_path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever removed the file has given the others another lock to hold.
        return os.fstat(descriptor).st_ino == lock_path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
