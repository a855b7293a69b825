"""Definitions as JSON: what people write is read strictly, what a store holds leniently."""

import json
import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from flags.codec import (
    MAX_LEVELS,
    audit_json,
    decode_audit,
    decode_flag,
    decode_segment,
    dump,
    encode,
    encode_audit,
    flag_json,
    read_flag,
    read_segment,
    segment_json,
    unversioned,
)
from flags.errors import FlagInvalidError
from flags.model import (
    AuditEntry,
    Author,
    Flag,
    FlagType,
    InFlight,
    Prerequisite,
    Rollout,
    Rule,
    Schedule,
    Segment,
    Share,
)
from tests.flags.factories import a_flag, a_segment, random_documents

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
TEXT = {"type": "string", "variants": {"a": "A", "b": "B"}, "off_variant": "a"}


def test_a_flag_of_which_nothing_is_said_is_a_bool_at_zero() -> None:
    flag = read_flag({}, "streaming", strict=True)

    assert flag == Flag(
        "streaming",
        FlagType.BOOL,
        {"on": True, "off": False},
        off_variant="off",
        default_variant="off",
        rollout=Rollout(0.0, "streaming", (Share("on", 100.0),)),
    )


def test_a_flag_keeps_all_that_is_said_of_it() -> None:
    document = {
        "key": "colour",
        "type": "string",
        "variants": {"red": "r", "blue": "b"},
        "off_variant": "red",
        "default_variant": "blue",
        "rollout": {
            "percentage": 12.5,
            "salt": "s1",
            "serve": [{"variant": "red", "weight": 0.1}, {"variant": "blue", "weight": 99.9}],
        },
        "enabled": False,
        "kill": True,
        "in_flight": "abort",
        "allow": ["ann", "bob"],
        "deny": ["cid"],
        "rules": [{"when": {"a": 1}, "serve": "blue", "percentage": 5, "name": "first"}],
        "prerequisites": [{"flag": "other", "variants": ["on"]}],
        "schedule": {"starts_at": "2026-01-02T03:04:05.678000Z", "ends_at": None},
        "description": "what for",
        "version": 3,
        "epoch": 2,
        "updated_at": "2026-01-02T03:04:05.678000Z",
    }

    flag = read_flag(document, "colour", strict=True)

    assert flag == Flag(
        "colour",
        FlagType.STRING,
        {"red": "r", "blue": "b"},
        off_variant="red",
        default_variant="blue",
        rollout=Rollout(12.5, "s1", (Share("red", 0.1), Share("blue", 99.9))),
        enabled=False,
        kill=True,
        in_flight=InFlight.ABORT,
        allow=frozenset({"ann", "bob"}),
        deny=frozenset({"cid"}),
        rules=(Rule({"a": 1}, (Share("blue", 100.0),), 5.0, "first"),),
        prerequisites=(Prerequisite("other", ("on",)),),
        schedule=Schedule(starts_at=AT),
        description="what for",
        version=3,
        epoch=2,
        updated_at=AT,
    )
    assert flag_json(flag) == document


def test_a_segment_keeps_all_that_is_said_of_it() -> None:
    document = {
        "name": "staff",
        "include": ["ann"],
        "exclude": ["bob", "cid"],
        "when": {"plan": "pro"},
        "description": "us",
        "version": 3,
        "updated_at": "2026-01-02T03:04:05.678000Z",
    }

    segment = read_segment(document, "staff", strict=True)

    assert segment == Segment(
        "staff", frozenset({"ann"}), frozenset({"bob", "cid"}), {"plan": "pro"}, "us", 3, AT
    )
    assert segment_json(segment) == document


@pytest.mark.parametrize("seed", range(30))
def test_what_is_stored_is_read_back_as_it_was(seed: int) -> None:
    documents = random_documents(seed)
    flags = [read_flag(each, key, strict=True) for key, each in documents["flags"].items()]
    segments = [read_segment(each, n, strict=True) for n, each in documents["segments"].items()]

    assert [decode_flag(encode(flag), flag.key) for flag in flags] == flags
    assert [decode_segment(encode(each).encode(), each.name) for each in segments] == segments
    assert [read_flag(flag_json(flag), flag.key, strict=True) for flag in flags] == flags


@pytest.mark.parametrize(
    ("percentage", "shown"), [(0, "0"), (5.0, "5"), (12.5, "12.5"), (0.001, "0.001"), (100, "100")]
)
def test_percentages_are_shown_as_people_write_them(percentage: float, shown: str) -> None:
    flag = a_flag(
        rollout={"percentage": percentage}, rules=[{"when": {}, "percentage": percentage}]
    )

    stored = encode(flag)
    assert stored.count(f'"percentage":{shown},') == stored.count('"percentage"') == 2


def test_a_single_share_is_shown_as_its_variant_and_several_with_their_weights() -> None:
    halves = [{"variant": "on", "weight": 50}, {"variant": "off", "weight": 50}]
    flag = a_flag(
        rollout={"serve": [{"variant": "on", "weight": 100}]}, rules=[{"when": {}, "serve": halves}]
    )

    shown = flag_json(flag)

    assert shown["rollout"] == {"percentage": 0, "salt": "streaming", "serve": "on"}
    assert shown["rules"] == [{"when": {}, "serve": halves, "percentage": 100, "name": ""}]
    assert '"weight":50}' in encode(flag)


def test_lists_are_shown_in_one_order_whatever_the_process() -> None:
    units = [f"user-{n}" for n in range(100)]
    random.Random(1).shuffle(units)  # noqa: S311  # seeded

    flag = flag_json(a_flag(allow=units, deny=units))
    segment = segment_json(a_segment(include=units, exclude=units))

    assert (
        flag["allow"] == flag["deny"] == segment["include"] == segment["exclude"] == sorted(units)
    )


def test_names_keep_the_order_in_which_they_were_written() -> None:
    # The order of a literal's names means something to a condition.
    when = {"zone": {"$eq": {"b": 1, "a": 2}}, "age": 1}
    variants = {"b": "B", "a": "A"}
    flag = a_flag(type="string", variants=variants, off_variant="a", rules=[{"when": when}])

    kept = decode_flag(encode(flag), flag.key)
    entry = AuditEntry(1, AT, "put", "flag:f", Author("ada"), None, flag_json(flag))

    assert json.dumps(kept.rules[0].when) == json.dumps(when)
    assert list(kept.variants) == ["b", "a"]
    assert json.dumps(when) in json.dumps(decode_audit(encode_audit(entry)).after)


def test_what_is_not_said_deals_the_first_variant_that_is_not_off() -> None:
    flag = read_flag({**TEXT, "off_variant": "a", "rules": [{"when": {}}]}, "f", strict=True)

    assert flag.rollout.serve == flag.rules[0].serve == (Share("b", 100.0),)
    assert flag.default_variant == "a"


@pytest.mark.parametrize(
    ("document", "path", "reason"),
    [
        ({"percentage": 5}, "percentage", "is not a known field"),
        ({"rollout": {"percent": 5}}, "rollout.percent", "is not a known field"),
        (
            {"rules": [{"when": {}}, {"when": {}, "then": 1}]},
            "rules.1.then",
            "is not a known field",
        ),
        ({"schedule": {"from": None}}, "schedule.from", "is not a known field"),
        ({"x" * 200: 1}, "x" * 100, "is not a known field"),
        (
            {"rollout": {"serve": [{"variant": "on", "weight": 100, "of": 1}]}},
            "rollout.serve.0.of",
            "is not a known field",
        ),
        (
            {"prerequisites": [{"flag": "f"}]},
            "prerequisites.0",
            "missing required field `variants`",
        ),
        ({"rules": [{}]}, "rules.0", "object missing required field `when`"),
        ({"rules": [5]}, "rules.0", "expected `object`, got `int`"),
        ({"rules": 5}, "rules", "expected `array`, got `int`"),
        ({"rules": [{"when": []}]}, "rules.0.when", "expected `object`, got `array`"),
        ({"rollout": None}, "rollout", "expected `object`, got `null`"),
        ({"rollout": {"percentage": True}}, "rollout.percentage", "got `bool`"),
        ({"rollout": {"percentage": "5"}}, "rollout.percentage", "got `str`"),
        ({"rollout": {"percentage": None}}, "rollout.percentage", "got `null`"),
        ({"rollout": {"percentage": math.nan}}, "rollout.percentage", "must be a finite number"),
        ({"rollout": {"percentage": math.inf}}, "rollout.percentage", "must be a finite number"),
        ({"rollout": {"percentage": 10**400}}, "rollout.percentage", "is a number too large"),
        ({"rollout": {"serve": 5}}, "rollout.serve", "expected `array`, got `int`"),
        (
            {"rollout": {"serve": [{"variant": "on", "weight": True}]}},
            "rollout.serve.0.weight",
            "got `bool`",
        ),
        ({"enabled": 1}, "enabled", "expected `bool`, got `int`"),
        ({"kill": "no"}, "kill", "expected `bool`, got `str`"),
        ({"in_flight": "later"}, "in_flight", "invalid enum value 'later'"),
        ({"type": "date"}, "type", "invalid enum value 'date'"),
        ({"type": None}, "type", "expected `str`, got `null`"),
        ({"type": "string"}, "", "missing required field `variants`"),
        ({"type": "string", "variants": {"a": ""}}, "", "missing required field `off_variant`"),
        ({"variants": [1]}, "variants", "expected `object`, got `array`"),
        ({"variants": {"a": math.nan}}, "variants.a", "must be a finite number"),
        ({"variants": {"a": {"b": [0, -math.inf]}}}, "variants.a.b.1", "must be a finite number"),
        ({"variants": {"a": -(10**400)}}, "variants.a", "is a number too large"),
        ({"variants": {"a": "\ud800"}}, "variants.a", "has text that is not valid Unicode"),
        ({"variants": {"\ud800": 1}}, "variants", "has text that is not valid Unicode"),
        ({"description": "\ud800"}, "description", "has text that is not valid Unicode"),
        ({"allow": ["ok", "\udfff"]}, "allow.1", "has text that is not valid Unicode"),
        ({"allow": [5]}, "allow.0", "expected `str`, got `int`"),
        ({"allow": "ann"}, "allow", "expected `array`, got `str`"),
        ({"schedule": {"starts_at": 5}}, "schedule.starts_at", "got `int`"),
        ({"schedule": {"starts_at": "2027-01-01"}}, "schedule.starts_at", "invalid RFC3339"),
        ({"key": "other"}, "key", "must be 'f', as in the address; or leave it out"),
        ({"key": None}, "key", "must be 'f', as in the address; or leave it out"),
    ],
)
def test_a_fault_of_form_is_refused_with_its_place(
    document: dict[str, object], path: str, reason: str
) -> None:
    with pytest.raises(FlagInvalidError) as refused:
        read_flag(document, "f", strict=True)

    assert refused.value.path == path
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"name": "other"}, "name"),
        ({"includes": []}, "includes"),
        ({"include": "ann"}, "include"),
        ({"when": 5}, "when"),
        ({"when": {"a": math.nan}}, "when.a"),
    ],
)
def test_a_segments_fault_of_form_is_refused_with_its_place(
    document: dict[str, object], path: str
) -> None:
    with pytest.raises(FlagInvalidError) as refused:
        read_segment(document, "staff", strict=True)

    assert refused.value.path == path


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 10_000])
def test_what_is_nested_too_deep_is_refused(levels: int) -> None:
    nested: object = 1
    for _ in range(levels - 2):  # «variants» and its first name are two
        nested = {"a": nested}

    with pytest.raises(FlagInvalidError, match=f"goes deeper than {MAX_LEVELS} levels"):
        read_flag({**TEXT, "type": "object", "variants": {"a": nested}}, "f", strict=True)


def test_what_is_nested_just_not_too_deep_is_read() -> None:
    nested: object = 1
    for _ in range(MAX_LEVELS - 2):
        nested = [nested]

    assert read_flag({**TEXT, "variants": {"a": nested}}, "f", strict=True).variants["a"] == nested


def test_what_a_later_release_adds_to_a_stored_flag_is_ignored() -> None:
    stored = {
        "key": "f",
        "holdout": {"percentage": 5},
        "rollout": {"percentage": 5, "salt": "s", "serve": "on", "ramp": [1]},
        "rules": [{"when": {"$later": 1}, "serve": "on", "until": 1}],
        "schedule": {"repeats": "daily"},
        "prerequisites": [{"flag": "g", "variants": ["on"], "epoch": 1}],
    }

    flag = decode_flag(json.dumps(stored), "f")

    assert flag.rollout == Rollout(5.0, "s", (Share("on", 100.0),))
    assert flag.rules == (Rule({"$later": 1}, (Share("on", 100.0),)),)
    assert flag.schedule == Schedule()
    assert decode_segment('{"name": "staff", "owner": "ann"}', "staff") == Segment("staff")


@pytest.mark.parametrize(
    "stored",
    [
        b"\xff",
        b"",
        b"5",
        b"[]",
        b"{",
        b'{"description": "\\ud800"}',
        b'{"rollout": {"percentage": NaN}}',
        b'{"key": "g"}',
        b'{"enabled": 1}',
        b'{"type": "date"}',
        b'{"a":' * 100_000,
    ],
)
def test_what_cannot_be_read_back_is_one_error(stored: bytes) -> None:
    with pytest.raises(FlagInvalidError):
        decode_flag(stored, "f")


def test_a_stored_segment_or_audit_entry_that_cannot_be_read_is_one_error() -> None:
    with pytest.raises(FlagInvalidError):
        decode_segment("[]", "staff")
    with pytest.raises(FlagInvalidError):
        decode_audit("{}")


def test_an_audit_entry_is_read_back_as_it_was() -> None:
    entry = AuditEntry(
        3, AT, "put", "flag:f", Author("ada", "ø", "r1"), None, flag_json(a_flag("f"))
    )

    assert decode_audit(encode_audit(entry)) == entry


def test_an_audit_entry_is_shown_flat_and_in_utc() -> None:
    at = AT.astimezone(timezone(timedelta(hours=2)))
    entry = AuditEntry(3, at, "put", "flag:f", Author("ada", "why", "r1"), None, {"key": "f"})

    assert audit_json(entry) == {
        "version": 3,
        "at": "2026-01-02T03:04:05.678Z",
        "action": "put",
        "who": "ada",
        "why": "why",
        "request_id": "r1",
        "before": None,
        "after": {"key": "f"},
    }
    assert list(audit_json(entry)) == [
        "version",
        "at",
        "action",
        "who",
        "why",
        "request_id",
        "before",
        "after",
    ]


def test_the_versions_that_an_editor_sends_back_are_left_out() -> None:
    shown = flag_json(replace(a_flag(), version=3, epoch=2, updated_at=AT))

    sent_back = unversioned(shown)

    assert sent_back.keys() == shown.keys() - {"version", "epoch", "updated_at"}


def test_the_same_value_is_dumped_as_the_same_text() -> None:
    assert dump({"b": [1, {"d": "ø", "c": None}], "a": 1}) == '{"a":1,"b":[1,{"c":null,"d":"ø"}]}'
