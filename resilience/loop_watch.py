"""Notices that the event loop does not run, and what holds it up.

The loop cannot tell of that itself, so a thread looks on: the loop leaves it a sign of life a few
times a second. It sees also what ends no more. Cost, as measured: under 1 ms a second, for a timer
and a wake-up of the thread every `_LOOK_EVERY_S`.
"""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from time import monotonic, process_time
from typing import Self

BLOCKED_S = 1.0
"""A loop that has not run for this long is blocked; all its readers wait."""

_LOOK_EVERY_S = 0.25
_STACK_FRAMES = 30
_LEAVE_S = 1.0


class LoopWatch:
    """Calls `on_blocked` once for each time that the loop stands still; a `with` block bounds it.

    Seconds in which the process as a whole did not run (stopped by a signal, a machine that slept)
    do not count: the loop was not held up by anything of ours. Code that lets no other thread run
    is noticed as soon as it does. Use it inside a running event loop, from its thread.

    Args:
        blocked_s: Seconds without a sign of life.
        on_blocked: Called from the watching thread, with the seconds so far and the stack of the
            loop's thread, source lines without values. May block.
    """

    def __init__(
        self, *, on_blocked: Callable[[float, str], None], blocked_s: float = BLOCKED_S
    ) -> None:
        self._blocked_s = blocked_s
        self._on_blocked = on_blocked
        self._signed_at = 0.0, 0.0
        self._left = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle
        self._thread: threading.Thread

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._sign()
        watched = threading.get_ident()
        self._thread = threading.Thread(
            target=self._watch, args=(watched,), name="loop-watch", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._left.set()
        self._thread.join(
            _LEAVE_S
        )  # bounded: it may be held up itself, by a log that takes nothing

    def _sign(self) -> None:
        self._signed_at = monotonic(), process_time()
        self._timer = self._loop.call_later(_LOOK_EVERY_S, self._sign)

    def _watch(self, watched: int) -> None:
        signed_at, looked_at, still_s = self._signed_at, self._signed_at, 0.0
        is_told = False
        while not self._left.wait(_LOOK_EVERY_S):
            if signed_at != self._signed_at:
                signed_at = looked_at = self._signed_at
                still_s, is_told = 0.0, False
            now = monotonic(), process_time()
            # A stretch in which this thread did not run either: the process was stopped, unless it
            # was busy all the while.
            passed_s, used_s = now[0] - looked_at[0], now[1] - looked_at[1]
            still_s += min(passed_s, max(2 * _LOOK_EVERY_S, used_s))
            looked_at = now
            if still_s >= self._blocked_s and not is_told:
                is_told = True
                self._on_blocked(still_s, _stack_of(watched))


def _stack_of(thread: int) -> str:
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # documented, for such tools as this
    return "".join(traceback.format_stack(frame, _STACK_FRAMES)).rstrip() if frame else ""
