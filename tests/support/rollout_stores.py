"""Rollout stores of every kind, what can happen to them, and batches in few words."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from redis import Redis

from flags.rollout.batches import Arm, Batch, Counted, Failure, hashed, microseconds, seconds
from flags.rollout.counters import TTFT_BINS, Counters, ttft_bin
from flags.rollout.store.base import RolloutStore
from flags.rollout.store.memory import MemoryRolloutStore
from flags.rollout.store.redis import RedisRolloutStore
from tests.support.redis import RedisServer

PATIENCE_S = 20.0
"""Longer than any test may take."""

BEATS = "{flags}:rollout:streaming:workers"


class RolloutStores(ABC):
    """Instances over the same data, and what can happen to it behind their backs."""

    @abstractmethod
    def another(self, *, lease_s: float = 15.0) -> RolloutStore:
        """Return a store of another worker."""

    @abstractmethod
    def pass_time(self, by_s: float) -> None:
        """Let that much time pass for beats and leases."""

    @abstractmethod
    async def close(self) -> None:
        """Close what was made."""


class RedisRolloutStores(RolloutStores):
    """Over an empty Redis."""

    def __init__(self, server: RedisServer) -> None:
        self._url = server.url
        self._made: list[RolloutStore] = []
        self.direct: Redis = server.client(decode_responses=True)
        self.direct.flushall()

    def another(self, *, lease_s: float = 15.0) -> RolloutStore:
        self._made.append(RedisRolloutStore(self._url, timeout_s=PATIENCE_S, lease_s=lease_s))
        return self._made[-1]

    def pass_time(self, by_s: float) -> None:
        for worker, beat in self.direct.hgetall(BEATS).items():
            version, at_ms = str(beat).split()
            self.direct.hset(BEATS, worker, f"{version} {int(at_ms) - by_s * 1000:.0f}")
        left_ms: int = self.direct.pttl("{flags}:rollout:lease")
        if left_ms >= 0:
            self.direct.pexpire("{flags}:rollout:lease", max(left_ms - round(by_s * 1000), 0))

    async def close(self) -> None:
        for store in self._made:
            await store.close()
        self.direct.close()


class MemoryRolloutStores(RolloutStores):
    """One store, for its process has no other."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rollout.json"
        self.ahead_s = 0.0
        self._only: MemoryRolloutStore | None = None

    def another(self, *, lease_s: float = 15.0) -> RolloutStore:
        if self._only is None:
            self._only = self.opened(lease_s=lease_s)
        return self._only

    def opened(self, *, lease_s: float = 15.0) -> MemoryRolloutStore:
        """Return a store as the next process would have it."""
        return MemoryRolloutStore(
            self.path, lease_s=lease_s, clock=lambda: time.time() + self.ahead_s
        )

    def pass_time(self, by_s: float) -> None:
        self.ahead_s += by_s

    async def close(self) -> None:
        if self._only is not None:
            await self._only.close()


def a_batch(
    worker: str = "w1",
    number: int = 1,
    counted: Counted | None = None,
    *,
    epoch: int = 1,
    arm: Arm = Arm.ON,
) -> Batch:
    """Return a batch of one arm; an empty one where nothing is said."""
    return Batch(worker, number, {} if counted is None else {(epoch, arm): counted})


def some(
    *ttfts_s: float,
    cancelled: int = 0,
    failures: Iterable[tuple[str, float]] = (),
    amiss: Iterable[tuple[str, float]] = (),
    users: Iterable[str] = (),
) -> Counted:
    """Return requests that went well, given their first-token times, and others by their users."""
    failed = [Failure(hashed(user), True, microseconds(each)) for user, each in failures]
    failed += [Failure(hashed(user), False, microseconds(each)) for user, each in amiss]
    plain = counters(ttfts_s, cancelled=cancelled)
    return Counted(plain, tuple(failed), frozenset(map(hashed, users)))


def counters(ttfts_s: Iterable[float], **more: int) -> Counters:
    """Return the counters of requests with these first-token times."""
    ttft, ttft_us = [0] * len(TTFT_BINS), 0
    for each in ttfts_s:
        ttft[ttft_bin(seconds(microseconds(each)))] += 1
        ttft_us += microseconds(each)
    return Counters(n=sum(ttft), ttft=tuple(ttft), ttft_us=ttft_us, **more)
