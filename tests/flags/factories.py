"""Flags, segments and rulesets as short as a test wants to say them; and random ones."""

import random
from collections.abc import Mapping, Sequence

from flags.changes.editor import Request
from flags.codec import read_flag, read_segment
from flags.model import Author, Decision, Flag, Reason, Ruleset, Segment

NOW = 1_780_315_200.0
"""2026-06-01T12:00:00Z, the «now» of random rulesets and of the vectors."""

Json = dict[str, object]

PERCENTAGES = (0, 0.001, 5, 10, 33.333, 50, 99.999, 100)
LISTABLE = (*(f"user-{n}" for n in range(40)), "ø" * 300)
UNITS = ("", "\ud800", *LISTABLE)

_CONDITIONS: tuple[Json, ...] = (
    {},
    {"country": "NO"},
    {"country": {"$in": ["NO", "SE"]}},
    {"age": {"$gte": 18}},
    {"beta": {"$exists": True}},
    {"$not": {"country": "NO"}},
    {"$segment": "staff"},
    {"$segment": "nowhere"},
    {"targetingKey": {"$in": ["user-1", "user-2", "user-3"]}},
    {"$later": 1},
    {"age": {"$later": 1}},
)
_TIMES = ("2026-05-01T00:00:00Z", "2026-06-01T12:00:00Z", "2026-07-01T00:00:00+02:00")


def a_flag(key: str = "streaming", /, **definition: object) -> Flag:
    """Return a flag; a bool one at 0 % where nothing else is said."""
    return read_flag(definition, key, strict=True)


def a_colour(key: str = "colour", /, **definition: object) -> Flag:
    """Return a string flag of three variants, red, green and blue, off at red."""
    variants = {"red": "#f00", "green": "#0f0", "blue": "#00f"}
    return a_flag(key, type="string", variants=variants, off_variant="red", **definition)


def a_segment(name: str = "staff", /, **definition: object) -> Segment:
    """Return a segment."""
    return read_segment(definition, name, strict=True)


def a_ruleset(*definitions: Flag | Segment, version: int = 1) -> Ruleset:
    """Return a ruleset of these."""
    flags = {each.key: each for each in definitions if isinstance(each, Flag)}
    segments = {each.name: each for each in definitions if isinstance(each, Segment)}
    return Ruleset(version, flags, segments)


def asked_by(who: str = "ada", *, if_version: int | None = None, key: str | None = None) -> Request:
    """Return who asks for a change, and how."""
    return Request(Author(who, "because", "request-1"), if_version, key)


def a_decision(variant: str | None = "on", **more: object) -> Decision:
    """Return a decision of the flag «streaming», in its first epoch."""
    fields: Json = {"key": "streaming", "value": True, "reason": Reason.SPLIT, "epoch": 1}
    return Decision(variant=variant, **{**fields, **more})  # type: ignore[arg-type]  # a test's own


def random_documents(
    seed: int, *, times: Sequence[str] = _TIMES
) -> Mapping[str, Mapping[str, Json]]:
    """Return flags and segments as JSON, as a store may hold them: not only what a writer accepts.

    Flags ask only flags before them, or one that does not exist.
    """
    dice = random.Random(seed)  # noqa: S311  # seeded
    staff: Json = {
        "name": "staff",
        "include": dice.sample(LISTABLE, 5),
        "exclude": dice.sample(LISTABLE, 3),
        "when": dice.choice([None, {"plan": "pro"}, {"age": {"$gte": 18}}]),
    }
    flags = {f"f{n}": _random_flag(dice, n, times) for n in range(5)}
    return {"flags": flags, "segments": {"staff": staff}}


def random_attributes(dice: random.Random) -> Json:
    """Return what may be known of a unit."""
    known: Json = {
        "country": dice.choice(["NO", "SE", "DE", None]),
        "age": dice.choice([17, 18, 40.5, "18"]),
        "plan": dice.choice(["free", "pro"]),
        "beta": True,
        "targetingKey": "user-1",
    }
    return {name: value for name, value in known.items() if dice.random() < 0.6}


def _random_flag(dice: random.Random, number: int, times: Sequence[str]) -> Json:
    variants = {"red": "r", "green": "g", "blue": "b"}
    return {
        "key": f"f{number}",
        "type": "string",
        "variants": variants,
        "off_variant": dice.choice(list(variants)),
        "default_variant": dice.choice(list(variants)),
        "enabled": dice.random() < 0.9,
        "kill": dice.random() < 0.1,
        "allow": dice.sample(LISTABLE, dice.choice([0, 0, 6])),
        "deny": dice.sample(LISTABLE, dice.choice([0, 0, 6])),
        "rules": [
            {
                "when": dice.choice(_CONDITIONS),
                "percentage": dice.choice(PERCENTAGES),
                "serve": _random_serve(dice),
            }
            for _ in range(dice.choice([0, 0, 1, 3]))
        ],
        "rollout": {
            "percentage": dice.choice(PERCENTAGES),
            "salt": dice.choice(["s1", "s2"]),
            "serve": _random_serve(dice),
        },
        "prerequisites": [
            {
                "flag": dice.choice(["f9", *[f"f{n}" for n in range(number)] * 3]),
                "variants": dice.sample(list(variants), 2),
            }
            for _ in range(dice.choice([0, 0, 1, 2]) if number else 0)
        ],
        "schedule": {
            "starts_at": dice.choice([*[None] * 9, *times]),
            "ends_at": dice.choice([*[None] * 9, *times]),
        },
    }


def _random_serve(dice: random.Random) -> object:
    return dice.choice(
        [
            "green",
            [{"variant": "blue", "weight": 100}],
            [{"variant": "green", "weight": 0}, {"variant": "blue", "weight": 100}],
            [{"variant": "blue", "weight": 33.333}, {"variant": "green", "weight": 66.667}],
            [
                {"variant": "red", "weight": 0.1},
                {"variant": "green", "weight": 0.2},
                {"variant": "blue", "weight": 99.7},
            ],
        ]
    )
