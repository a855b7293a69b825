"""What callers may ask for, as the settings say: counted in Redis, else in this process."""

from contextlib import AsyncExitStack

from metrics.turns import TurnMetrics
from server.limits.addresses import Addresses, networks
from server.limits.base import Budgets, Places, Windows
from server.limits.limits import Limits
from server.limits.memory import MemoryWindows
from server.limits.rates import RateLimits
from server.limits.refusals import Refusals
from server.limits.shared import HeldPlaces, SharedBudgets, SharedWindows, Sharing
from server.limits.speech import SpeechLimits
from server.limits.streams import StreamBounds, StreamLimits
from server.limits.subjects import Census
from server.limits.turns import TurnBounds, TurnLimits
from server.settings import Settings

PATIENCE_S = 0.5
"""What a call may wait to be counted with all workers, at the most: it can be counted here."""


def open_limits(
    settings: Settings,
    stack: AsyncExitStack,
    metrics: TurnMetrics,
    *,
    worker_id: str,
    secret: str,
) -> Limits:
    """Return the limits; a Redis that is down delays no start.

    Args:
        settings: Of the process.
        stack: Gives back what is held, and closes the links.
        metrics: Told of refusals.
        worker_id: Who holds places.
        secret: That workers share: addresses are named by it.
    """
    sharing = Sharing(metrics.refusals.alone)
    windows, together_places, together_budgets = _stores(settings, stack, sharing)
    places = HeldPlaces(sharing, together_places)
    budgets = SharedBudgets(sharing, together_budgets)
    stack.push_async_callback(places.close)
    stack.push_async_callback(budgets.close)
    refusals = Refusals(metrics.refusals)
    is_enabled = settings.rate_limit_enabled
    factor = settings.rate_limit_address_factor
    addresses = Addresses(secret, networks(settings.rate_limit_allow))
    census = Census(addresses, address_factor=factor)
    turns = TurnBounds(
        settings.live_turns_per_user,
        settings.tokens_per_user_per_day,
        settings.guest_tokens_per_day,
    )
    streams = StreamBounds(settings.readers_per_user, settings.readers_per_turn)
    return Limits(
        rates=RateLimits(
            windows, settings.rates if is_enabled else {}, census=census, refusals=refusals
        ),
        turns=TurnLimits(places, budgets, turns, refusals=refusals),
        streams=StreamLimits(places, streams, refusals=refusals, worker_id=worker_id),
        speech=SpeechLimits(
            budgets,
            seconds_a_day=settings.speech_seconds_per_day,
            address_factor=factor,
            refusals=refusals,
        ),
        census=census,
        sharing=None if together_places is None else sharing,
        places=places,
        budgets=budgets,
        is_enabled=is_enabled,
    )


def _stores(
    settings: Settings, stack: AsyncExitStack, sharing: Sharing
) -> tuple[Windows, Places | None, Budgets | None]:
    if settings.redis_url is None:
        return MemoryWindows(), None, None
    from server.limits.redis import RedisBudgets, RedisPlaces, RedisWindows  # noqa: PLC0415  # only what is used
    from storage.redis import RedisConnection  # noqa: PLC0415

    # The address was found good when the event log was opened.
    connection = RedisConnection(
        settings.redis_url.get_secret_value(),
        timeout_s=min(settings.redis_timeout_s, PATIENCE_S),
    )
    stack.push_async_callback(connection.close)
    windows = SharedWindows(sharing, RedisWindows(connection))
    return windows, RedisPlaces(connection), RedisBudgets(connection)
