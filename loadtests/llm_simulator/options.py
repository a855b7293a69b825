"""How one answer is played: the defaults of the command line, changed by the model's name.

A model name is `sim`, `sim:tokens=500,rate=100` or `fault:<name>[:option=value,…]`. Every other
name (`gpt-4o-mini`) is served with the defaults, so that a client needs no configuration.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

_MAX_SECONDS = 3_600.0
_MAX_COUNT = 100_000
_MAX_SIZE_BYTES = 256 << 20
_MAX_HEADER = 100

CONTINUES = ("asked", "exact", "bare", "words", "sentence", "line", "chatter", "again", "anew")


class ModelNameError(ValueError):
    """A model name has an option that is unknown or out of range; the text says which."""


@dataclass(frozen=True, slots=True)
class Options:
    """Pacing and content of an answer."""

    tokens: int = 200
    rate: float = 40.0  # tokens per second; 0 sends as fast as the client reads
    ttft_s: float = 0.35
    seed: int = 1
    after: int = 3  # tokens sent before a fault inside the stream
    times: int = 0  # requests that meet the fault before it heals; 0: all of them
    every_s: float = 5.0  # gap between bytes of `slowloris`
    size_bytes: int = 0  # of `huge-chunk` and `endless-line`; 0: their own default
    retry_after: str = "1"  # the header of `rate-limit`, verbatim
    first: int = 0  # 1: a request that goes on with an answer does not meet the fault
    continues: str = "asked"  # how it goes on with an answer: one of `CONTINUES`
    repeats: int = 3  # words said again with `continues=words`
    mark: int = 0  # 1: every token ends in `~`, countable in any wire format

    @property
    def gap_s(self) -> float:
        """Seconds between two tokens."""
        return 1.0 / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """What a model name asks for."""

    name: str
    fault: str | None
    options: Options


@lru_cache(maxsize=1024)
def parse_model(name: str, defaults: Options) -> Model:
    """Read a model name.

    Raises:
        ModelNameError: An option is unknown, malformed or out of range; answer 400 with its text.
    """
    kind, _, rest = name.partition(":")
    if kind == "fault":
        fault, _, rest = rest.partition(":")
        return Model(name, fault, _changed(defaults, rest))
    return Model(name, None, _changed(defaults, rest) if kind == "sim" else defaults)


def _changed(options: Options, spec: str) -> Options:
    changes: dict[str, Any] = {}
    for setting in filter(None, spec.split(",")):
        key, _, value = setting.partition("=")
        if key not in _READERS:
            raise ModelNameError(f"unknown option {key!r}; known: {', '.join(sorted(_READERS))}")
        field, read = _READERS[key]
        try:
            changes[field] = read(value)
        except ValueError:
            raise ModelNameError(f"option {key}={value} is malformed or out of range") from None
    return replace(options, **changes)


def _whole(limit: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from 0 to `limit`."""
    return lambda value: int(_within(int(value), limit))


def _real(limit: float) -> Callable[[str], float]:
    """Return a reader of numbers from 0 to `limit`."""
    return lambda value: _within(float(value), limit)


def _within(number: float, limit: float) -> float:
    if not 0 <= number <= limit:  # refuses NaN as well
        raise ValueError(number)
    return number


def _header(value: str) -> str:
    if not value.isascii() or not value.isprintable() or len(value) > _MAX_HEADER:
        raise ValueError(value)
    return value


def _one_of(values: tuple[str, ...]) -> Callable[[str], str]:
    """Return a reader of one of some words."""
    return lambda value: values[values.index(value)]


_READERS: dict[str, tuple[str, Callable[[str], int | float | str]]] = {
    "tokens": ("tokens", _whole(_MAX_COUNT)),
    "rate": ("rate", _real(_MAX_COUNT)),
    "ttft": ("ttft_s", _real(_MAX_SECONDS)),
    "seed": ("seed", int),
    "after": ("after", _whole(_MAX_COUNT)),
    "times": ("times", _whole(_MAX_COUNT)),
    "every": ("every_s", _real(_MAX_SECONDS)),
    "bytes": ("size_bytes", _whole(_MAX_SIZE_BYTES)),
    "first": ("first", _whole(1)),
    "continues": ("continues", _one_of(CONTINUES)),
    "repeats": ("repeats", _whole(_MAX_COUNT)),
    "mark": ("mark", _whole(1)),
    "retry_after": ("retry_after", _header),
}
