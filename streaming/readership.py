"""Who reads each turn, here and on other workers: what nobody reads is abandoned, and not spoken.

Readers here are counted. Of readers elsewhere a holder is told again and again by the workers that
have them, and what it is told lapses: a worker that dies leaves no reader behind.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import anyio

from streaming.errors import LogUnavailableError
from streaming.event_log.base import EventLog, Leases
from streaming.turn import Cancelled, LiveTurn

TELL_EVERY_S = 3.0
READ_FOR_S = 10.0
"""What is told is good for so long. Three tellings fit into it: one may be lost, one late."""

_AGAIN_S = 0.25


@dataclass(eq=False, slots=True)
class _Watched:
    """A turn that runs here; read elsewhere until then, as far as is known."""

    turn: LiveTurn
    is_read: bool = False
    elsewhere_until: float = 0.0
    lapse: asyncio.TimerHandle | None = None
    abandonment: asyncio.TimerHandle | None = None

    def stop_clocks(self) -> None:
        """Stop both clocks: else the loop would keep the turn and its log alive."""
        for clock in (self.lapse, self.abandonment):
            if clock is not None:
                clock.cancel()
        self.lapse = self.abandonment = None


class Readership:
    """The readers of turns. Bounds: one entry for each turn that runs or is read here.

    Args:
        event_log: While it is down nobody knows who reads elsewhere.
        leases: Where other workers are told of readers here, and tell of theirs.
        abandon_after_s: Seconds without any reader before a turn is cancelled; 0: never.
    """

    def __init__(
        self, *, event_log: EventLog, leases: Leases | None, abandon_after_s: float
    ) -> None:
        self._event_log = event_log
        self._leases = leases
        self._abandon_after_s = abandon_after_s
        self._readers: dict[str, int] = {}
        self._watched: dict[str, _Watched] = {}
        self._abroad: set[str] = set()
        self._told: set[str] = set()
        self._untold: set[str] = set()
        self._due = asyncio.Event()

    # Who reads here.

    def joined(self, turn_id: str, *, elsewhere: bool = False) -> None:
        """Count a reader.

        Args:
            turn_id: What is read.
            elsewhere: Whether a worker that may run the turn is to be told, where it is not here.
        """
        self._readers[turn_id] = self._readers.get(turn_id, 0) + 1
        if (watched := self._watched.get(turn_id)) is not None:
            self._look(watched)
        elif elsewhere and self._leases is not None and turn_id not in self._abroad:
            self._abroad.add(turn_id)
            self._note(turn_id)

    def left(self, turn_id: str) -> None:
        """Count a reader out; the last one starts the clock of abandonment."""
        self._readers[turn_id] -= 1
        if self._readers[turn_id] > 0:
            return
        del self._readers[turn_id]
        if (watched := self._watched.get(turn_id)) is not None:
            self._look(watched)
        else:
            self._come_home(turn_id)

    # The turns that run here.

    def watch(self, turn: LiveTurn) -> None:
        """Look after a turn that runs here from now on; it may have readers already."""
        turn_id = turn.spec.turn_id
        watched = self._watched[turn_id] = _Watched(turn)
        self._start_abandonment(watched)
        self._look(watched)
        self._come_home(turn_id)

    def forget(self, turn: LiveTurn) -> None:
        """Look after a turn no longer: it has ended, or is another worker's."""
        self._watched.pop(turn.spec.turn_id).stop_clocks()

    def read_elsewhere(self, turn_id: str, for_s: float) -> None:
        """Take a turn as read elsewhere for so many seconds from now on; 0: not any more."""
        watched = self._watched.get(turn_id)
        if watched is None:
            return
        watched.elsewhere_until = monotonic() + for_s
        if for_s > 0 and watched.lapse is None:
            watched.lapse = _later(for_s, self._lapse, watched)
        elif for_s <= 0 and watched.lapse is not None:
            watched.lapse.cancel()
            watched.lapse = None
        self._look(watched)

    # What other workers are told.

    async def run(self) -> None:
        """Tell the holders of turns elsewhere which of them are read here, until cancelled."""
        again_at = monotonic()
        while True:
            with anyio.move_on_after(again_at - monotonic()):
                await self._due.wait()
            self._due.clear()
            if monotonic() >= again_at:
                again_at = monotonic() + TELL_EVERY_S
                self._untold |= self._abroad
            await self._tell()

    async def _tell(self) -> None:
        turns, self._untold = self._untold, set()
        read, gone = turns & self._abroad, (turns & self._told) - self._abroad
        if self._leases is None or not (read or gone):
            return
        self._told = (self._told | read) - gone
        try:
            await self._leases.tell_readers(read=read, left=gone, for_s=READ_FOR_S)
        except LogUnavailableError:  # who has left is forgotten there, too, after a while
            self._untold |= read
            self._due.set()
            await anyio.sleep(_AGAIN_S)

    def _note(self, turn_id: str) -> None:
        self._untold.add(turn_id)
        self._due.set()

    def _come_home(self, turn_id: str) -> None:
        if turn_id in self._abroad:
            self._abroad.discard(turn_id)
            self._note(turn_id)

    # The clocks.

    def _look(self, watched: _Watched) -> None:
        """Note whether anybody reads a turn, and tell its speech where that has changed."""
        turn = watched.turn
        is_here = turn.spec.turn_id in self._readers
        is_read = is_here or watched.elsewhere_until > monotonic()
        if is_read is watched.is_read:
            return
        watched.is_read = is_read
        self._start_abandonment(watched)
        if turn.speech is not None:
            turn.speech.reader_joined() if is_read else turn.speech.reader_left()

    def _lapse(self, watched: _Watched) -> None:
        if self._event_log.is_down:  # nobody can tell
            watched.elsewhere_until = monotonic() + READ_FOR_S
        left_s = watched.elsewhere_until - monotonic()
        watched.lapse = _later(left_s, self._lapse, watched) if left_s > 0 else None
        self._look(watched)

    def _start_abandonment(self, watched: _Watched) -> None:
        if watched.abandonment is not None:
            watched.abandonment.cancel()
            watched.abandonment = None
        if self._abandon_after_s > 0 and not watched.is_read:
            watched.abandonment = _later(self._abandon_after_s, self._abandon, watched)

    def _abandon(self, watched: _Watched) -> None:
        if self._event_log.is_down:  # nobody can tell
            self._start_abandonment(watched)
            return
        watched.turn.stop(Cancelled("abandoned"))


def _later(
    delay_s: float, call: Callable[[_Watched], None], watched: _Watched
) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay_s, call, watched)
