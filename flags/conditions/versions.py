"""Versions as text that sorts as versions do, after GrowthBook's rule."""

import math
from decimal import Decimal

_CORE_PARTS = 3
_WIDTH = 5
_MAX_FIXED_POINT, _MIN_FIXED_POINT = 21, -6


def version_key(version: str | float) -> str:
    """Return a text whose order is the order of versions.

    A leading `v` and what follows a `+` are left out; a release comes after its pre-releases.
    Numbers count as JavaScript writes them, so that 1.10 is version «1.1»: better write strings.
    """
    text = version if isinstance(version, str) else number_text(version)
    # Divergence 5: no pattern, which a version of many `+` and a line break could slow down.
    core = (text or "0").removeprefix("v").partition("+")[0]
    parts = core.replace("-", ".").split(".")
    if len(parts) == _CORE_PARTS:
        parts.append("~")  # after all letters, so that 1.0.0 is later than 1.0.0-rc
    return "-".join(part.rjust(_WIDTH) if part.isdigit() else part for part in parts)


def number_text(number: float) -> str:
    """Return a number as JavaScript writes it.

    Source: ECMAScript, Number::toString.
    """
    try:
        double = float(number)
    except OverflowError:  # an integer beyond all doubles
        double = math.inf if number > 0 else -math.inf
    if math.isnan(double):
        return "NaN"
    sign = "-" if double < 0 else ""
    return sign + ("Infinity" if math.isinf(double) else _finite_text(abs(double)))


def _finite_text(double: float) -> str:
    shortest = Decimal(repr(double))
    point = shortest.adjusted() + 1
    digits = "".join(map(str, shortest.as_tuple().digits)).rstrip("0")
    if not digits:
        return "0"
    if not _MIN_FIXED_POINT < point <= _MAX_FIXED_POINT:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{mantissa}e{point - 1:+d}"
    if point <= 0:
        return "0." + "0" * -point + digits
    digits = digits.ljust(point, "0")
    return digits[:point] + ("." + digits[point:] if len(digits) > point else "")
