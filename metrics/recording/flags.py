"""What is recorded of the flags, and of the rollout of one of them."""

import time
from collections.abc import Callable

from metrics import labels
from metrics.base import Window
from metrics.labels import known
from metrics.recording.base import Recording, fails_open
from metrics.series.flags import FlagFigures, FlagSeries, RolloutFigures, RolloutSeries


class FlagRecording(Recording):
    """Records what users were given, and how the guarded rollout moves."""

    def __init__(
        self, window: Window | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window, clock=clock)
        self._flags = FlagSeries(self._registry)
        self._rollout = RolloutSeries(self._registry)

    def watch_flags(self, figures: Callable[[], FlagFigures]) -> None:
        """Ask for the flags' figures at each scrape; the function must not block."""
        self._flags.watched = figures

    @fails_open
    def flag_exposed(self, variant: str) -> None:
        """Record that a user was given a variant of `streaming`, for the first time in an epoch."""
        self._flags.exposures.labels(known(variant, labels.ARMS)).inc()

    @fails_open
    def flag_failed(self) -> None:
        """Record an evaluation of `streaming` that gave its default for a fault."""
        self._flags.failures.inc()

    def watch_rollout(self, figures: Callable[[], RolloutFigures]) -> None:
        """Ask for the rollout's figures at each scrape; the function must not block."""
        self._rollout.watched = figures

    @fails_open
    def rollout_moved(self, action: str) -> None:
        """Record a move of the guarded rollout: one of `labels.ROLLOUT_ACTIONS`."""
        self._rollout.transitions.labels(known(action, labels.ROLLOUT_ACTIONS)).inc()
