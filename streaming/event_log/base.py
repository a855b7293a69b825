"""The seam: one turn's ordered events, appended by one holder, read by anyone.

Appending never waits: the first token must not wait for storage. A shared log writes behind and
keeps the order. Readers hold a cursor, not a queue: a slow reader costs nothing but its cursor.
"""

from enum import Enum
from typing import Protocol

from streaming.cursor import Cursor
from streaming.events import Event


class Wake(Enum):
    """Why a waiting reader was woken."""

    ENTRY = "entry"
    IDLE = "idle"
    LEAVE = "leave"


class EventReader(Protocol):
    """A cursor into one log. Not shared between readers; holds no entries of its own."""

    @property
    def cursor(self) -> Cursor:
        """The last entry taken."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether the terminal entry has been taken: nothing will ever follow."""
        ...

    def take(self, max_bytes: int) -> bytes:
        """Return the frames after the cursor, whole and in order, and move the cursor past them.

        At least one frame if there is any, else as many as fit into `max_bytes`; empty if none.
        """
        ...

    async def wait(self) -> Wake:
        """Return ENTRY as soon as there is something to take, or what `wake` said, if sooner."""
        ...

    def wake(self, why: Wake) -> None:
        """Make a pending `wait` return `why`; LEAVE is kept for the next one if none is pending.

        An entry or LEAVE goes before IDLE.
        """
        ...

    def close(self) -> None:
        """Forget this reader; safe to call twice."""
        ...


class EventWriter(Protocol):
    """The one place where a turn's events get their number."""

    @property
    def cursor(self) -> Cursor:
        """Epoch held, and the last seq given out."""
        ...

    def append(self, event: Event) -> int:
        """Give the event the next seq, encode its frame once, show it to readers; return the seq.

        Never waits. After a terminal event nothing may be appended.
        """
        ...

    def close(self) -> None:
        """Give the log back: from now on it only expires."""
        ...


class EventLog(Protocol):
    """All logs that this process can reach."""

    def create(self, turn_id: str) -> EventWriter:
        """Begin a turn's log in epoch 1 and become its holder."""
        ...

    def attach(self, turn_id: str, cursor: Cursor) -> EventReader:
        """Return a reader that starts after the cursor.

        Replay and live are joined without gap or repeat.

        Raises:
            LogNotFoundError: no log is held for the turn: it expired or was never here.
            CursorLostError: the cursor's entry is not held, or was not written in its epoch.
        """
        ...

    def expire(self) -> None:
        """Drop logs that ended longer ago than the replay window; called about once a minute."""
        ...
