"""Single flight: who wants what is just being made waits for it instead of making it again."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from streaming.speech.errors import SpeechError, SpeechTimeoutError

T = TypeVar("T")


class _Flight(Generic[T]):
    """One making under way. Ended with neither result nor error, whoever waits may take over."""

    __slots__ = ("ended", "error", "result")

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.result: T | None = None
        self.error: SpeechError | None = None


class Flights(Generic[T]):
    """At most one making for each key at a time, each in the task of the caller that began it.

    Nobody is cancelled or kept waiting by another caller's cancellation: if the maker leaves, or
    fails in a way that another try may mend, one of those who wait makes it anew. There is a flight
    only while a caller is in it, so that flights are bounded by callers.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def fly(
        self, key: str, make: Callable[[], Awaitable[T]], *, deadline: float
    ) -> tuple[T, bool]:
        """Return what `make` returns, and whether it was made for another caller.

        Args:
            key: What is made.
            make: Makes it, within bounds of its own; never returns None.
            deadline: Event loop time until which another's making is waited for.

        Raises:
            SpeechTimeoutError: another's making had not ended by then.
            SpeechError: of the making; for all who wait where it is not retryable.
        """
        while (flight := self._flights.get(key)) is not None:
            with anyio.CancelScope(deadline=deadline):
                await flight.ended.wait()
            if flight.result is not None:
                return flight.result, True
            if flight.error is not None:
                raise flight.error
            if not flight.ended.is_set():
                raise SpeechTimeoutError("It was not made in time for another caller either.")
        return await self._lead(key, make), False

    async def _lead(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        flight = self._flights[key] = _Flight[T]()
        try:
            flight.result = result = await make()
        except SpeechError as error:
            flight.error = None if error.retryable else error
            raise
        finally:
            # Invariant: in one step with the end, so that nobody joins a flight that is over.
            del self._flights[key]
            flight.ended.set()
        return result
