"""Where the compiler stands in a condition, what it may spend there, and how it refuses."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from flags.errors import ConditionError
from flags.model import Attributes

Predicate = Callable[[Attributes], bool]
"""Says whether a condition holds for these attributes. Never raises, waits or does I/O."""

Test = Callable[[object], bool]
"""Says whether a value is as an operator wants it; None where there is no value."""

MAX_LEVELS = 32
"""Far below Python's own limit of recursion, so that nothing here can reach that."""

MAX_NODES = 1_000
"""Names and members of one condition, aside from what `$in` and its kin list."""

_MAX_SHOWN_CHARS = 100

V = TypeVar("V")


def always(_value: object) -> bool:
    """Hold for everything."""
    return True


def never(_value: object) -> bool:
    """Hold for nothing."""
    return False


@dataclass(slots=True)
class Scope:
    """What one compilation knows, and what it may still spend."""

    segments: Mapping[str, Predicate]
    groups: Mapping[str, Collection[object]]
    strict: bool
    program_left: int
    nodes_left: int = MAX_NODES


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a condition.

    Args:
        path: The names and indexes that lead here.
        doubt: What an undecided part counts as here. Below an odd number of negations it counts as
            true, so that it counts as false where the condition is decided: for nobody.
    """

    scope: Scope
    path: tuple[str, ...] = ()
    doubt: bool = False

    @property
    def name(self) -> str:
        """The last step of the path."""
        return self.path[-1]

    @property
    def undecided(self) -> Test:
        """The test for a part that is not understood."""
        return always if self.doubt else never

    def step(self, name: object) -> "Place":
        """Return the place one level further in.

        Raises:
            ConditionError: too deep, too much, or not the name of anything.
        """
        if not isinstance(name, str):
            raise self.fault("has a name that is not a string; quote it")
        place = replace(self, path=(*self.path, name))
        if len(place.path) > MAX_LEVELS:
            raise place.fault(f"is more than {MAX_LEVELS} levels deep; flatten it or use a segment")
        self.scope.nodes_left -= 1
        if self.scope.nodes_left < 0:
            raise place.fault(f"is one too many: {MAX_NODES} names and members are read; use $in")
        return place

    def negated(self) -> "Place":
        """Return this place as seen from within a negation."""
        return replace(self, doubt=not self.doubt)

    def fault(self, reason: str) -> ConditionError:
        """Return the error that this place deserves."""
        return ConditionError(".".join(name[:_MAX_SHOWN_CHARS] for name in self.path), reason)

    def expect(self, is_met: bool, reason: str) -> None:
        """Refuse what GrowthBook gives a meaning that nobody can have wanted.

        Raises:
            ConditionError: it is not met, and the condition is being written.
        """
        if self.scope.strict and not is_met:
            raise self.fault(reason)


def part(
    build: Callable[[object, Place], Callable[[V], bool]],
    operand: object,
    place: Place,
    name: object,
) -> Callable[[V], bool]:
    """Build one part of a condition, the one named below this place.

    Divergence 2: where it is not understood it is undecided, unless the condition is being written.

    Raises:
        ConditionError: it is not understood, and the condition is being written.
    """
    try:
        return build(operand, place.step(name))
    except ConditionError:
        if place.scope.strict:
            raise
        return place.undecided


def all_of(tests: Iterable[Callable[[V], bool]]) -> Callable[[V], bool]:
    """Return what holds where all of them hold."""
    needed = tuple(test for test in tests if test is not always)
    match needed:
        case ():
            return always
        case (only,):
            return only
        case (first, second):
            return lambda value: first(value) and second(value)
        case _:
            return lambda value: all(test(value) for test in needed)


def any_of(tests: Iterable[Callable[[V], bool]]) -> Callable[[V], bool]:
    """Return what holds where one of them holds."""
    choices = tuple(test for test in tests if test is not never)
    match choices:
        case ():
            return never
        case (only,):
            return only
        case _:
            return lambda value: any(test(value) for test in choices)


def negation(test: Callable[[V], bool]) -> Callable[[V], bool]:
    """Return what holds where the test does not."""
    return lambda value: not test(value)
