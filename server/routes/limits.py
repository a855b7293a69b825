"""What a caller may still ask for."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.auth.routing import Access, ApiRoute
from server.limits.limits import Limits
from server.limits.subjects import Subject
from server.limits.tiers import Tier
from server.openapi.described import limits as described
from server.wire import Json, services_of

TOLD_TIERS = (Tier.API, Tier.MESSAGES, Tier.ATTACH, Tier.SPEECH, Tier.SIGNALS)


async def tell_limits(request: Request) -> Response:
    """Tell what the caller may still ask for."""
    limits = services_of(request).limits
    subjects = limits.subjects(request)
    answer = await _left(limits, request, subjects[-1] if subjects else None)
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def _left(limits: Limits, request: Request, own: Subject | None) -> Json:
    """Return what is left to one alone; None: whatever they like, nothing is counted."""
    turns, streams, speech = limits.turns, limits.streams, limits.speech
    spent, resets_in_s = (0, 0) if own is None else await turns.spent(own)
    return {
        "rates": await _rates(limits, request),
        "live_turns": {
            "used": 0 if own is None else await turns.live(own),
            "limit": None if own is None else turns.bounds.live or None,
        },
        "readers": {
            "used": 0 if own is None else await streams.open_streams(own),
            "limit": None if own is None else streams.bounds.owner or None,
        },
        "tokens": {
            "spent": spent,
            "limit": None if own is None else turns.bounds.tokens(own) or None,
        },
        "speech_s": {
            "spent": 0 if own is None else await speech.spent_ms(own.name) / 1000,
            "limit": None if own is None else speech.seconds_a_day or None,
        },
        "resets_in_s": resets_in_s,
    }


async def _rates(limits: Limits, request: Request) -> Json:
    told: Json = {}
    for tier in TOLD_TIERS:
        left = await limits.rates.left(request, tier)
        if left is not None:
            told[tier.value] = {
                "limit": left.rate.limit,
                "window_s": left.rate.window_s,
                "remaining": left.remaining,
                "reset_s": round(left.reset_s, 1),
            }
    return told


routes = [
    ApiRoute(
        "/api/v1/limits",
        tell_limits,
        access=Access.OWNER,
        tier=Tier.API,
        doc=described.LIMITS,
    ),
]
