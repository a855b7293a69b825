"""All limits of the process, as its routes use them."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from server.limits.rates import RateLimits
from server.limits.shared import HeldPlaces, SharedBudgets, Sharing
from server.limits.speech import SpeechLimits
from server.limits.streams import StreamLimits
from server.limits.subjects import Census, Subject
from server.limits.turns import TurnLimits


@dataclass(frozen=True, slots=True)
class Limits:
    """What each route may ask.

    Args:
        rates: How often one may call.
        turns: How many turns one may have, and what they may cost.
        streams: How many event streams one may read.
        speech: How much audio one may have made.
        census: Tells whom a request counts for.
        sharing: Whether all workers count together; None: there is only this one.
        places: Renewed while they are held.
        budgets: Settled when turns have ended.
        is_enabled: Whether anything is counted.
    """

    rates: RateLimits
    turns: TurnLimits
    streams: StreamLimits
    speech: SpeechLimits
    census: Census
    sharing: Sharing | None
    places: HeldPlaces
    budgets: SharedBudgets
    is_enabled: bool

    def subjects(self, request: Request) -> Sequence[Subject]:
        """Return whom a request counts for; nobody where nothing is counted."""
        return self.census.subjects(request) if self.is_enabled else ()
