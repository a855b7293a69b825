"""The seam: one turn's ordered events, appended by one holder, read by anyone.

Appending never waits: the first token must not wait for storage. A shared log writes behind and
keeps the order. Readers hold a cursor, not a queue: a slow reader costs nothing but its cursor.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from streaming.cursor import Cursor
from streaming.events import Event

OVERDUE_AT_ONCE = 100
"""So many overdue turns are named at once, at the most."""


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

    def offer_to(self, takes: Callable[[bytes], bool]) -> None:
        """Offer each entry that comes while a `wait` is pending to `takes`, before it is woken.

        What it takes (True) the cursor has moved past, and the `wait` goes on. A log may leave it
        at waking, and the terminal entry always wakes.
        """
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

    def holds(self, cursor: Cursor) -> bool:
        """Whether the cursor's entry is in the log, and was written in the cursor's epoch."""
        ...

    def append(self, event: Event) -> int:
        """Give the event the next seq, encode its frame once, show it to readers; return the seq.

        Never waits. After a terminal event nothing may be appended.
        """
        ...

    def close(self) -> None:
        """Give the log back: from now on it only expires."""
        ...

    def abandon(self) -> None:
        """Leave the log to its new holder: readers here are asked to leave, and come back to it."""
        ...


class HeldLog(Protocol):
    """A log's entries, from seq `base` + 1 on; read them before the next await."""

    @property
    def base(self) -> int:
        """Entries before this one are not held."""
        ...

    @property
    def frames(self) -> Sequence[bytes]:
        """The entries' frames."""
        ...

    @property
    def before_end(self) -> Cursor | None:
        """The last entry that is not terminal, and its epoch; None: none such is held."""
        ...


class EventLog(Protocol):
    """All logs that this process can reach."""

    def create(self, turn_id: str, on_lost: Callable[[], None] | None = None) -> EventWriter:
        """Begin a turn's log in epoch 1 and become its holder.

        `on_lost` is called, once, where another process has become the holder: stop writing, and
        `abandon` the log.
        """
        ...

    async def reach(self, turn_id: str, cursor: Cursor, *, is_running: bool) -> None:
        """Bring a log that another process holds within reach of `attach`.

        While the turn runs it waits a moment for the cursor's entry, which may be on its way here.

        Raises:
            LogNotFoundError: no process holds a log of the turn.
            LogUnavailableError: that cannot be told now.
        """
        ...

    def find(self, turn_id: str) -> HeldLog | None:
        """Return what is held of a log, here and now: the basis of a reset."""
        ...

    def attach(self, turn_id: str, cursor: Cursor) -> EventReader:
        """Return a reader that starts after the cursor.

        Replay and live are joined without gap or repeat.

        Raises:
            LogNotFoundError: no log is held for the turn: it expired or was never here.
            CursorLostError: the cursor's entry is not held, or was not written in its epoch.
        """
        ...

    @property
    def size_bytes(self) -> int:
        """What the logs that are held in this process's memory take, about."""
        ...

    @property
    def is_down(self) -> bool:
        """Whether what is produced here cannot be shared with other processes now."""
        ...

    async def settle(self) -> None:
        """Wait until all that was written is shared; whoever waits bounds it."""
        ...

    async def run(self) -> None:
        """Share and follow until cancelled."""
        ...

    def expire(self) -> None:
        """Drop logs that ended longer ago than the replay window; called about once a minute."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn that was taken over: go on with `writer`, in an epoch of its own.

    `frames` are the entries from seq `base` + 1 on that the former holders have left; `takeovers`
    counts the times that it was taken over before, from workers that were lost.
    """

    writer: EventWriter
    frames: Sequence[bytes]
    base: int
    takeovers: int


class Leases(Protocol):
    """Who produces a turn, where several processes could: takeovers, and what holders are told."""

    async def overdue(self) -> Sequence[str]:
        """Return turns whose leases have run out, the longest first, at most `OVERDUE_AT_ONCE`.

        Raises:
            LogUnavailableError: it cannot be told now.
        """
        ...

    async def take(
        self, turn_id: str, *, epoch: int, last_seq: int, on_lost: Callable[[], None]
    ) -> Taken | None:
        """Become the holder of a turn that nobody holds; None where somebody does.

        The former holder, should it wake, is refused from now on.

        Args:
            turn_id: The turn.
            epoch: The record's epoch: the new one is above it.
            last_seq: The record's last seq: a log of which nothing is left begins anew after it.
            on_lost: As for `create`.

        Raises:
            LogUnavailableError: try again later.
        """
        ...

    async def unlist(self, turn_id: str) -> None:
        """Name a turn as overdue no more: it has ended."""
        ...

    async def release(self, turn_id: str, epoch: int, *, after_s: float = 0) -> bool:
        """End the lease of a turn held here, now or soon, for another process to take it.

        To take it then counts as no takeover: no worker was lost. False: it may run out by itself.
        """
        ...

    async def tell(self, turn_id: str, command: bytes) -> bool:
        """Leave a command for whoever holds a turn, or comes to hold it; False: nobody does.

        Raises:
            LogUnavailableError: it may have been told.
        """
        ...

    async def tell_readers(
        self, *, read: Collection[str], left: Collection[str], for_s: float
    ) -> None:
        """Tell the holders of turns, whoever they are or will be, which of them are read here.

        Args:
            read: Turns that have readers here; good for `for_s` seconds.
            left: Turns that have none any more.
            for_s: Tell again before that.

        Raises:
            LogUnavailableError: some may have been told.
        """
        ...
