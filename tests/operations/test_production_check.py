"""The report on the checklist, and on a checkout."""

import json
import sys
from pathlib import Path

import pytest

from operations import production_check, quick_check
from operations.findings import Level
from operations.steps import proven


@pytest.fixture
def checklist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "list.md"
    monkeypatch.setattr(production_check, "CHECKLIST", path)
    return path


def test_each_line_passes_fails_or_is_skipped_with_a_reason(
    checklist: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checklist.write_text(
        "- One: passes: `echo all well`\n"
        "- Two: fails: `false`\n"
        "- Three: has no address: `scripts/smoke $URL`\n"
        "- Four: tells somebody: `echo told` (`--send`)\n"
        "- Five: is not installed: `no-such-program`\n"
        "A line that is none.\n",
        encoding="utf-8",
    )

    status = production_check.main(["--json"])

    told = json.loads(capsys.readouterr().out)
    assert (status, told["ok"]) == (1, False)
    assert [found["level"] for found in told["findings"]] == ["ok", "fail", "skip", "skip", "skip"]
    assert "all well" in told["findings"][0]["said"]
    assert told["findings"][2]["said"] == "needs --url"
    assert told["findings"][3]["said"].endswith("--send")


def test_options_fill_in_what_lines_leave_open_without_a_shell(
    checklist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "environment").write_text("A_SETTING_OF_THE_FILE=here\n", encoding="ascii")
    checklist.write_text(
        "- Where: an address: `echo $URL $HOST ; exit 1`\n"
        "- Settings: of the file: `printenv A_SETTING_OF_THE_FILE`\n",
        encoding="utf-8",
    )
    options = ["--url", "https://chat.example.com", "--send"]

    status = production_check.main([*options, "--env-file", str(tmp_path / "environment")])

    said = capsys.readouterr().out
    assert status == 0
    assert "https://chat.example.com chat.example.com ; exit 1" in said
    assert "Settings: here" in said


def test_a_report_of_ours_that_fails_is_told_by_its_line_that_failed() -> None:
    report = "print('ok    one: well\\nfail  two: is gone\\n1 ok, 1 fail'); raise SystemExit(1)"

    assert proven("x", [sys.executable, "-c", report], timeout_s=10).said == (
        "status 1: fail  two: is gone"
    )


def test_a_warning_of_ours_stays_one() -> None:
    warning = "print('warn  git: changed')"

    assert proven("x", [sys.executable, "-c", warning], timeout_s=10).level is Level.WARN


def test_what_looked_at_nothing_is_skipped() -> None:
    nothing = "print('skip  audit: no network'); raise SystemExit(77)"

    found = proven("x", [sys.executable, "-c", nothing], timeout_s=10)

    assert (found.level, found.said) == (Level.SKIP, "skip  audit: no network")


def test_a_command_that_does_not_end_fails() -> None:
    assert proven("slow", ["sleep", "5"], timeout_s=0.1).level is Level.FAIL


def test_a_checkout_is_judged_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    status = quick_check.main(
        ["--only", "git", "--only", "health", "--url", "http://127.0.0.1:9", "--json"]
    )

    told = json.loads(capsys.readouterr().out)
    levels = {found["name"]: found["level"] for found in told["findings"]}
    assert status == 1
    assert levels["git"] in {"ok", "warn", "skip"}
    assert levels["health"] == "fail"
