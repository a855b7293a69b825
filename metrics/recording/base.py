"""What all recording has in common: a window, a registry, and that it never fails."""

import functools
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from metrics.base import Window
from metrics.memory import MemoryWindow
from metrics.series.exposition import Exposition

_P = ParamSpec("_P")


class Recording:
    """Where records go. Each instance has its own registry; use it from the event loop's thread.

    Args:
        window: Where the last minutes are kept; in memory if None.
        clock: Monotonic seconds.
    """

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window = MemoryWindow(clock=clock) if window is None else window
        self._clock = clock
        self._exposition = Exposition()
        self._registry = self._exposition.registry

    def count_failure(self) -> None:
        """Count a record that could not be made."""
        self._exposition.failures.inc()


_R = TypeVar("_R", bound=Recording)


def fails_open(record: Callable[Concatenate[_R, _P], None]) -> Callable[Concatenate[_R, _P], None]:
    """Let a record that cannot be made be counted, and nothing else come of it."""

    @functools.wraps(record)
    def guarded(self: _R, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            record(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 - metrics fail open: no answer is lost for a figure
            self.count_failure()

    return guarded


def valid(seconds: float) -> float:
    """Refuse what would spoil a sum for good: not a number, endless, negative."""
    if not 0 <= seconds < float("inf"):
        raise ValueError(seconds)
    return seconds
