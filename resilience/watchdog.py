"""A deadline for «no progress», cheap enough to be told of every event.

Divergence from the usual timeout, on purpose: the timer is not cancelled and set anew per event.
`touch` only notes the time; when the timer fires it looks at that note and, where there was
progress, arms itself for what remains. One timer a limit instead of one a token.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Self

WatchdogPhase = Literal["first", "next"]

LATE_S = 0.5
"""A timer that is so late was held up by its own process, which was stopped or busy: what has come
meanwhile is read first. It has as long for that."""


class Watchdog:
    """Calls `on_expire` once when nothing was touched for too long; a `with` block bounds it.

    Before the first touch `first_limit_s` applies, counted from entering the block; afterwards
    `limit_s`, counted from the latest touch. Never early; late only as far as the event loop is,
    and where that was held up for `LATE_S`, as much more: silence is not what nobody could hear.
    After the block has been left `on_expire` is not called. Use it inside a running event loop,
    from its thread.

    Args:
        limit_s: Seconds allowed between two touches.
        first_limit_s: Seconds allowed until the first touch; None means `limit_s`.
        on_expire: Called from the event loop with "first" or "next": the wait that was too long.
    """

    __slots__ = (
        "_first_limit_s", "_limit_s", "_loop", "_on_expire", "_started_at", "_timer", "_touched_at",
        "_when",
    )  # fmt: skip

    def __init__(
        self,
        limit_s: float,
        first_limit_s: float | None = None,
        *,
        on_expire: Callable[[WatchdogPhase], None],
    ) -> None:
        self._limit_s = limit_s
        self._first_limit_s = limit_s if first_limit_s is None else first_limit_s
        self._on_expire = on_expire
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None
        self._started_at = 0.0
        self._when = 0.0
        self._touched_at: float | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._touched_at = None
        self._arm(self._started_at)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def touch(self) -> None:
        """Note progress: one reading of the clock, one attribute write."""
        self._touched_at = self._loop.time()

    def _fire(self) -> None:
        now = self._loop.time()
        phase, due = self._due()
        if now < due:
            self._arm(now)
            return
        if now >= self._when + LATE_S:
            self._set(now + LATE_S)
            return
        self._timer = None
        self._on_expire(phase)

    def _arm(self, now: float) -> None:
        # Invariant: the timer fires within `limit_s` from now, so that a touch that comes while a
        # long first limit runs has its own, shorter one looked at in time.
        self._set(min(self._due()[1], now + self._limit_s))

    def _set(self, when: float) -> None:
        self._when = when
        self._timer = self._loop.call_at(when, self._fire)

    def _due(self) -> tuple[WatchdogPhase, float]:
        if self._touched_at is None:
            return "first", self._started_at + self._first_limit_s
        return "next", self._touched_at + self._limit_s
