"""The names of the keys; all are in one slot of a cluster."""

PREFIX = "{metrics}:"
SLOTS = f"{PREFIX}slots"
LIVE = f"{PREFIX}live"


def flushed_by(worker: str) -> str:
    """Return where the number of the last batch of a worker's window is."""
    return f"{PREFIX}flushed:{worker}"


def archived_by(writer: str) -> str:
    """Return where the number of the last batch of a writer's figures is."""
    return f"{PREFIX}archived:{writer}"
