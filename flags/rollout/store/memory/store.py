"""Rollouts of one process. The file is written now and then: what a crash loses of it loses time.

Without the file, or where it is damaged, evidence begins anew.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import structlog
from anyio import Lock, to_thread

from flags.errors import FencedError, FlagStoreDamagedError, FlagStoreError
from flags.rollout.batches import Batch
from flags.rollout.store.base import BEAT_KEPT_S, FENCE, LEASE_S, Beat, Sight
from flags.rollout.store.memory.ledger import Document, FlagLedger, kept, ledger_of
from flags.store.base import Fence
from flags.store.sealed import read_sealed, write_sealed

log = structlog.get_logger(__name__)

WRITE_S = 10.0
"""So much a crash loses, about."""


@dataclass(frozen=True, slots=True)
class _Lease:
    worker: str
    token: int
    until: float


class MemoryRolloutStore:
    """Rollouts in memory, for one event loop.

    Args:
        path: The file; its folder must exist. None: nothing outlives the process.
        lease_s: Seconds that a leader leads without renewing.
        clock: Seconds of the epoch.
    """

    kind = "memory"

    def __init__(
        self,
        path: Path | None = None,
        *,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._lease_s = lease_s
        self._clock = clock
        self._flags: dict[str, FlagLedger] | None = None
        self._beats: dict[tuple[str, str], tuple[int, float]] = {}
        self._lease: _Lease | None = None
        self._token = 0
        self._loading, self._writing = Lock(), Lock()
        self._written_at = clock()
        self._is_changed = False

    async def add(self, flag: str, batch: Batch, *, version: int) -> None:
        ledger, now = await self._ledger(flag), self._clock()
        self._beats[flag, batch.worker] = (version, now)
        self._beats = {
            whose: beat for whose, beat in self._beats.items() if now - beat[1] <= BEAT_KEPT_S
        }
        ledger.add(batch, now)
        self._is_changed = True
        if abs(now - self._written_at) >= WRITE_S:  # also by a clock that was set back
            await self._write()

    async def see(self, flag: str, epoch: int) -> Sight:
        ledger, now = await self._ledger(flag), self._clock()
        on, off = ledger.counters(epoch)
        workers = {
            worker: Beat(version, max(now - at, 0.0))
            for (beaten, worker), (version, at) in self._beats.items()
            if beaten == flag and now - at <= BEAT_KEPT_S
        }
        return Sight(now, on, off, workers, ledger.evidence, ledger.report)

    async def lead(self, worker: str) -> Fence | None:
        await self._opened()
        now, lease = self._clock(), self._lease
        if lease is None or lease.until <= now:
            # By the clock, as no file may tell which tokens there were.
            self._token = max(self._token + 1, int(now * 1_000_000))
            lease = _Lease(worker, self._token, now)
        if lease.worker != worker:
            return None
        self._lease = _Lease(worker, lease.token, now + self._lease_s)
        return Fence(FENCE, lease.token)

    async def keep(self, flag: str, evidence: bytes, report: bytes, fence: Fence) -> None:
        ledger = await self._ledger(flag)
        if fence.token < self._token:
            raise FencedError(f"another leads by now, with the token {self._token}")
        ledger.evidence, ledger.report = evidence, report
        self._is_changed = True

    async def leave(self, flags: frozenset[str], worker: str) -> None:
        if self._lease is not None and self._lease.worker == worker:
            self._lease = None
        for flag in flags:
            self._beats.pop((flag, worker), None)

    async def close(self) -> None:
        if self._is_changed:
            await self._write()

    async def _ledger(self, flag: str) -> FlagLedger:
        return (await self._opened()).setdefault(flag, FlagLedger())

    async def _opened(self) -> dict[str, FlagLedger]:
        async with self._loading:  # who comes meanwhile waits for what is read
            return await self._loaded() if self._flags is None else self._flags

    async def _loaded(self) -> dict[str, FlagLedger]:
        document = await to_thread.run_sync(_read, self._path)
        self._token = document.token
        self._flags = {name: ledger_of(flag) for name, flag in document.flags.items()}
        return self._flags

    async def _write(self) -> None:
        """Write the file; that it cannot be written is told, and stops nothing."""
        self._written_at, self._is_changed = self._clock(), False
        if self._path is None:
            return
        async with self._writing:
            flags = {name: kept(ledger) for name, ledger in (self._flags or {}).items()}
            content: dict[str, object] = {"token": self._token, "flags": flags}
            try:
                await to_thread.run_sync(partial(_sealed, self._path, content))
            except FlagStoreError as error:
                self._is_changed = True
                log.warning("rollout.not_written", reason=str(error))


def _read(path: Path | None) -> Document:
    if path is None:
        return Document()
    try:
        return read_sealed(path, Document) or Document()
    except FlagStoreDamagedError as error:
        log.warning("rollout.unreadable", reason=str(error))
        return Document()


def _sealed(path: Path, content: dict[str, object]) -> None:
    plain: dict[str, object] = msgspec.to_builtins(content)
    write_sealed(path, plain)
