"""A thread with an event loop of its own, for those whose application has none to give."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Thread, current_thread
from threading import enumerate as all_threads

import anyio


class Worker:
    """Runs one coroutine function on a daemon thread until it is stopped.

    Args:
        main: What runs; it is cancelled to stop it.
        name: The thread's.
    """

    def __init__(self, main: Callable[[], Awaitable[None]], *, name: str) -> None:
        self._main = main
        self._thread = Thread(target=self._begin, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scope: anyio.CancelScope | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Cancel what runs, wait for the thread, and tell whether it has ended in time."""
        self._is_stopping = True
        self._cancel()
        if self._thread is not current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _cancel(self) -> None:
        loop, scope = self._loop, self._scope
        if loop is None or scope is None:
            return
        try:
            loop.call_soon_threadsafe(scope.cancel)
        except RuntimeError:
            return  # the loop is closed: it has ended by itself

    def _begin(self) -> None:
        anyio.run(self._run)
        # AnyIO tells the threads that it reads files on to end, and does not wait for them.
        for helper in all_threads():
            if getattr(helper, "loop", None) is self._loop:
                helper.join()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        with anyio.CancelScope() as self._scope:
            # Whoever stopped it before there was a scope could not cancel.
            if not self._is_stopping:
                await self._main()
