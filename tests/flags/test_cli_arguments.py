"""What the operators' command takes, and how it shows what it found."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from flags.cli import values
from flags.cli.arguments import parse
from flags.cli.output import printable, table
from flags.cli.place import choose_place, read_settings, shown_url
from flags.cli.ramp import stages_of


@pytest.mark.parametrize(
    ("current", "first", "expected"),
    [
        (0, None, [1, 5, 25]),
        (5, None, [25]),
        (0, 2, [2, 5, 25]),
        (5, 2, [25]),
        (3, 7.5, [7.5, 25]),
        (25, None, []),
        (25, 1, []),
    ],
)
def test_a_ramp_begins_above_todays_percentage(
    current: float, first: float | None, expected: list[float]
) -> None:
    assert stages_of(current, first, (1, 5, 50), 25) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "lisst",
        "get",
        "set beta -1",
        "set beta nan",
        "set beta 1e1",
        "set beta 1_0",
        "set beta \u0665",
        "set beta 100.001",
        "set beta 0.0001",
        "set beta 5 --if-version -1",
        "set beta 5 --if-version 99999999999999999999999",
        "set beta 5 --wh because",
        "list --file a --redis redis://b",
        "list --file=",
        "history beta --limit 0",
        "explain beta u --attribute age",
        "explain beta u --attribute age={",
        "explain beta u\udcff",
        "ramp beta",
        "ramp beta 5 5",
        "ramp beta 1 2 3",
        "ramp beta 5 --steps 5,1",
        "ramp beta 5 --steps 0,1",
        "ramp beta 5 --steps ,",
        "ramp beta 5 --every 10",
        "ramp beta 5 --every 0s",
        "ramp beta 5 --every 8d",
        "list --rediss redis://u:geheim@localhost",
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(line.split())

    said = capsys.readouterr().err
    assert (exit_.value.code, said.count("\n")) == (2, 1)
    assert "--help)" in said
    assert "geheim" not in said


def test_options_stand_before_or_after_the_command() -> None:
    before = parse(["--json", "--file", "a", "ramp", "--every", "1.5h", "beta", "5%", "10"])
    after = parse(["ramp", "beta", "5", "10", "--every", "90m", "--file", "a", "--json"])

    assert vars(before) == vars(after)
    assert (after.first, after.last, after.every, after.file) == (5, 10, 5400, Path("a"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("age=18", ("age", 18)),
        ("country=CH", ("country", "CH")),
        ("beta=true", ("beta", True)),
        ('version="1.10"', ("version", "1.10")),
        ("a=b=c", ("a", "b=c")),
        ("none=", ("none", "")),
        ("far=1e999", ("far", "1e999")),
        ("no=NaN", ("no", "NaN")),
        ('tags=["x"]', ("tags", ["x"])),
    ],
)
def test_an_attribute_is_json_or_a_bare_word(given: str, expected: tuple[str, object]) -> None:
    assert values.attribute(given) == expected


def test_a_reason_has_a_bound() -> None:
    assert values.why("x" * values.MAX_WHY_CHARS)
    with pytest.raises(ArgumentTypeError, match="at most 500"):
        values.why("x" * (values.MAX_WHY_CHARS + 1))


def test_options_come_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(
        "redis_url='redis://a:b@one/1?x=y'\nKILLED_FLAGS=beta, other\nNOTHING\n", encoding="utf-8"
    )
    kept = read_settings({"DATA_DIR": "d"})
    overridden = read_settings({"REDIS_URL": "rediss://two"})
    unset = read_settings({"REDIS_URL": "", "Data_Dir": "d"})

    assert choose_place(None, None, kept).shown == "redis://one/1"
    assert kept.kills().read() == {"beta", "other"}
    assert choose_place(None, None, overridden).url == "rediss://two"
    assert choose_place(None, None, unset).path == Path("d/flags.json")
    assert choose_place(None, Path("x"), kept).path == Path("x")
    assert choose_place("unix:///run/r.sock?password=x", None, kept).shown == "unix:///run/r.sock"
    assert "redis" not in repr(choose_place("redis://:x@h", None, kept)).replace("redis://h", "")
    assert shown_url("redis://[half") == "Redis"


def test_a_redis_is_found_in_a_file_of_its_own_as_the_service_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()

    without = read_settings({"SECRETS_DIR": str(folder)})
    (folder / "redis_url").write_text("redis://three\n", encoding="utf-8")
    found = read_settings({"SECRETS_DIR": str(folder)})
    overridden = read_settings({"SECRETS_DIR": str(folder), "REDIS_URL": "redis://four"})

    assert without.redis_url is None
    assert found.redis_url == "redis://three"
    assert overridden.redis_url == "redis://four"


def test_tables_are_aligned_and_steer_no_terminal() -> None:
    lines = table(
        ("NAME", "X"), [("日本", "a"), ("e\u0301", "b\x07\n"), ("\u202e", "")]
    ).splitlines()

    assert lines == ["NAME    X", "日本    a", "e\u0301       b\\x07\\n", "\\u202e"]
    assert printable("a\x1b[2J\u200d\ud800") == "a\\x1b[2J\u200d\\ud800"
