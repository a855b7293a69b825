"""The closed sets of label values: what is not named here is counted as «other».

Ids, paths and texts from outside never become a label, so that the number of series is bounded.
"""

from collections.abc import Collection
from http import HTTPStatus

OTHER = "other"

OUTCOMES = ("completed", "failed", "cancelled", "interrupted")
ARMS = ("on", "off")
TOKEN_KINDS = ("input", "output")
USAGE_SOURCES = ("exact", "estimated", "unknown")
ATTACH_RESULTS = ("replay", "follow", "no_content", "reset", "bye", "malformed", "not_found")
RESET_REASONS = ("cursor_lost", "log_expired")
CLOSE_REASONS = ("end", "disconnect", "slow", "bye")
ERROR_CODES = (
    "upstream_error",
    "upstream_unavailable",
    "upstream_rate_limited",
    "upstream_refused",
    "upstream_timeout",
    "upstream_truncated",
    "upstream_protocol",
    "upstream_reported",
    "upstream_filtered",
    "history_unavailable",
    "content_blocked",
    "moderation_unavailable",
    "internal_error",
    "turn_interrupted",
)
"""Codes of a turn's end; those of the token source are its errors' (a test holds the two equal)."""

SOURCES = ("primary", "fallback", "offline")
"""Places of the token sources; «offline» is the offline model as a last resort."""

SOURCE_CODES = tuple(code for code in ERROR_CODES if code.startswith("upstream_"))
CALL_ENDS = ("finished", "left", *SOURCE_CODES)
CONTINUE_CAUSES = ("upstream", "fallback", "worker_lost")
HISTORY_OPERATIONS = ("request", "checkpoint", "end", "seal")
CACHES = ("tts",)
SPEECH_ENGINES = ("google", "espeak", "off", "none")
"""«none»: a unit that no engine spoke."""

SPEECH_CODES = (
    "speech_unavailable",
    "speech_timeout",
    "speech_refused",
    "speech_too_long",
    "speech_budget_spent",
    "speech_off",
    "speech_error",
)
"""Codes of the speech errors (a test holds the two equal)."""

UNIT_OUTCOMES = ("spoken", "not_requested", *SPEECH_CODES)
CALL_OUTCOMES = ("spoken", "cancelled", *SPEECH_CODES)
PAGE_GAPS = ("p50", "p95", "max")
FIRST_TOKEN_PARTS = ("planning", "connect", "upstream", "flush")
LIMITS = (
    "api",
    "auth",
    "messages",
    "attach",
    "speech",
    "signals",
    "live_turns",
    "readers",
    "tokens",
    "speech_seconds",
)
"""What refuses: tiers of calls, places, budgets."""
DUPLICATES = ("join", "append")
"""«join»: text that a continued answer repeated; «append»: entries that Redis had already."""

DEPENDENCIES = ("history", "redis", "model")
ROLLOUT_ACTIONS = (
    "start",
    "promote",
    "hold",
    "release",
    "roll_back",
    "complete",
    "pause",
    "resume",
    "approve",
)
ROLLOUT_STATES = (
    "idle",
    "running",
    "hold",
    "final_bake",
    "completed",
    "rolled_back",
    "paused",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

MAX_ROUTES = 64
"""Route templates that get a series of their own; the service has about half as many."""

MAX_ROUTE_CHARS = 100


def known(value: str, allowed: Collection[str]) -> str:
    """Return the value where it is in the closed set, else «other»."""
    return value if value in allowed else OTHER


def arm(*, streaming: bool) -> str:
    """Return the arm of the rollout: whether the flag `streaming` was on for the turn."""
    return "on" if streaming else "off"


def status_label(status: int) -> str:
    """Return an HTTP status that exists as text, else «other»."""
    try:
        return str(HTTPStatus(status).value)
    except ValueError:
        return OTHER


def status_class(status: int) -> str:
    """Return `2xx` and the like, else «other»."""
    return f"{status // 100}xx" if status_label(status) != OTHER else OTHER


class RouteLabels:
    """Route templates, learnt as they are met: the router's are few, and only so many are kept."""

    def __init__(self) -> None:
        self._routes: set[str] = set()

    def label(self, route: str) -> str:
        """Return the template where it has a series, else «other»."""
        if route in self._routes:
            return route
        if len(self._routes) >= MAX_ROUTES or not route or len(route) > MAX_ROUTE_CHARS:
            return OTHER
        self._routes.add(route)
        return route
