"""One ruleset taken into another. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from flags.model import Flag, Ruleset, Segment
from flags.rollout.model import GuardedRollout

_T = TypeVar("_T", bound=Flag | Segment | GuardedRollout)


def merged(ruleset: Ruleset, other: Ruleset, *, only_missing: bool) -> Ruleset:
    """Return a ruleset with all that another has; what is killed in it stays killed.

    Args:
        ruleset: What is there.
        other: What comes in; its definitions replace those of the same name.
        only_missing: They replace only what is of a version that `ruleset` has never had.
    """
    lower, upper = (other, _without_older(ruleset, other)) if only_missing else (ruleset, other)
    flags = {**lower.flags, **upper.flags}
    for key, flag in ruleset.flags.items():
        if flag.kill and not flags[key].kill:
            flags[key] = replace(flags[key], kill=True, in_flight=flag.in_flight)
    return replace(
        ruleset,
        flags=flags,
        segments={**lower.segments, **upper.segments},
        rollouts={**lower.rollouts, **upper.rollouts},
    )


def _without_older(ruleset: Ruleset, other: Ruleset) -> Ruleset:
    """Return a ruleset without what was written anew, at versions that it has never had."""
    return replace(
        ruleset,
        flags=_known(ruleset.flags, other.flags, ruleset.version),
        segments=_known(ruleset.segments, other.segments, ruleset.version),
        rollouts=_known(ruleset.rollouts, other.rollouts, ruleset.version),
    )


def _known(here: Mapping[str, _T], there: Mapping[str, _T], version: int) -> dict[str, _T]:
    return {
        name: definition
        for name, definition in here.items()
        if name not in there or there[name].version <= version
    }
