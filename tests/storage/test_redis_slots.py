"""Which slot a command is for, and what a map of a Cluster may say."""

import pytest
from redis.exceptions import InvalidResponse, MovedError

from storage.redis.slots import SLOTS, SlotMap, redirected, slot_of

ASKED = ("asked", 1)


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "{t1}:log"),
        ("get", b"{t1}:log"),
        ("XADD", "{t1}:log", "*", "a", "b"),
        ("EVALSHA", "0" * 40, 2, "{t1}:log", "{t1}:lease", "argument"),
        ("EVAL", "return 1", "1", "{t1}:log"),
    ],
)
def test_the_slot_is_that_of_the_first_key(command: tuple[str | bytes | int, ...]) -> None:
    assert slot_of(command) == slot_of(("GET", "t1")) is not None


@pytest.mark.parametrize(
    "command", [("PING",), ("TIME",), ("PUBLISH", "c", "m"), ("EVAL", "return 1", 0), ("INFO", "x")]
)
def test_a_command_without_keys_has_no_slot(command: tuple[str | int, ...]) -> None:
    assert slot_of(command) is None


def test_slots_are_those_of_the_specification() -> None:
    # Redis cluster specification, appendix A: CRC16 of 123456789 is 0x31C3.
    assert slot_of(("GET", "123456789")) == 0x31C3 % SLOTS


def test_a_map_names_owners_and_primaries() -> None:
    slots = SlotMap()

    slots.take(
        [
            [0, 9, [b"a", 1, b"id", []], [b"replica", 2, b"id"]],
            [20, SLOTS - 1, [b"b", 3, b"id"]],
        ],
        ASKED,
    )

    assert [slots.owner(slot) for slot in (0, 9, 10, 19, 20, SLOTS - 1)] == [
        ("a", 1),
        ("a", 1),
        None,
        None,
        ("b", 3),
        ("b", 3),
    ]
    assert sorted(slots.primaries) == [("a", 1), ("b", 3)]


@pytest.mark.parametrize("name", [None, b"", b"?"])
def test_a_node_that_does_not_know_its_name_is_the_one_that_was_asked(name: bytes | None) -> None:
    slots = SlotMap()

    slots.take([[0, SLOTS - 1, [name, 7, b"id"]]], ASKED)

    assert slots.primaries == (("asked", 7),)
    assert redirected(MovedError("1 :7"), ASKED) == ("asked", 7)
    assert redirected(MovedError("1 ::1:7"), ASKED) == ("::1", 7)


def test_a_redirection_corrects_one_slot() -> None:
    slots = SlotMap()
    slots.take([[0, SLOTS - 1, [b"a", 1]]], ASKED)

    host = slots.move(MovedError("7 b:2"), ASKED)
    slots.move(MovedError("99999 c:3"), ASKED)

    assert host == slots.owner(7) == ("b", 2)
    assert slots.owner(6) == slots.owner(8) == ("a", 1)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"OK",
        7,
        [],
        [[]],
        [[0, 1]],
        [[0, 1, []]],
        [[0, 1, [b"a", b"port"]]],
        [[0, SLOTS, [b"a", 1]]],
        [[SLOTS + 7, SLOTS + 9, [b"a", 1]]],
        [[5, 1, [b"a", 1]]],
    ],
)
def test_what_is_no_map_changes_nothing(answer: object) -> None:
    slots = SlotMap()
    slots.take([[0, SLOTS - 1, [b"a", 1]]], ASKED)

    with pytest.raises(InvalidResponse):
        slots.take(answer, ASKED)

    assert slots.primaries == (("a", 1),)
    assert slots.owner(0) == ("a", 1)
