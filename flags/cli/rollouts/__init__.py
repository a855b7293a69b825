"""The command `rollout`: guarded rollouts from a shell."""
