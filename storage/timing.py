"""How long calls take and whether they hold: told to whoever watches a store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol


class OnCall(Protocol):
    """Told of each call that ended by itself; must neither wait nor raise."""

    def __call__(self, seconds: float, *, is_ok: bool) -> None:
        """A call took so long, and the store served it or not."""
        ...


@contextmanager
def timed(on_call: OnCall | None, is_fault: Callable[[Exception], bool]) -> Iterator[None]:
    """Tell how long the block took; nothing where it was cancelled.

    Args:
        on_call: Told, if there is anybody.
        is_fault: Whether an error says that the store did not serve the call.
    """
    if on_call is None:
        yield
        return
    began_at = monotonic()
    try:
        yield
    except Exception as error:
        on_call(monotonic() - began_at, is_ok=not is_fault(error))
        raise
    on_call(monotonic() - began_at, is_ok=True)
