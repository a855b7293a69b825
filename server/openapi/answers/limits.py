"""What a caller may still ask for."""

from server.openapi.answer import Told


class RateLeft(Told):
    """Calls of a kind; `reset_s` is when the oldest that counts no longer does."""

    limit: int
    window_s: int
    remaining: int
    reset_s: float


class PlacesLeft(Told):
    """How many there are now, of how many there may be; null: any number."""

    used: int
    limit: int | None


class BudgetLeft(Told):
    """What is spent of a day's, in tokens or seconds; null: no limit."""

    spent: float
    limit: int | None


class LimitsLeft(Told):
    """What the caller may still ask for; kinds that are not limited are left out of `rates`."""

    rates: dict[str, RateLeft]
    live_turns: PlacesLeft
    readers: PlacesLeft
    tokens: BudgetLeft
    speech_s: BudgetLeft
    resets_in_s: int
