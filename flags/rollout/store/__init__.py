"""Where a rollout's counters, its evidence and the lease of its controller are kept."""
