"""Where a unit falls: a stable number from a flag's key, its salt and the unit's id.

The LaunchDarkly form of the hash that PostHog uses too, so that two vendors' published vectors
prove it. Raising a percentage never removes a unit. SHA-1 spreads here, it protects nothing.

Source: LaunchDarkly python-server-sdk, `evaluator_bucketing`; launchdarkly/sdk-test-harness.
"""

import hashlib

BUCKETS = 100_000
"""Steps of 0.001 %: the finest share that can be asked for."""

_STEPS_PER_PERCENT = BUCKETS // 100
_HEX_DIGITS = 15
_MAX_HASH = (1 << 4 * _HEX_DIGITS) - 1


def bucket(key: str, salt: str, unit: str) -> int:
    """Return the unit's bucket for a flag, 0..99999; always the same for the same strings.

    Args:
        key: The flag's key, of `[a-z0-9_-]`, so that the separator is unambiguous.
        salt: Changing it deals all units anew.
        unit: Any string at all; ids that are not valid Unicode are hashed too.
    """
    return bucket_of(f"{key}.{salt}.{unit}")


def bucket_of(text: str) -> int:
    """Return the bucket of one string: the primitive that the published vectors speak of."""
    # Lone surrogates (a client's broken id) must land somewhere instead of failing a turn.
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return _scale(int(digest[:_HEX_DIGITS], 16))


def _scale(hash60: int) -> int:
    # The top hash value alone maps to BUCKETS itself: it belongs to the last bucket.
    return min(hash60 * BUCKETS // _MAX_HASH, BUCKETS - 1)


def includes(percentage: float, key: str, salt: str, unit: str) -> bool:
    """Say whether the unit is among the given share, in steps of 0.001 %.

    0 (or less, or not a number) includes nobody and 100 (or more) everybody, without hashing.
    Whoever is included at a percentage is included at every higher one.
    """
    if not percentage > 0:
        return False
    if percentage >= 100:  # noqa: PLR2004 - per cent
        return True
    return bucket(key, salt, unit) < round(percentage * _STEPS_PER_PERCENT)
