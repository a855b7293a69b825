"""Flags in Redis: shared by all processes, announced at once (docs/redis-keys.md)."""

from flags.store.redis.store import RedisFlagStore

__all__ = ["RedisFlagStore"]
