"""Rollouts under simulated traffic: what the real decision does of it, and what simpler rules do.

`python -m tests.rollout_simulation` prints the figures of `docs/rollout-statistics.md`.
"""
