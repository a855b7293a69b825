"""An event loop whose time passes only when everybody waits: hours in milliseconds, from a seed.

For what runs in one thread without sockets: with nothing to do but wait, the clock jumps to the
next timer. Where no timer is left either, everybody would wait for ever: that is an error here.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: tells how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self.jumped_s += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on that selector."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the seconds that were jumped over."""
        return self._jumping.jumped_s


def run_in_virtual_time(main: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run a coroutine function to its end; `anyio.current_time` is the virtual clock."""
    return anyio.run(main, *args, backend_options={"loop_factory": VirtualTimeLoop})
