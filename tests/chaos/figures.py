"""What a run came to, in figures for people."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from tests.chaos.records import TERMINAL
from tests.chaos.view import ReaderView, View


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that so large a share does not exceed; 0 where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def spread(seconds: Sequence[float]) -> str:
    """Return how some times are spread."""
    half, most = percentile(seconds, 0.5), percentile(seconds, 0.99)
    return f"p50 {half:.2f} s, p99 {most:.2f} s, at most {max(seconds, default=0):.2f} s"


def summary(view: View) -> str:
    """Return a table of a run."""
    outcomes = Counter(each.name for each in view.stored.values())
    faults = Counter(each.name for each in view.faults)
    resets = [len(reader.resets) for reader in view.readers]
    pauses = [longest_pause_s(reader) for reader in view.readers]
    told = [f"{count} {name}" for name, count in sorted(outcomes.items())]
    done = [f"{count} {name}" for name, count in sorted(faults.items())]
    epochs = Counter(each.epoch for each in view.stored.values())
    rows = [
        ("turns stored", f"{len(view.stored)}: {', '.join(told)}"),
        ("completed by themselves", f"{100 * completed_share(view):.1f} % of those not cancelled"),
        (
            "epochs of a turn",
            ", ".join(f"{n} turns {epoch}" for epoch, n in sorted(epochs.items())),
        ),
        ("requests to start", f"{len(view.posts)}, {_count(view.posts, 'info')} without an answer"),
        ("model asked", f"{sum(each.seq for each in view.calls)} times"),
        ("faults", f"{len(view.faults)}: {', '.join(done)}"),
        ("readers", f"{len(view.readers)}, {len(view.opens)} connections"),
        (
            "resets per reader",
            f"{sum(resets) / max(1, len(resets)):.3f}, {max(resets, default=0)} at most",
        ),
        ("longest pause of a reader", spread(pauses)),
    ]
    return "\n".join(f"{name:26} {value}" for name, value in rows)


def completed_share(view: View) -> float:
    """Return how many of the turns that nobody cancelled were completed."""
    wanted = [each for each in view.stored.values() if each.name != "cancelled"]
    return sum(each.name == "completed" for each in wanted) / max(1, len(wanted))


def longest_pause_s(reader: ReaderView) -> float:
    """Return the longest time in which a reader got nothing of the log, before its end."""
    events = list(reader.entries)
    if not events or events[-1].name not in TERMINAL:
        return 0.0
    times = [each.t_mono for each in events]
    return max((b - a for a, b in pairwise(times)), default=0.0)


def _count(operations: Sequence[object], result: str) -> int:
    return sum(getattr(each, "result", "") == result for each in operations)
