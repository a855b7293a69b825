"""Which limit counts a request. Each route names one."""

from enum import StrEnum


class Tier(StrEnum):
    """A group of routes that share a limit."""

    API = "api"
    AUTH = "auth"
    """Sign-in and what is beside it: an address, and an account, has few of them."""
    MESSAGES = "messages"
    """Turns that are started: beside the rate, slots and budgets count them."""
    ATTACH = "attach"
    """Event streams: one over its limit is told `bye`, never refused by a status."""
    SPEECH = "speech"
    """Texts to be spoken: each costs an engine's time."""
    SIGNALS = "signals"
    """Small calls that a page makes by itself while an answer is told."""
    OPERATORS = "operators"
    """Operators' own calls; only wrong proofs are counted."""
    NONE = "none"
    """Health and static files."""
