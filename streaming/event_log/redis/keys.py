"""Names of the event log's keys: of one turn in one slot of a cluster. `docs/redis-keys.md`."""

RUNNING = "chat:running"
"""Sorted set: turns by the server's time, in ms, at which their leases run out."""

WORKERS = "chat:workers"
"""Set: workers that are, or were a moment ago."""

WAKE = "chat:wake"
"""Channel: ids of turns whose log has grown, parted by blanks."""

TOLD = "chat:told"
"""Channel: id of a turn for whose holder there is a command."""


def channel_of(worker_id: str) -> str:
    """Channel: nothing is said there; its worker listens as long as it is connected."""
    return f"chat:worker:{worker_id}"


def lease_of(turn_id: str) -> str:
    """Hash: who holds a turn, in which epoch, until when; the last seq of its log."""
    return f"chat:{{{turn_id}}}:lease"


def log_of(turn_id: str) -> str:
    """Stream: batches of a turn's frames, by their last seq."""
    return f"chat:{{{turn_id}}}:log"


def readers_of(turn_id: str) -> str:
    """Sorted set: workers that have readers of a turn they do not hold, by until when, in ms."""
    return f"chat:{{{turn_id}}}:readers"


def commands_of(turn_id: str) -> str:
    """List: what the turn's holder is to do."""
    return f"chat:{{{turn_id}}}:commands"
