"""Where a unit falls: a stable number from a flag's key, its salt and the unit's id.

The LaunchDarkly form of the hash that PostHog uses too, so that two vendors' published vectors
prove it. Raising a percentage never removes a unit. SHA-1 spreads here, it protects nothing.

Who decides often compares `hash60` of the text with the `threshold` of a percentage, made once per
definition; that answers as `includes` does, for less.

Source: LaunchDarkly python-server-sdk, `evaluator_bucketing`; launchdarkly/sdk-test-harness.
"""

import hashlib
import struct

BUCKETS = 100_000
"""Steps of 0.001 %: the finest share that can be asked for."""

_STEPS_PER_PERCENT = BUCKETS // 100
_MAX_HASH = (1 << 60) - 1
_FIRST_64_BITS = struct.Struct(">Q")


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
    return _scale(hash60(text))


def hash60(text: str) -> int:
    """Return the first 60 bits of the string's SHA-1, to be compared with a `threshold`."""
    # Lone surrogates (a client's broken id) must land somewhere instead of failing a turn.
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    top: int = _FIRST_64_BITS.unpack_from(digest)[0]
    return top >> 4


def _scale(hash60: int) -> int:
    # The top hash value alone maps to BUCKETS itself: it belongs to the last bucket.
    return hash60 * BUCKETS // _MAX_HASH if hash60 < _MAX_HASH else BUCKETS - 1


def step_of(percentage: float) -> int:
    """Return a percentage in whole steps of 0.001 %, 0..100000.

    0 or less, or not a number, is 0; 100 or more is 100000; finer shares go to the nearest step.
    """
    if not percentage > 0:
        return 0
    if percentage >= 100:  # noqa: PLR2004 - per cent
        return BUCKETS
    return round(percentage * _STEPS_PER_PERCENT)


def threshold(percentage: float) -> int:
    """Return the first hash that the percentage leaves out: in is who has `hash60 < threshold`.

    0 for nobody, above every hash for everybody; it never falls when the percentage rises.
    """
    return threshold_of_step(step_of(percentage))


def threshold_of_step(step: int) -> int:
    """Return the first hash whose bucket is not below the step (0..100000), as `threshold` does."""
    # Rounded up: rounded down, the last hash of the bucket below would be left out. The top hash
    # is in the last bucket (see _scale), so that the last step has to admit it too.
    return -(-step * _MAX_HASH // BUCKETS) if step < BUCKETS else _MAX_HASH + 1


def includes(percentage: float, key: str, salt: str, unit: str) -> bool:
    """Say whether the unit is among the given share, in steps of 0.001 %.

    0 (or less, or not a number) includes nobody and 100 (or more) everybody, without hashing.
    Whoever is included at a percentage is included at every higher one.
    """
    step = step_of(percentage)
    if not 0 < step < BUCKETS:
        return step > 0
    return bucket(key, salt, unit) < step
