"""Random conditions: ours beside the vendor's evaluator, and junk of all kinds."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from growthbook.core import evalCondition, paddedVersionString

from flags.conditions import compile_condition
from flags.conditions.versions import version_key
from flags.errors import ConditionError

NAMES = ("a", "b", "c", "a.b", "a.0", "b.length", "c.a.b", "a.1.b", "", "a.01")
KEYS = ("a", "b", "0", "1", "10", "01", "length")
GROUPS = {"g": ["a", 1, True, None], "h": [0, "B", 1.5], "none": []}
ASKED_EACH = 6

NUMBERS = (0, 1, -1, 2, 10, 1.0, -0.0, 1.5, 1e21, 1e-7, 2**53, 2**53 + 1, 10**400)
TEXTS = (
    *("", "a", "A", "b", "ab", "aB", "1", "10", "9", "\u00e9", "\u00c9", "\u00df", "\u03a3"),
    *("\U0001f600", "\uffff", "\ud800", "v1.2.3", "1.2.3", "1.2.3-rc.1", "1.2.3+b", "1.10.0"),
    *("1.2", "2.0.0-beta.11", "2.0.0-beta.2", "null", "true"),
)
PLAIN = (None, True, False, *NUMBERS, *TEXTS)
PLAIN_OPERATORS = ("$eq", "$ne", "$lt", "$lte", "$gt", "$gte")
VERSION_OPERATORS = ("$veq", "$vne", "$vlt", "$vlte", "$vgt", "$vgte")
LIST_OPERATORS = ("$in", "$nin", "$ini", "$nini")
GROUP_OPERATORS = ("$inGroup", "$notInGroup")
PATTERN_OPERATORS = ("$regex", "$regexi", "$notRegex", "$notRegexi")
STRANGE_OPERATORS = ("$or", "$and", "$nor", "$near", "$", "$Eq")
KINDS = ("null", "boolean", "number", "string", "array", "object", "unknown", 1)


class Values:
    """Makes JSON values by chance, so alike that they often meet."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # seeded, so that a failure can be repeated
        self.pick = self.chance.choice

    def value(self, depth: int = 2) -> object:
        """Return any JSON value."""
        sort = self.chance.random()
        if depth == 0 or sort < 0.6:
            return self.pick(PLAIN)
        count = self.chance.randrange(4)
        if sort < 0.8:
            return [self.value(depth - 1) for _ in range(count)]
        return {self.pick(KEYS): self.value(depth - 1) for _ in range(count)}

    def attributes(self) -> dict[str, object]:
        """Return attributes of which some may be missing."""
        return {name: self.value() for name in "abc" if self.chance.random() < 0.8}

    def listed(self) -> object:
        """Return a list of values; at times it is none."""
        if self.chance.random() < 0.1:
            return self.value(1)
        return [self.value(self.pick((0, 0, 0, 1))) for _ in range(self.chance.randrange(5))]


class Dice(Values):
    """Makes conditions by chance."""

    def condition(self, depth: int = 3) -> dict[str, object]:
        """Return a condition whose parts are of the right types, though not always sensible."""
        return dict(self.entry(depth) for _ in range(self.pick((0, 1, 1, 1, 2, 3))))

    def entry(self, depth: int) -> tuple[str, object]:
        """Return one entry of a condition."""
        if depth and self.chance.random() < 0.4:
            name = self.pick(("$and", "$or", "$nor", "$not"))
            if name == "$not":
                return name, self.condition(depth - 1)
            return name, [self.condition(depth - 1) for _ in range(self.chance.randrange(4))]
        return self.pick(NAMES), self.expected(depth)

    def expected(self, depth: int) -> object:
        """Return what is written behind an attribute."""
        if self.chance.random() < 0.2:
            return self.value()
        return dict(self.operator(depth) for _ in range(self.pick((0, 1, 1, 1, 2))))

    def operator(self, depth: int) -> tuple[str, object]:
        """Return an operator with its operand, at times of a wrong type."""
        makers: list[Callable[[], tuple[str, object]]] = [
            lambda: (self.pick(PLAIN_OPERATORS), self.value(1)),
            lambda: (self.pick(VERSION_OPERATORS), self.value(1)),
            lambda: (self.pick(LIST_OPERATORS), self.listed()),
            lambda: (self.pick(GROUP_OPERATORS), self.pick((*GROUPS, "gone", 7))),
            lambda: (self.pick(PATTERN_OPERATORS), self.pattern()),
            lambda: ("$exists", self.pick((True, False, 0, 1, "", "x", None))),
            lambda: ("$type", self.pick(KINDS)),
            lambda: (self.pick(STRANGE_OPERATORS), self.value(1)),
        ]
        if depth:
            makers += [partial(self.nested, depth - 1)] * 6
        return self.pick(makers)()

    def nested(self, depth: int) -> tuple[str, object]:
        """Return an operator that holds others."""
        name = self.pick(("$not", "$elemMatch", "$size", "$all", "$alli"))
        if name == "$elemMatch":
            return name, self.pick((self.condition, self.operators))(depth)
        if name == "$size":
            return name, self.pick((0, 1, 2, 1.0, True, "1", self.operators(depth)))
        if name == "$not":
            return name, self.expected(depth)
        return name, self.pick(
            ([self.expected(depth) for _ in range(self.chance.randrange(3))], self.value(1))
        )

    def operators(self, depth: int) -> dict[str, object]:
        """Return an object of operators."""
        return dict(self.operator(depth) for _ in range(self.pick((0, 1, 1, 2))))

    def pattern(self, depth: int = 2) -> str:
        """Return a pattern that means the same to RE2 and to Python."""
        atoms = [
            "a",
            "b",
            "A",
            "1",
            "-",
            ".",
            "[ab]",
            "[^a]",
            "^",
            "$",
            "\u00e9",
            "(?:a|b|)",
            "\\.",
        ]
        if depth:
            atoms += [f"({self.pattern(depth - 1)}|{self.pattern(depth - 1)})"] * 3
        parts = [self.pick(atoms) for _ in range(self.chance.randrange(4))]
        return "".join(
            p if p in "^$" else p + self.pick(("", "", "?", "+", "{1,2}")) for p in parts
        )

    def junk(self, depth: int = 4) -> object:
        """Return anything that JSON can hold, with the operators' names at any place."""
        sort = self.chance.random()
        if depth == 0 or sort < 0.3:
            return self.value(1)
        count = self.chance.randrange(4)
        if sort < 0.5:
            return [self.junk(depth - 1) for _ in range(count)]
        names = (*NAMES, "$segment", "$savedGroup", "$later", "$not", *STRANGE_OPERATORS)
        operators = (*PLAIN_OPERATORS, *VERSION_OPERATORS, *LIST_OPERATORS, *PATTERN_OPERATORS)
        nested = ("$elemMatch", "$size", "$all", "$alli", "$exists", "$type", *GROUP_OPERATORS)
        every = (*names, *operators, *nested)
        return {self.pick(every): self.junk(depth - 1) for _ in range(count)}


def test_whatever_happens_a_condition_means_what_it_means_to_the_vendor(runs: int) -> None:
    seen: Counter[bool] = Counter()
    for seed in range(runs):
        dice = Dice(seed)
        condition = dice.condition()
        meets = compile_condition(condition, groups=GROUPS, strict=False)
        for _ in range(ASKED_EACH):
            attributes = dice.attributes()
            expected = evalCondition(attributes, condition, dict(GROUPS))
            assert meets(attributes) is expected, (seed, condition, attributes)
            seen[expected] += 1

    assert min(seen[True], seen[False]) > runs * ASKED_EACH / 10


def test_whatever_happens_a_condition_that_is_accepted_means_the_same_when_loaded(
    runs: int,
) -> None:
    accepted = 0
    for seed in range(runs):
        dice = Dice(seed)
        condition = dice.condition()
        try:
            written = compile_condition(condition, groups=GROUPS)
        except ConditionError:
            continue
        accepted += 1
        loaded = compile_condition(condition, groups=GROUPS, strict=False)
        attributes = dice.attributes()
        assert written(attributes) is loaded(attributes), (seed, condition, attributes)

    assert accepted > runs / 20


def test_whatever_happens_to_be_written_it_is_refused_or_answers(runs: int) -> None:
    refused = 0
    for seed in range(runs):
        dice = Dice(seed)
        junk: dict[str, object] = {dice.pick(NAMES): dice.junk(), "$or": [dice.junk(), {"a": 1}]}
        meets = compile_condition(junk, groups=GROUPS, strict=False)
        for _ in range(ASKED_EACH):
            assert meets(dice.attributes()) in (True, False)
        try:
            compile_condition(junk, groups=GROUPS)
        except ConditionError:
            refused += 1

    assert refused > runs / 4


def test_whatever_happens_what_is_not_understood_takes_nobody_in(runs: int) -> None:
    for seed in range(runs):
        dice = Dice(seed)
        unknown: dict[str, object] = {"$later": dice.junk()}
        for _ in range(dice.chance.randrange(5)):
            wrapped: list[dict[str, object]] = [{"$not": unknown}, {"$nor": [unknown]}]
            unknown = dice.pick([*wrapped, {"$and": [dice.pick(({}, {"d": None})), unknown]}])
        meets = compile_condition(unknown, groups=GROUPS, strict=False)

        assert not meets(dice.attributes()), (seed, unknown)


def test_whatever_happens_a_version_sorts_as_it_does_with_the_vendor(runs: int) -> None:
    chance = random.Random(1)  # noqa: S311  # seeded, so that a failure can be repeated
    for number in (*NUMBERS, -(10**400), -1.5, 1e20, 123e18, 1e-6, 1.23e-6, 9.99e-7, 5e-324):
        assert version_key(number) == paddedVersionString(number), number
    for _ in range(runs):
        text = "".join(
            chance.choice("vv0129.-+abc~ \u0663\u00b2") for _ in range(chance.randrange(9))
        )
        double = chance.uniform(-10, 10) * 10.0 ** chance.randrange(-20, 30)
        whole = chance.randrange(-(10**24), 10**24)
        for version in (text, double, whole, round(double, 3)):
            assert version_key(version) == paddedVersionString(version), version
