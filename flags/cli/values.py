"""What stands on the command line, as values. Pure.

Every function raises argparse.ArgumentTypeError with the end of a sentence about what was given.
"""

import json
import math
import re
from argparse import ArgumentTypeError
from typing import NoReturn

MAX_WHY_CHARS = 500

_MAX_VERSION = 2**53 - 1
_MAX_EVERY_S = 7 * 86_400.0
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%?")
_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_CREDENTIALS = re.compile(r"://\S*@")
_JSON_BEGINS = tuple('{["')


def text(given: str) -> str:
    """Return what is valid Unicode, as keys, units and reasons have to be."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError("is not valid UTF-8") from None
    return given


def why(given: str) -> str:
    """Return a reason for the audit."""
    if len(given) > MAX_WHY_CHARS:
        raise ArgumentTypeError(f"takes at most {MAX_WHY_CHARS} characters")
    return text(given)


def percentage(given: str) -> float:
    """Return a share of the units, as in `5`, `0.125` or `5%`."""
    match = _PERCENTAGE.fullmatch(given)
    if match is None or float(match[1]) > 100:  # noqa: PLR2004  # per cent
        raise ArgumentTypeError(f"{given!r} is not a percentage: 0 to 100, at most 3 decimals")
    return float(match[1])


def steps(given: str) -> tuple[float, ...]:
    """Return the percentages of a ramp, as in `1,5,10`."""
    listed = tuple(percentage(each.strip()) for each in given.split(","))
    if list(listed) != sorted(set(listed)) or listed[0] == 0:
        raise ArgumentTypeError(f"{given!r} must grow from step to step, above 0")
    return listed


def duration_s(given: str) -> float:
    """Return seconds of a duration, as in `30s`, `10m`, `1.5h` or `1d`."""
    match = _DURATION.fullmatch(given)
    if match is None:
        raise ArgumentTypeError(f"{given!r} is not a duration such as 30s, 10m, 1.5h or 1d")
    duration = float(match[1]) * _SECONDS[match[2]]
    if not 0 < duration <= _MAX_EVERY_S:
        raise ArgumentTypeError(f"{given!r} must be above 0 and at most 7d")
    return duration


def count(given: str) -> int:
    """Return a number of things, 1 to 10000."""
    number = _whole(given)
    if not 1 <= number <= 10_000:  # noqa: PLR2004  # as many changes as a store keeps
        raise ArgumentTypeError(f"{given!r} is not a number from 1 to 10000")
    return number


def version(given: str) -> int:
    """Return a version; 0 stands for what does not exist."""
    return _whole(given)


def attribute(given: str) -> tuple[str, object]:
    """Return an attribute's name and JSON value; a bare word is a string: `country=CH`."""
    name, separator, value = text(given).partition("=")
    if not separator or not name:
        raise ArgumentTypeError(f"{given!r} is not name=json, such as age=30 or country=CH")
    try:
        return name, json.loads(value, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        if value.startswith(_JSON_BEGINS):
            raise ArgumentTypeError(f"the value of {name!r} is not valid JSON") from None
        return name, value


def without_credentials(said: str) -> str:
    """Return a text without what stands before the host of any address in it."""
    return _CREDENTIALS.sub("://***@", said)


def _whole(given: str) -> int:
    if not (given.isascii() and given.isdigit()) or int(given[:20]) > _MAX_VERSION:
        raise ArgumentTypeError(f"{given!r} is not a whole number from 0")
    return int(given)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(number)
    return value
