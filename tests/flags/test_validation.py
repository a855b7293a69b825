"""What a definition must fulfil before it is stored, and what a change may not break."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flags.changes.validation import (
    MAX_DESCRIPTION_CHARS,
    MAX_FLAGS,
    MAX_LISTED,
    MAX_SEGMENTS,
    check_change,
    check_flag,
    check_kept,
    check_key,
    check_percentage,
    check_segment,
)
from flags.errors import ConditionError, FlagInvalidError
from flags.evaluate import MAX_ASKED, MAX_PREREQUISITE_DEPTH
from flags.model import Flag, Prerequisite, Rollout, Ruleset, Segment, Share
from tests.flags.factories import a_colour, a_flag, a_ruleset, a_segment

NOTHING = Ruleset()


def refusal(flag: Flag, ruleset: Ruleset = NOTHING) -> tuple[str, str]:
    """Return the place and the reason for which a flag is refused."""
    with pytest.raises(FlagInvalidError) as refused:
        check_flag(flag, ruleset)
    return refused.value.path, refused.value.reason


def refused_change(before: Ruleset, after: Ruleset) -> str:
    """Return place and reason for which a change is refused."""
    with pytest.raises(FlagInvalidError) as refused:
        check_change(before, after)
    return str(refused.value)


def needing(key: str, *needed: str) -> Flag:
    """Return a flag that needs others to be on."""
    return a_flag(key, prerequisites=[{"flag": other, "variants": ["on"]} for other in needed])


@pytest.mark.parametrize("key", ["a", "new_model-2", "0", "-", "a" * 100])
def test_a_key_of_small_letters_digits_and_strokes_is_taken(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["", "A", "a.b", "a b", "ø", "a\n", "a" * 101, "*", "a/b", "٣"])
def test_a_key_that_could_be_taken_for_another_is_refused(key: str) -> None:
    with pytest.raises(FlagInvalidError, match="takes 1 to 100 characters"):
        check_key(key)
    with pytest.raises(FlagInvalidError, match="takes 1 to 100 characters"):
        check_segment(Segment(key))
    assert refusal(replace(a_flag(), key=key))[0] == "key"


@pytest.mark.parametrize("percentage", [0, 0.0, -0.0, 0.001, 5, 12.345, 33.333, 99.999, 100, 100.0])
def test_a_percentage_in_thousandths_is_taken(percentage: float) -> None:
    check_percentage(percentage, "percentage")


@pytest.mark.parametrize(
    ("percentage", "reason"),
    [
        (True, "must be a number"),
        (False, "must be a number"),
        ("5", "must be a number"),
        (None, "must be a number"),
        (float("nan"), "must be from 0 to 100"),
        (float("inf"), "must be from 0 to 100"),
        (float("-inf"), "must be from 0 to 100"),
        (-0.001, "must be from 0 to 100"),
        (100.001, "must be from 0 to 100"),
        (10**400, "must be from 0 to 100"),
        (0.0001, "takes at most 3 decimals"),
        (0.1 + 0.2, "takes at most 3 decimals"),
        (1e-7, "takes at most 3 decimals"),
        (99.9999, "takes at most 3 decimals"),
    ],
)
def test_what_is_no_share_is_refused(percentage: object, reason: str) -> None:
    with pytest.raises(FlagInvalidError) as refused:
        check_percentage(percentage, "rollout.percentage")  # type: ignore[arg-type]  # the point

    assert (refused.value.path, refused.value.reason) == ("rollout.percentage", reason)


def test_every_percentage_of_three_decimals_is_taken() -> None:
    for step in range(100_001):
        check_percentage(step / 1000, "percentage")


@pytest.mark.parametrize(
    "weights",
    [
        (0.1, 0.2, 99.7),
        (33.333, 33.333, 33.334),
        (100, 0),
        (0.001, 99.999),
        (1.207, 69.758, 29.035),
    ],
)
def test_weights_that_add_up_as_they_are_written_are_taken(weights: tuple[float, ...]) -> None:
    flag = _dealing(*weights)

    check_flag(flag, NOTHING)


@pytest.mark.parametrize(
    ("weights", "path", "reason"),
    [
        ((0.1, 0.2, 99.6), "rollout.serve", "has weights that do not add up to 100"),
        ((33.333, 33.333, 33.333), "rollout.serve", "has weights that do not add up to 100"),
        ((50, 51), "rollout.serve", "has weights that do not add up to 100"),
        ((99.9,), "rollout.serve", "has weights that do not add up to 100"),
        ((), "rollout.serve", "must name at least one variant"),
        ((150, -50), "rollout.serve.0.weight", "must be from 0 to 100"),
        ((50, -50, 100), "rollout.serve.1.weight", "must be from 0 to 100"),
        ((33.3333, 66.6667), "rollout.serve.0.weight", "takes at most 3 decimals"),
    ],
)
def test_weights_that_are_no_whole_are_refused(
    weights: tuple[float, ...], path: str, reason: str
) -> None:
    assert refusal(_dealing(*weights)) == (path, reason)


def test_a_variant_is_dealt_once_and_exists() -> None:
    twice = [{"variant": "red", "weight": 50}] * 2

    assert refusal(a_colour(rollout={"serve": twice})) == (
        "rollout.serve",
        "names a variant twice",
    )
    assert refusal(a_colour(rollout={"serve": "pink"})) == (
        "rollout.serve.0.variant",
        "must be one of the flag's variants (red, green, blue)",
    )
    assert refusal(a_colour(rules=[{"when": {}, "serve": twice}]))[0] == "rules.0.serve"
    assert refusal(a_colour(default_variant="pink"))[0] == "default_variant"
    assert refusal(replace(a_colour(), off_variant="pink"))[0] == "off_variant"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", True),
        ("string", ""),
        ("number", 0),
        ("number", 2.5),
        ("object", {}),
        ("object", {"a": [1]}),
    ],
)
def test_a_variant_of_the_flags_type_is_taken(kind: str, value: object) -> None:
    check_flag(
        a_flag(type=kind, variants={"a": value}, off_variant="a", rollout={"serve": "a"}), NOTHING
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", 1), ("bool", "true"), ("bool", None), ("string", 1), ("string", None),
        ("number", True), ("number", "1"), ("number", None), ("object", []), ("object", "{}"),
        ("object", None),
    ],
)  # fmt: skip
def test_a_variant_of_another_type_is_refused(kind: str, value: object) -> None:
    flag = a_flag(type=kind, variants={"a": value}, off_variant="a", rollout={"serve": "a"})

    assert refusal(flag) == ("variants.a", f"must be a {kind}")


def test_variants_have_names_and_are_not_too_many() -> None:
    assert refusal(replace(a_flag(), variants={})) == ("variants", "must name at least one")
    assert refusal(replace(a_flag(), variants={"a b": True}))[0] == "variants.a b"
    assert refusal(replace(a_flag(), variants={"": True}))[0] == "variants."
    many = {f"v{n}": True for n in range(101)}
    assert refusal(replace(a_flag(), variants=many)) == ("variants", "takes at most 100")
    check_flag(a_flag(variants={f"v{n}": True for n in range(99)} | {"off": False}), NOTHING)


def test_a_salt_is_a_word() -> None:
    assert refusal(a_flag(rollout={"salt": "a.b"}))[0] == "rollout.salt"
    assert refusal(a_flag(rollout={"salt": ""}))[0] == "rollout.salt"
    check_flag(a_flag(rollout={"salt": "Summer_2026-2"}), NOTHING)


@pytest.mark.parametrize("listed", ["allow", "deny"])
def test_lists_hold_ids_and_not_too_many(listed: str) -> None:
    def with_units(*units: str) -> Flag:
        return a_flag(**{listed: list(units)})

    check_flag(with_units(*(f"u{n}" for n in range(MAX_LISTED))), NOTHING)
    check_flag(with_units("ø" * 256), NOTHING)
    assert refusal(with_units("")) == (listed, "takes ids of 1 to 256 characters")
    assert refusal(with_units("ø" * 257)) == (listed, "takes ids of 1 to 256 characters")
    too_many = with_units(*(f"u{n}" for n in range(MAX_LISTED + 1)))
    assert refusal(too_many) == (listed, f"takes at most {MAX_LISTED}")


@pytest.mark.parametrize("listed", ["include", "exclude"])
def test_a_segments_lists_hold_ids_and_not_too_many(listed: str) -> None:
    check_segment(a_segment(**{listed: ["ann"]}))
    with pytest.raises(FlagInvalidError, match=f"{listed}: takes ids"):
        check_segment(a_segment(**{listed: [""]}))
    with pytest.raises(FlagInvalidError, match=f"{listed}: takes at most"):
        check_segment(a_segment(**{listed: [f"u{n}" for n in range(MAX_LISTED + 1)]}))


def test_descriptions_and_names_are_no_books() -> None:
    whole, too_long = "x" * MAX_DESCRIPTION_CHARS, "x" * (MAX_DESCRIPTION_CHARS + 1)

    check_flag(a_flag(description=whole, rules=[{"when": {}, "name": whole}]), NOTHING)
    assert refusal(a_flag(description=too_long))[0] == "description"
    assert refusal(a_flag(rules=[{"when": {}, "name": too_long}]))[0] == "rules.0.name"
    with pytest.raises(FlagInvalidError, match="description: takes at most"):
        check_segment(a_segment(description=too_long))


def test_rules_are_checked_each_and_not_too_many() -> None:
    check_flag(a_flag(rules=[{"when": {}}] * 100), NOTHING)
    assert refusal(a_flag(rules=[{"when": {}}] * 101)) == ("rules", "takes at most 100")
    assert refusal(a_flag(rules=[{"when": {}}, {"when": {}, "percentage": 101}])) == (
        "rules.1.percentage",
        "must be from 0 to 100",
    )


def test_a_condition_that_cannot_be_understood_is_refused_with_its_place() -> None:
    flag = a_flag(rules=[{"when": {}}, {"when": {"$or": [{"age": {"$later": 1}}]}}])

    with pytest.raises(ConditionError) as refused:
        check_flag(flag, NOTHING)

    assert refused.value.path == "rules.1.when.$or.0.age.$later"
    with pytest.raises(ConditionError, match=r"when\.\$or"):
        check_segment(a_segment(when={"$or": 5}))


def test_a_condition_names_segments_that_exist() -> None:
    flag = a_flag(rules=[{"when": {"$segment": "staff"}}, {"when": {"id": {"$inGroup": "staff"}}}])

    check_flag(flag, a_ruleset(a_segment("staff")))

    path, reason = refusal(flag)
    assert path.startswith("rules.0.when")
    assert "does not exist" in reason


def test_segments_do_not_refer_to_each_other() -> None:
    with pytest.raises(ConditionError, match="does not exist"):
        check_segment(a_segment("a", when={"$segment": "a"}))


def test_a_schedule_has_time_zones_and_an_order() -> None:
    def on(starts_at: object, ends_at: object) -> Flag:
        return a_flag(schedule={"starts_at": starts_at, "ends_at": ends_at})

    check_flag(on("2027-01-01T12:00:00Z", "2027-01-01T12:00:00-01:00"), NOTHING)
    check_flag(on(None, "2027-01-01T12:00:00Z"), NOTHING)
    assert refusal(on("2027-01-01T12:00:00", None))[0] == "schedule.starts_at"
    assert refusal(on(None, "2027-01-01T12:00:00")) == (
        "schedule.ends_at",
        "needs a time zone, as in 2027-01-31T12:00:00Z",
    )
    for ends_at in ("2027-01-01T12:00:00Z", "2027-01-01T12:00:00+01:00"):
        assert refusal(on("2027-01-01T12:00:00Z", ends_at)) == (
            "schedule.ends_at",
            "must be after starts_at",
        )


def test_a_prerequisite_is_a_flag_and_a_variant_that_exist() -> None:
    others = a_ruleset(a_flag("other"))

    check_flag(needing("f", "other"), others)

    assert refusal(needing("f", "gone"), others) == (
        "prerequisites.0.flag",
        "is not a flag that exists; create it first",
    )
    pink = a_flag("f", prerequisites=[{"flag": "other", "variants": ["on", "pink"]}])
    assert refusal(pink, others)[0] == "prerequisites.0.variants"
    none = a_flag("f", prerequisites=[{"flag": "other", "variants": []}])
    assert refusal(none, others) == ("prerequisites.0.variants", "must name at least one")


def test_prerequisites_do_not_go_in_a_circle() -> None:
    a, b = needing("a", "b"), needing("b", "c")

    path, reason = refusal(needing("c", "d", "a"), a_ruleset(a, b, a_flag("d")))

    assert (path, reason) == ("prerequisites", "go in a circle: c > a > b > c")
    assert refusal(needing("a", "a")) == ("prerequisites", "go in a circle: a > a")


def test_prerequisites_go_ten_deep_and_not_eleven() -> None:
    def chain(length: int) -> Ruleset:
        return a_ruleset(a_flag("f0"), *(needing(f"f{n}", f"f{n - 1}") for n in range(1, length)))

    check_flag(needing("last", f"f{MAX_PREREQUISITE_DEPTH - 1}"), chain(MAX_PREREQUISITE_DEPTH))

    deep = MAX_PREREQUISITE_DEPTH + 1
    path, reason = refusal(needing("last", f"f{deep - 1}"), chain(deep))
    assert path == "prerequisites"
    assert reason.startswith("go deeper than 10 flags")


def test_a_chain_cannot_be_made_too_deep_from_its_far_end() -> None:
    whole = a_ruleset(
        a_flag("end"),
        a_flag("f0"),
        *(needing(f"f{n}", f"f{n - 1}") for n in range(1, MAX_PREREQUISITE_DEPTH + 1)),
    )
    deeper = replace(whole, flags={**whole.flags, "f0": needing("f0", "end")})

    check_flag(deeper.flags["f0"], whole)

    with pytest.raises(FlagInvalidError, match=r"flags\.f10\.prerequisites: go deeper"):
        check_kept(whole, deeper)


def test_one_decision_asks_a_hundred_flags_and_no_more() -> None:
    # Each level asks the one below twice: without a bound a decision's cost would double by level.
    levels = [a_flag("f0"), *(needing(f"f{n}", f"f{n - 1}", f"f{n - 1}") for n in range(1, 6))]
    ruleset = a_ruleset(*levels)

    check_flag(levels[-1], ruleset)  # 63 flags

    assert MAX_ASKED == 100
    assert refusal(needing("f6", "f5", "f5"), ruleset)[0] == "prerequisites"
    check_flag(needing("wide", *["f0"] * 99), ruleset)
    assert refusal(needing("wide", *["f0"] * 100), ruleset)[0] == "prerequisites"


def test_a_change_may_not_take_away_what_another_flag_asks_for() -> None:
    colour = a_colour("colour")
    asks = a_flag("asks", prerequisites=[{"flag": "colour", "variants": ["blue"]}])
    before = a_ruleset(colour, asks, a_flag("other"))

    without = replace(before, flags={"asks": asks, "other": before.flags["other"]})
    assert refused_change(before, without).startswith("flags.asks.prerequisites.0.flag: ")

    less = replace(colour, variants={"red": "r", "green": "g"})
    message = refused_change(before, replace(before, flags={**before.flags, "colour": less}))
    assert message.startswith("flags.asks.prerequisites.0.variants: ")

    more = replace(colour, variants={**colour.variants, "pink": "p"}, description="more")
    check_change(before, replace(before, flags={**before.flags, "colour": more}))


def test_a_change_may_not_close_a_circle_through_flags_that_it_leaves() -> None:
    before = a_ruleset(needing("a", "b"), needing("b", "c"), a_flag("c"))

    after = replace(before, flags={**before.flags, "c": needing("c", "a")})

    assert refused_change(before, after) == ("flags.c.prerequisites: go in a circle: c > a > b > c")


@pytest.mark.parametrize(
    "when",
    [
        {"$segment": "staff"},
        {"$segment": ["other", "staff"]},
        {"id": {"$inGroup": "staff"}},
        {"$or": [{"a": 1}, {"$not": {"id": {"$notInGroup": "staff"}}}]},
        {"$later": [{"$segment": "staff"}]},
    ],
)
def test_a_segment_that_a_rule_refers_to_stays(when: object) -> None:
    rules = [{"when": {}}, {"when": when}]
    before = Ruleset(
        flags={"f": replace(a_flag("f", rules=rules))},
        segments={name: a_segment(name) for name in ("staff", "other")},
    )

    after = replace(before, segments={"other": before.segments["other"]})

    assert refused_change(before, after).startswith("flags.f.rules.1.when: refers to the segment s")


def test_a_segment_that_no_rule_refers_to_may_go() -> None:
    rules = [{"when": {"$segment": "other"}}, {"when": {"name": "staff", "x": {"$in": ["staff"]}}}]
    before = a_ruleset(a_flag("f", rules=rules), a_segment("staff"), a_segment("other"))

    check_change(before, replace(before, segments={"other": before.segments["other"]}))


def test_a_segment_name_of_a_later_release_that_is_none_harms_nobody() -> None:
    rules = [{"when": {"$segment": {"any": [1]}, "a": {"$inGroup": [5, {}]}}}]
    before = a_ruleset(a_flag("f", rules=rules), a_segment("staff"))

    check_change(before, replace(before, segments={}))


def test_what_was_at_fault_before_a_change_does_not_hinder_it() -> None:
    # As a later release may have left it in the store.
    later = a_flag("later", rules=[{"when": {"$later": 1}}])
    circle = needing("circle", "circle")
    lost = needing("lost", "nowhere")
    pink = a_flag("pink", prerequisites=[{"flag": "other", "variants": ["pink"]}])
    before = a_ruleset(later, circle, lost, pink, a_flag("other"), version=3)

    other = a_flag("other", description="changed")
    after = replace(before, flags={**before.flags, "other": other, "new": a_flag("new")})

    check_change(before, after)


def test_a_change_is_refused_for_what_it_brings() -> None:
    bad_flag = replace(a_flag("f"), rollout=Rollout(101, "s", (Share("on", 100),)))
    bad_segment = a_segment("s", include=[""])

    assert refused_change(NOTHING, a_ruleset(bad_flag)).startswith("flags.f.rollout.percentage: ")
    assert refused_change(NOTHING, a_ruleset(bad_segment)).startswith("segments.s.include: ")


def test_flags_and_segments_are_not_too_many() -> None:
    flags = {f"f{n}": a_flag(f"f{n}") for n in range(MAX_FLAGS)}
    segments = {f"s{n}": Segment(f"s{n}") for n in range(MAX_SEGMENTS)}
    full = Ruleset(1, flags, segments)

    check_change(NOTHING, full)
    check_change(full, replace(full, flags={**flags, "f0": a_flag("f0", description="new")}))

    more = {**flags, "more": a_flag("more")}
    assert "1000 flags are kept" in refused_change(full, replace(full, flags=more))
    more_segments = {**segments, "more": Segment("more")}
    assert "1000 segments are kept" in refused_change(full, replace(full, segments=more_segments))


def test_too_many_from_before_may_become_fewer() -> None:
    flags = {f"f{n}": a_flag(f"f{n}") for n in range(MAX_FLAGS + 2)}
    fewer = {key: flag for key, flag in flags.items() if key != "f0"}

    check_change(Ruleset(1, flags), Ruleset(1, fewer))


def test_a_naive_time_that_came_from_code_is_refused_too() -> None:
    flag = a_flag()
    schedule = replace(flag.schedule, ends_at=datetime(2027, 1, 1, tzinfo=UTC).replace(tzinfo=None))

    assert refusal(replace(flag, schedule=schedule))[0] == "schedule.ends_at"


def test_a_prerequisite_of_a_flag_that_is_not_there_leads_nowhere() -> None:
    lost = replace(a_flag("lost"), prerequisites=(Prerequisite("nowhere", ("on",)),))
    loop = needing("loop", "loop")

    path, reason = refusal(needing("f", "lost", "loop"), a_ruleset(lost, loop))

    assert path == "prerequisites"
    assert reason.startswith("go deeper")


def _dealing(*weights: float) -> Flag:
    names = [f"v{n}" for n in range(len(weights))] or ["v0"]
    shares = tuple(Share(name, weight) for name, weight in zip(names, weights, strict=False))
    flag = a_flag(
        type="string",
        variants={name: name for name in names},
        off_variant="v0",
        rollout={"serve": "v0"},
    )
    return replace(flag, rollout=Rollout(5.0, "s", shares))
