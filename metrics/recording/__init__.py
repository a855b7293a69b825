"""What can be recorded, by subject; `metrics.turns.TurnMetrics` is all of it."""
