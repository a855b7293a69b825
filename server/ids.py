"""Ids: short, ASCII, time-ordered (48 bits of milliseconds, 64 random bits), with a prefix.

An id is not a secret: every route checks its owner. Time order keeps indexes and lists compact.
"""

import secrets
import time
from base64 import b32hexencode

_BYTES = 14


def new_id(prefix: str) -> str:
    """Return `<prefix>_<23 characters of a-v0-9>`; sorts by time within a prefix."""
    raw = time.time_ns() // 1_000_000
    value = raw.to_bytes(6, "big") + secrets.token_bytes(_BYTES - 6)
    return f"{prefix}_{b32hexencode(value).decode('ascii').rstrip('=').lower()}"
