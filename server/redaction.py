"""What a line of the log must not hold: secrets, and characters that would make it two lines.

Nothing of ours logs a secret; this is for what libraries say, and for mistakes to come.
Source: OWASP ASVS 5, V16.2.5 and V16.4.1.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from server.settings import Settings

HIDDEN = "[hidden]"
MIN_HIDDEN_CHARS = 8
"""Shorter ones are words: hiding `test` wherever it stands would hide the log."""
SECRET_FIELDS = frozenset(
    {
        "access_token",
        "api_key",
        "authorization",
        "cookie",
        "id_token",
        "password",
        "refresh_token",
        "secret",
        "set-cookie",
        "token",
    }
)
_DEPTH = 6
_SHAPES = (
    r"eyJ[\w-]{4,}\.[\w-]+\.[\w-]*",  # a JWT
    r"\b(?:ck|rt)_[\w-]{20,}",  # our API keys and refresh tokens
    r"(?i:bearer) +[^\s'\"]+",
    r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",  # user and password of an address
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LONG_FIELDS = frozenset({"exception", "stack"})


def secrets_of(settings: Settings) -> frozenset[str]:
    """Return all secrets that the settings hold, and the passwords in their addresses."""
    given = (value for _, value in settings if isinstance(value, SecretStr))
    found: set[str] = set()
    for secret in given:
        whole = secret.get_secret_value()
        found |= {whole, *(part.strip() for part in whole.split(",")), *_passwords(whole)}
    return frozenset(each for each in found if len(each) >= MIN_HIDDEN_CHARS)


def _passwords(address: str) -> Iterable[str]:
    try:
        password = urlsplit(address).password if "://" in address else None
    except ValueError:
        return ()
    return () if password is None else (password, unquote(password))


def hiding(secrets: Iterable[str]) -> Processor:
    """Return a processor that puts `HIDDEN` in the place of secrets, wherever they stand."""
    known = map(re.escape, sorted(secrets, key=len, reverse=True))
    pattern = re.compile("|".join([*known, *_SHAPES]))

    def hide(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for name, value in event.items():
            is_secret = name.lower() in SECRET_FIELDS
            event[name] = (
                HIDDEN if is_secret else _changed(value, lambda text: pattern.sub(HIDDEN, text))
            )
        return event

    return hide


def one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what would begin another line, or colour this one; stacks are indented instead."""
    for name, value in event.items():
        if name in _LONG_FIELDS and isinstance(value, str):
            event[name] = "\n    ".join(map(_escaped, value.split("\n")))
        else:
            event[name] = _changed(value, _escaped)
    return event


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _changed(value: object, change: Callable[[str], str], depth: int = _DEPTH) -> object:
    """Return a value with all text in it changed; what is nested too deeply is left out."""
    if isinstance(value, str):
        return change(value)
    if depth == 0:
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            name: HIDDEN
            if str(name).lower() in SECRET_FIELDS
            else _changed(each, change, depth - 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_changed(each, change, depth - 1) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return change(str(value))
