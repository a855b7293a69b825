"""Workers under faults, and a checker that judges what everybody saw."""
