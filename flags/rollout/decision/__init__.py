"""One tick of a rollout, from what was counted to what becomes of it. Pure."""
