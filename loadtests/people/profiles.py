"""What a run is: read from `profiles.toml`, checked and bounded before anything starts."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PROFILES = Path(__file__).with_name("profiles.toml")

MAX_USERS = 2_000
MAX_DURATION_S = 3_600.0

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CHANCES = (
    "signed_in",
    "event_source",
    "slow",
    "speech",
    "cancel",
    "cut",
    "leave",
    "look",
    "waits_for_204",
)


class ProfileError(ValueError):
    """A profile is not there, or asks for what is not done; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Stage:
    """So many people for so long."""

    for_s: float
    users: int
    spawn_per_s: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How people behave: probabilities of a person or a turn, seconds, and ranges of both."""

    signed_in: float
    event_source: float
    slow: float
    slow_bytes_per_s: int
    speech: float
    listen_s: float
    cancel: float
    cut: float
    leave: float
    look: float
    waits_for_204: float
    away_s: tuple[float, float]
    think_s: tuple[float, float]
    turns_per_conversation: tuple[int, int]
    storm_every_s: float


@dataclass(frozen=True, slots=True)
class Served:
    """How a server of the run's own is set up."""

    streaming_percent: float
    speech: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """What the simulated model answers: always the same to a message."""

    tokens: int
    tokens_per_s: float
    ttft_s: float
    seed: int

    @property
    def model(self) -> str:
        """The simulator's model that answers so."""
        pace = f"rate={self.tokens_per_s:g},ttft={self.ttft_s:g}"
        return f"sim:tokens={self.tokens},{pace},seed={self.seed}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a figure must not exceed, or must reach."""

    figure: str
    least: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class Profile:
    """One run."""

    name: str
    about: str
    stages: tuple[Stage, ...]
    server: Served
    model: Answers
    people: Habits
    thresholds: tuple[Threshold, ...]

    @property
    def duration_s(self) -> float:
        """Seconds until people stop to come."""
        return sum(stage.for_s for stage in self.stages)

    @property
    def users(self) -> int:
        """How many there are at most."""
        return max(stage.users for stage in self.stages)

    def stage_at(self, seconds: float) -> Stage | None:
        """Return the stage at a time since the beginning; None behind the last."""
        for stage in self.stages:
            if seconds < stage.for_s:
                return stage
            seconds -= stage.for_s
        return None


def names(path: Path = PROFILES) -> list[str]:
    """Return which profiles there are, in the order of the file."""
    return [name for name in _read(path) if name != "defaults"]


def profile(name: str, path: Path = PROFILES, *, seconds: float | None = None) -> Profile:
    """Return a profile.

    Args:
        name: As in the file.
        path: The file.
        seconds: How long it is to take; its stages are shortened alike. None: as the file says.

    Raises:
        ProfileError: It is not there, has an unknown or missing part, or is out of bounds.
    """
    tables = _read(path)
    if name not in tables or name == "defaults":
        known = ", ".join(each for each in tables if each != "defaults")
        raise ProfileError(f"there is no profile {name!r}; there are {known}")
    try:
        found = _profile(name, tables.get("defaults", {}), tables[name], seconds)
    except (TypeError, ValueError, KeyError, AttributeError) as exc:
        raise ProfileError(f"profile {name}: {exc}") from None
    if not 0 < found.users <= MAX_USERS:
        raise ProfileError(f"profile {name}: 1 to {MAX_USERS} users, not {found.users}")
    if not 0 < found.duration_s <= MAX_DURATION_S:
        raise ProfileError(f"profile {name}: up to {MAX_DURATION_S:g} s, not {found.duration_s:g}")
    return found


def check_host(url: str, *, is_owned: bool) -> None:
    """Let nobody put load on a machine that is not theirs.

    Raises:
        ProfileError: It is no address, or another machine's without a word that one may.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ProfileError(f"{url!r} is no address such as http://127.0.0.1:8000")
    if parts.hostname not in _LOOPBACK and not is_owned:
        raise ProfileError(
            f"{parts.hostname} is another machine: with --i-own-this-host you say that you may"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise ProfileError(f"{path.name} cannot be read: {exc}") from None


def _profile(
    name: str, defaults: dict[str, Any], own: dict[str, Any], seconds: float | None
) -> Profile:
    known = {"about", "stages", "server", "model", "people", "thresholds"}
    if unknown := own.keys() - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    merged = {
        part: {**defaults.get(part, {}), **own.get(part, {})}
        for part in known - {"about", "stages"}
    }
    stages = tuple(Stage(**stage) for stage in own["stages"])
    planned = sum(stage.for_s for stage in stages)
    scale = 1.0 if seconds is None else seconds / planned
    return Profile(
        name,
        str(own["about"]),
        tuple(Stage(stage.for_s * scale, stage.users, stage.spawn_per_s) for stage in stages),
        Served(**merged["server"]),
        Answers(**merged["model"]),
        _habits(merged["people"]),
        tuple(_threshold(figure, told) for figure, told in merged["thresholds"].items()),
    )


def _habits(told: dict[str, Any]) -> Habits:
    ranges = {
        each.name: tuple(told[each.name])
        for each in fields(Habits)
        if isinstance(told[each.name], list)
    }
    for chance in _CHANCES:
        if not 0 <= told[chance] <= 1:
            raise ValueError(f"{chance} is a probability, not {told[chance]}")
    return Habits(**{**told, **ranges})


def _threshold(figure: str, told: dict[str, float]) -> Threshold:
    if not told or told.keys() - {"min", "max"}:
        raise ValueError(f"{figure} wants min or max")
    return Threshold(figure, told.get("min"), told.get("max"))
