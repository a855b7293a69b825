"""Rollouts in Redis: counted by all workers together, led by one of them (docs/redis-keys.md)."""

from flags.rollout.store.redis.store import RedisRolloutStore

__all__ = ["RedisRolloutStore"]
