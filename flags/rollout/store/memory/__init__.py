"""Rollouts of one process, in memory, kept in a file so that a restart goes on."""

from flags.rollout.store.memory.store import MemoryRolloutStore

__all__ = ["MemoryRolloutStore"]
