"""One timer for all streams: those due within the same millisecond are woken together."""

import asyncio
import heapq
from collections.abc import Callable

Wake = Callable[[float], None]

_TICKS_PER_S = 1000  # the resolution of the event loop's own timers


class Wheel:
    """Calls back at a time of the loop's clock, never early; at most 1 ms and the loop's lag late.

    One heap entry and one timer serve a whole tick, so a thousand streams cost a list append each
    and not a timer each. An entry is not cancelled: who no longer cares returns when woken.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ticks: list[int] = []
        self._waiting: dict[int, list[Wake]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0

    def at(self, due: float, wake: Wake) -> None:
        """Call `wake(now)` once the loop's clock has reached `due`; a past one is due next tick."""
        tick = int(max(due, self._loop.time()) * _TICKS_PER_S) + 1
        waiting = self._waiting.get(tick)
        if waiting is not None:
            waiting.append(wake)
            return
        self._waiting[tick] = [wake]
        heapq.heappush(self._ticks, tick)
        if self._timer is None or tick < self._armed:
            self._arm(tick)

    def _arm(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = tick
        self._timer = self._loop.call_at(tick / _TICKS_PER_S, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        # What is added while waking lies in a later tick; it waits for the next turn of the loop,
        # so that sockets are served between two ticks.
        limit = int(now * _TICKS_PER_S)
        while self._ticks and self._ticks[0] <= limit:
            for wake in self._waiting.pop(heapq.heappop(self._ticks)):
                wake(now)
        if self._ticks and self._timer is None:
            self._arm(self._ticks[0])
