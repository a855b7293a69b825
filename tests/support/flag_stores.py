"""Flag stores of every kind, and what can happen to their data behind their backs."""

import time
from abc import ABC, abstractmethod
from pathlib import Path

from redis import Redis

from flags.store.base import Commit, FlagStore
from flags.store.file import FileFlagStore
from flags.store.redis import RedisFlagStore
from tests.support.redis import RedisServer

PATIENCE_S = 20.0
"""Longer than any test may take: who waits for this has not been told."""


class Stores(ABC):
    """Instances over the same data, and what can happen to it behind their backs."""

    def __init__(self) -> None:
        self._made: list[FlagStore] = []

    def another(self) -> FlagStore:
        self._made.append(self.made())
        return self._made[-1]

    @abstractmethod
    def made(self) -> FlagStore: ...

    @abstractmethod
    async def write_silently(self, version: int, definitions: dict[str, str]) -> None: ...

    @abstractmethod
    def lose(self) -> None: ...

    @abstractmethod
    def let_claims_expire(self) -> None: ...

    async def close(self) -> None:
        for store in self._made:
            await store.close()


class RedisStores(Stores):
    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self._url = server.url
        self._client: Redis = server.client()
        self.lose()

    def made(self) -> FlagStore:
        return RedisFlagStore(self._url, timeout_s=PATIENCE_S)

    async def write_silently(self, version: int, definitions: dict[str, str]) -> None:
        self._client.set("{flags}:version", version)
        for name, definition in definitions.items():
            self._client.hset("{flags}:definitions", name, definition)

    def lose(self) -> None:
        self._client.flushall()

    def let_claims_expire(self) -> None:
        keys = list(self._client.scan_iter("{flags}:idempotency:*"))
        assert keys
        for key in keys:
            lives_s = self._client.ttl(key)
            assert 24 * 3600 - 60 < lives_s <= 24 * 3600
            self._client.pexpire(key, 0)

    async def close(self) -> None:
        await super().close()
        self._client.close()


class FileStores(Stores):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / "flags.json"
        self._ahead_s = 0.0

    def made(self) -> FlagStore:
        return FileFlagStore(self._path, clock=lambda: time.time() + self._ahead_s)

    async def write_silently(self, version: int, definitions: dict[str, str]) -> None:
        store = self.made()  # another instance: it has nobody to tell
        await store.commit(Commit((await store.read()).version, version, definitions, ()))

    def lose(self) -> None:
        self._path.unlink(missing_ok=True)

    def let_claims_expire(self) -> None:
        self._ahead_s += 24 * 3600
