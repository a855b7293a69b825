"""How many event streams one may have open at once: of one turn, and of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from weakref import finalize

from server.limits.base import Pool, Taken
from server.limits.refusals import Refusals
from server.limits.shared import HeldPlaces
from server.limits.subjects import Subject


@dataclass(frozen=True, slots=True)
class StreamBounds:
    """Event streams of one user, or guest, and of one turn. 0: any number."""

    owner: int = 0
    turn: int = 0


class Seat:
    """The place of one event stream; `leave` is to be called when it ends, or never began."""

    def __init__(self, places: HeldPlaces, taken: Sequence[tuple[str, str]]) -> None:
        self.is_used = False
        self._places = places
        self._taken = list(taken)

    def keep_for(self, answer: object) -> None:
        """Leave the seat when the stream does, or when its answer is never sent."""
        self.is_used = True
        if self._taken:
            finalize(answer, self.leave).atexit = False

    def leave(self) -> None:
        """Free the place; a second time nothing happens."""
        while self._taken:
            self._places.give_back(*self._taken.pop())


class StreamLimits:
    """Gives event streams their places.

    Args:
        places: Of open streams.
        bounds: How many.
        refusals: Told of refusals.
        worker_id: Names this process's streams.
    """

    def __init__(
        self,
        places: HeldPlaces,
        bounds: StreamBounds,
        *,
        refusals: Refusals,
        worker_id: str,
    ) -> None:
        self.bounds = bounds
        self._places = places
        self._refusals = refusals
        self._worker_id = worker_id
        self._numbers = count(1)

    async def seat(self, subjects: Sequence[Subject], turn_id: str) -> Seat | float:
        """Return a place for one more reader of a turn, or the seconds after which to come back."""
        taken: list[tuple[str, str]] = []
        seat = Seat(self._places, ())
        try:
            for subject in subjects:
                pool, member = self._pool(subject, turn_id)
                if not pool.limit and not pool.group_limit:
                    continue
                if await self._places.take(pool, member) is not Taken.TAKEN:
                    return self._refusals.note("readers", subject.name)
                taken.append((pool.key, member))
            seat = Seat(self._places, taken)
            taken = []
        finally:
            Seat(self._places, taken).leave()
        return seat

    async def open_streams(self, subject: Subject) -> int:
        """Return how many streams are open."""
        return await self._places.count(subject.key("readers"))

    def _pool(self, subject: Subject, turn_id: str) -> tuple[Pool, str]:
        group = f"{turn_id} "
        limit = self.bounds.owner * subject.share
        # A turn's readers are all its owner's: at an address they are counted already.
        group_limit = self.bounds.turn if subject.share == 1 else 0
        pool = Pool(subject.key("readers"), limit, group, group_limit)
        return pool, f"{group}{self._worker_id} {next(self._numbers)}"
