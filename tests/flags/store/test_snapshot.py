"""Rulesets in files: kept by a process, or written by people."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from flags.codec import flag_json, segment_json
from flags.errors import (
    FlagInvalidError,
    FlagStoreDamagedError,
    FlagStoreError,
    FlagStoreUnavailableError,
)
from flags.model import Ruleset
from flags.store.sealed import write_sealed
from flags.store.snapshot import read_bootstrap, read_snapshot, write_snapshot
from tests.support.commits import a_flag, a_segment

RULESET = Ruleset(
    7,
    {"a": a_flag("a", 12.345, description="世界 🎈"), "b": a_flag("b", kill=True)},
    {"s": a_segment("s", "ada", "ü")},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot.json"


def test_a_snapshot_is_read_as_it_was_written(path: Path) -> None:
    write_snapshot(path, Ruleset(3))
    write_snapshot(path, RULESET)

    assert read_snapshot(path) == RULESET
    assert [child.name for child in path.parent.iterdir()] == ["snapshot.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_there_is_no_snapshot_where_there_is_no_file(path: Path) -> None:
    assert read_snapshot(path) is None
    assert read_snapshot(path / "deeper" / "still") is None


def test_an_empty_ruleset_is_a_snapshot_too(path: Path) -> None:
    write_snapshot(path, Ruleset())

    assert read_snapshot(path) == Ruleset()


def test_a_damaged_snapshot_is_told(path: Path) -> None:
    write_snapshot(path, RULESET)
    path.write_bytes(path.read_bytes().replace(b"12.345", b"12.346"))

    with pytest.raises(FlagStoreDamagedError, match=r"snapshot\.json is damaged"):
        read_snapshot(path)


def test_what_cannot_be_read_in_a_snapshot_is_left_out(path: Path) -> None:
    write_sealed(path, {"version": 2, "definitions": {"flag:a": "{", "flag:b": '{"key":"b"}'}})

    with capture_logs() as logs:
        ruleset = read_snapshot(path)

    assert ruleset is not None
    assert (ruleset.version, list(ruleset.flags)) == (2, ["b"])
    assert [log["key"] for log in logs] == ["flag:a"]


def test_a_snapshot_that_cannot_be_written_leaves_nothing_behind(path: Path) -> None:
    path.mkdir()

    with pytest.raises(FlagStoreUnavailableError, match=r"snapshot\.json: Is a directory"):
        write_snapshot(path, RULESET)

    assert [child.name for child in path.parent.iterdir()] == ["snapshot.json"]


def test_an_exported_ruleset_is_read_without_its_versions(path: Path) -> None:
    exported = {
        "flags": {key: flag_json(flag) for key, flag in RULESET.flags.items()},
        "segments": {name: segment_json(one) for name, one in RULESET.segments.items()},
    }
    for flag in exported["flags"].values():
        flag |= {"version": 7, "epoch": 2, "updated_at": "2026-01-02T03:04:05Z"}
    path.write_text(json.dumps(exported), encoding="utf-8")

    assert read_bootstrap(path) == Ruleset(0, RULESET.flags, RULESET.segments)


@pytest.mark.parametrize("text", ["{}", '{"flags":{}}', '\ufeff{"segments": {}}\r\n'])
def test_what_a_bootstrap_file_leaves_out_is_empty(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

    assert read_bootstrap(path) == Ruleset()


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", "{file}", "is not JSON"),
        ("[]", "{file}", "is not a JSON object"),
        ("[" * 100_000, "{file}", "is not JSON"),
        ('{"flag": {}}', "flag", "is not a known field"),
        ('{"flags": []}', "flags", "is not an object of definitions"),
        ('{"segments": {"s": 7}}', "segments.s", "is not an object"),
        ('{"flags": {"a": {"key": "b"}}}', "flags.a.key", "must be 'a'"),
        ('{"flags": {"a": {"colour": 1}}}', "flags.a.colour", "is not a known field"),
        (
            '{"flags": {"a": {"rollout": {"percentage": "5"}}}}',
            "flags.a.rollout.percentage",
            "expected `float`",
        ),
        ('{"segments": {"s": {"include": "ada"}}}', "segments.s.include", "expected `array`"),
        ('{"flags": {"a": {}, "a": {}}}', "a", "stands twice"),
        ('{"flags": {"a": {"rollout": {"percentage": NaN}}}}', "", "NaN is not a number"),
        ('{"flags": {"a": {"type": "string"}}}', "flags.a", "missing required field `variants`"),
    ],
)
def test_a_fault_in_a_bootstrap_file_is_told_with_its_place(
    path: Path, text: str, place: str, reason: str
) -> None:
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FlagInvalidError) as caught:
        read_bootstrap(path)

    assert caught.value.path == place.format(file=path)
    assert reason in caught.value.reason


def test_a_bootstrap_file_in_another_encoding_is_no_json(path: Path) -> None:
    path.write_bytes('{"flags": {"ü": {}}}'.encode("latin-1"))

    with pytest.raises(FlagInvalidError, match="is not JSON"):
        read_bootstrap(path)


def test_a_bootstrap_file_that_cannot_be_read_is_told(path: Path) -> None:
    with pytest.raises(FlagStoreError, match=r"snapshot\.json: No such file"):
        read_bootstrap(path)
