"""Patterns: RE2's, bounded, and what is undecided about them."""

import subprocess
import sys

import pytest

from flags.conditions import compile_condition
from flags.conditions.patterns import MAX_PATTERN_CHARS, MAX_PROGRAM, MAX_SUBJECT_CHARS
from flags.errors import ConditionError

RUNAWAYS = [
    ("(a+)+$", "a"),
    ("(a|aa)+$", "a"),
    ("^(a|a?)+$", "a"),
    ("(.*a){20}$", "a"),
    ("^(([a-z])+.)+[A-Z]([a-z])+$", "a"),
    ("(x+x+)+y", "x"),
    ("(?:(?:a*)*)*b", "a"),
    ("(a?){200}a{200}!", "a"),
]


@pytest.mark.parametrize(("pattern", "letter"), RUNAWAYS)
def test_a_pattern_made_to_run_away_answers(pattern: str, letter: str) -> None:
    # In a process of its own: an engine that backtracks would not come back, nor let itself be
    # interrupted.
    program = (
        "import sys; from flags.conditions import compile_condition\n"
        "pattern, text = sys.argv[1:]\n"
        "meets = compile_condition({'s': {'$regex': pattern}})\n"
        "print(meets({'s': text + ' '}))\n"
    )
    text = letter * (MAX_SUBJECT_CHARS - 1)

    done = subprocess.run(
        [sys.executable, "-c", program, pattern, text], capture_output=True, timeout=30, check=True
    )

    assert done.stdout.split() == [b"False"]
    assert done.stderr == b""


@pytest.mark.parametrize("operator", ["$regex", "$regexi", "$notRegex", "$notRegexi"])
def test_a_pattern_of_500_characters_is_taken_and_a_longer_one_is_not(operator: str) -> None:
    compile_condition({"s": {operator: "a" * MAX_PATTERN_CHARS}})

    with pytest.raises(ConditionError, match="at most 500 characters") as refused:
        compile_condition({"s": {operator: "a" * (MAX_PATTERN_CHARS + 1)}})
    assert refused.value.path == f"s.{operator}"


@pytest.mark.parametrize(
    "pattern",
    [
        "(" + "|".join(f"a.{{{400 + n}}}b" for n in range(40)) + ")c",
        "(a.{1000}|b.{999})*c$",
        ".{1000}" * 71,
        "(a{0,99}b{0,99}){0,9}x{0,999}",
        r"(\pL{500}){2}c",
    ],
)
def test_a_short_pattern_of_a_large_program_is_refused(pattern: str) -> None:
    with pytest.raises(ConditionError, match="too large"):
        compile_condition({"s": {"$regex": pattern}})
    assert not compile_condition({"s": {"$notRegex": pattern}}, strict=False)({"s": "x"})


def test_the_patterns_of_a_condition_are_bounded_together() -> None:
    one = {"s": {"$regex": "a{900}"}}

    compile_condition(one)

    assert 2 * 900 < MAX_PROGRAM < 3 * 900
    with pytest.raises(ConditionError, match="too large") as refused:
        compile_condition({"$or": [one, one, one]})
    assert refused.value.path == "$or.2.s.$regex"


@pytest.mark.parametrize("operator", ["$regex", "$notRegex"])
def test_a_text_that_is_too_long_is_undecided(operator: str) -> None:
    condition = {"s": {operator: "b"}}
    expected = operator == "$notRegex"

    for each, is_met in ((condition, expected), ({"$not": condition}, not expected)):
        meets = compile_condition(each)
        assert meets({"s": "a" * MAX_SUBJECT_CHARS}) is is_met
        assert not meets({"s": "a" * (MAX_SUBJECT_CHARS + 1)})


def test_divergence_1_the_end_is_the_very_end() -> None:
    meets = compile_condition({"s": {"$regex": "a$"}})

    assert meets({"s": "a"})
    assert not meets({"s": "a\n"})


def test_divergence_1_classes_mean_ascii() -> None:
    assert not compile_condition({"s": {"$regex": r"^\w\d$"}})({"s": "\u00e9\u0661"})


def test_a_pattern_that_is_refused_says_nothing_on_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for pattern in ("(", "a(?=b)", "\\8", "x{2000}", ".{1000}" * 71):
        with pytest.raises(ConditionError):
            compile_condition({"s": {"$regex": pattern}})

    assert capfd.readouterr().err == ""
