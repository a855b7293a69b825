"""The one loop for background duties: it outlives what its step raises.

Not for work somebody waits for: a failure here is logged and the next round tries again.
"""

import random
from collections.abc import Awaitable, Callable

import anyio
from structlog.typing import FilteringBoundLogger

JITTER = 0.1
"""Rounds are spread by ± this share, so that processes started together drift apart."""

BACKOFF_MAX_S = 30.0
"""A duty that keeps failing is still tried this often (or at its own pace, if that is slower)."""

STEADY_ROUNDS = 10
"""Good rounds in a row after which a duty counts as recovered; bounds the log while it flaps."""


async def supervised(
    name: str,
    step: Callable[[], Awaitable[object]],
    *,
    every_s: float,
    log: FilteringBoundLogger,
) -> None:
    """Run `step` about every `every_s` seconds until cancelled; the first round comes after a wait.

    Rounds never overlap. What a step raises is logged once per kind (`duty.failed`) and counted
    until the duty has recovered (`duty.recovered`, with the count). From the second failure in a
    row the wait doubles, up to `BACKOFF_MAX_S`. Cancellation ends the loop at once, also in a step.
    Never returns.

    Args:
        name: Stable name of the duty, for the log.
        step: One round; bounds its own awaits.
        every_s: Seconds between the end of a round and the start of the next.
        log: Where failures are told.
    """
    record = _Record(name, log)
    while True:
        await anyio.sleep(_pause(every_s, record.failed_in_row))
        try:
            await step()
        except Exception as error:  # noqa: BLE001 - a duty outlives any fault of its step
            record.failed(error)
        else:
            record.succeeded()


def _pause(every_s: float, failed_in_row: int) -> float:
    doublings = min(max(failed_in_row - 1, 0), 16)
    pause_s = min(every_s * (1 << doublings), max(every_s, BACKOFF_MAX_S))
    return pause_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, no secret


class _Record:
    """What is known of a duty's rounds: enough to log each kind of failure once."""

    def __init__(self, name: str, log: FilteringBoundLogger) -> None:
        self.failed_in_row = 0
        self._name = name
        self._log = log
        self._kinds: set[type[Exception]] = set()
        self._failures = 0
        self._succeeded_in_row = 0

    def failed(self, error: Exception) -> None:
        self.failed_in_row += 1
        self._failures += 1
        self._succeeded_in_row = 0
        if type(error) in self._kinds:
            return
        self._kinds.add(type(error))
        self._log.error(
            "duty.failed",
            duty=self._name,
            error=type(error).__name__,
            failures=self._failures,
            exc_info=error,
        )

    def succeeded(self) -> None:
        self.failed_in_row = 0
        self._succeeded_in_row += 1
        if self._failures and self._succeeded_in_row >= STEADY_ROUNDS:
            self._log.info("duty.recovered", duty=self._name, failures=self._failures)
            self._kinds.clear()
            self._failures = 0
