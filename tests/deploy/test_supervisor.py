"""What is rendered for supervisor, and how an instance is started: without running any of it."""

import configparser
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dotenv import dotenv_values

from server.serving import CONNECTIONS_GRACE_S, IDLE_GRACE_S
from server.settings import Settings
from streaming.runner import STOP_GRACE_S
from tests.support.server import ROOT
from tests.support.supervisor import Installation, installed

RENDER = ROOT / "deploy/supervisor/render"
START = ROOT / "deploy/supervisor/start"
NOBODY = 65_534
PROOF = "9f8e7d6c5b4a39281706f5e4d3c2b1a0-made-up"


def rendered(folder: Path, *options: str) -> configparser.RawConfigParser:
    """Return the configuration that `render` writes."""
    command = [sys.executable, str(RENDER), "--out", str(folder), *options]
    subprocess.run(command, check=True, timeout=30)
    parsed = configparser.RawConfigParser(strict=True, comment_prefixes=(";",))
    parsed.read(folder / "supervisord.conf", encoding="utf-8")
    return parsed


def started(
    made: Installation, *words: str, release: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run `start` for a command of a release; our own environment holds what must not be seen."""
    command = [sys.executable, str(START), "--release", str(release)]
    command += ["--environment", str(made.environment), *words]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": os.defpath, "LOG_LEVEL": "no such level"},
    )


def test_each_instance_has_a_port_and_they_start_in_order(tmp_path: Path) -> None:
    made = rendered(tmp_path, "--instances", "3", "--first-port", "9100")

    programs = [made[name] for name in made.sections() if name.startswith("program:")]

    assert [each.name for each in programs] == [
        f"program:chatstream-{port}" for port in (9100, 9101, 9102)
    ]
    assert [each.getint("priority") for each in programs] == [100, 101, 102]
    assert made["group:chatstream"]["programs"] == "chatstream-9100,chatstream-9101,chatstream-9102"
    assert {each["user"] for each in programs} == {"chatstream"}
    assert "${" not in (tmp_path / "supervisord.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [[], ["--drain-s", "3"], ["--drain-s", "240"]])
def test_supervisor_waits_longer_than_an_instance_takes_to_leave(
    tmp_path: Path, options: list[str]
) -> None:
    made = rendered(tmp_path, *options)["program:chatstream-8000"]

    drain_s = int(options[1]) if options else round(Settings().drain_timeout_s)
    assert made["command"].endswith(f"--drain-s {drain_s}")
    leaving_s = STOP_GRACE_S + IDLE_GRACE_S + CONNECTIONS_GRACE_S
    assert int(made["stopwaitsecs"]) > drain_s + leaving_s
    assert made["stopsignal"] == "TERM"


def test_each_log_is_a_file_that_is_changed_at_a_size(tmp_path: Path) -> None:
    made = rendered(tmp_path, "--log-bytes", "1MB", "--log-backups", "3")

    for section in ("program:chatstream-8000", "program:chatstream-8001"):
        assert made[section]["stdout_logfile_maxbytes"] == "1MB"
        assert made[section]["stdout_logfile_backups"] == "3"
        assert made[section].getboolean("redirect_stderr")
    assert made["supervisord"]["logfile_maxbytes"] == "1MB"
    assert made["unix_http_server"]["chmod"] == "0700"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--root", "opt"], "--root takes an absolute path"),
        (["--user", "a;b"], "--user has a character"),
        (["--environment", "/etc/a b"], "--environment has a character"),
        (["--instances", "0"], "--instances takes a number from 1"),
        (["--instances", "65"], "--instances takes at most 64"),
        (["--first-port", "65535"], "--first-port leaves no 2 ports"),
        (["--log-bytes", "much"], "--log-bytes takes a size"),
    ],
)
def test_what_supervisor_would_read_otherwise_is_refused(
    tmp_path: Path, wrong: list[str], told: str
) -> None:
    command = [sys.executable, str(RENDER), "--out", str(tmp_path), *wrong]

    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert done.stderr.startswith(f"render: {told}")
    assert not (tmp_path / "supervisord.conf").exists()


def test_no_secret_is_in_the_configuration(tmp_path: Path) -> None:
    made = installed(tmp_path, {"admin_token": PROOF})

    assert PROOF in made.environment.read_text(encoding="utf-8")
    assert made.environment.stat().st_mode & 0o077 == 0
    assert PROOF not in (tmp_path / "supervisord.conf").read_text(encoding="utf-8")


def test_a_setting_that_cannot_be_used_is_told_without_its_value(tmp_path: Path) -> None:
    made = installed(tmp_path, {"admin_token": "short-secret"})

    done = started(made, "verify-indexes")

    assert done.returncode == 78
    assert "ADMIN_TOKEN" in done.stderr
    assert "short-secret" not in done.stderr
    assert "LOG_LEVEL" not in done.stderr  # of the caller's environment nothing is passed on


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_whoever_the_settings_belong_to(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    os.chown(made.environment, NOBODY, NOBODY)
    with TemporaryDirectory() as place:  # that everybody may enter, as they may not enter tmp_path
        release = Path(place)
        release.chmod(0o755)
        (release / ".venv/bin").mkdir(parents=True)
        python = release / ".venv/bin/python"
        python.write_text("#!/bin/sh\nid -u; id -g; id -G\n", encoding="ascii")
        python.chmod(0o755)

        done = started(made, release=release)

    assert (done.stdout, done.stderr) == (f"{NOBODY}\n" * 3, "")


def test_settings_that_others_may_read_are_not_used(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    made.environment.chmod(0o640)

    done = started(made, "verify-indexes")

    told = f"start: Others may read {made.environment}; run: chmod 600 {made.environment}\n"
    assert (done.returncode, done.stderr) == (78, told)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("SESSION_SECRET\n", "is no NAME=value"),
        ("DATA_DIR=data\n", "to an absolute path"),
        (f"ADMIN {PROOF}\n", "is no NAME=value"),
        (f"ADMIN={PROOF}\0\n", "is no NAME=value"),
        (f"ADMIN={PROOF} # of ours\n", "read it differently"),
        (f'ADMIN="{PROOF}" # of ours\n', "read it differently"),
        (f"ADMIN=${{HOME}}{PROOF}\n", "read it differently"),
        (f'ADMIN="{PROOF}\\n"\n', "read it differently"),
    ],
)
def test_a_line_that_is_no_setting_is_told_by_its_number(
    tmp_path: Path, line: str, told: str
) -> None:
    made = installed(tmp_path, {})
    with made.environment.open("a", encoding="utf-8") as file:
        file.write(line)

    done = started(made, "verify-indexes")

    assert done.returncode == 78
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert PROOF not in done.stderr


@pytest.mark.parametrize("value", ["a#b", "'a #b'", '"a \'b"', "a\\nb", "=", "", "$HOME"])
def test_a_value_is_what_other_commands_read(tmp_path: Path, value: str) -> None:
    made = installed(tmp_path, {})
    with made.environment.open("a", encoding="utf-8") as file:
        file.write(f"PROOF={value}\n")
    python = tmp_path / "release/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf %s "$PROOF"\n', encoding="ascii")
    python.chmod(0o755)

    done = started(made, release=tmp_path / "release")

    assert (done.stdout, done.stderr) == (dotenv_values(made.environment)["PROOF"], "")


@pytest.mark.parametrize(
    "words",
    [
        ["kill", "errors rise", "--abort"],
        ["kill", "--abort", "errors", "rise"],
        ["set", "5", "first", "users"],
        ["--root"],
    ],
)
def test_what_rollout_would_not_look_at_is_refused(words: list[str]) -> None:
    command = [str(ROOT / "scripts/rollout"), "--environment", "/nowhere", *words]

    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_what_cannot_be_written_or_started_is_a_line(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    python = tmp_path / "release/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    words = [sys.executable, str(ROOT / "deploy/supervisor/render"), "--out", str(python)]

    ended = started(made, release=tmp_path / "release")
    refused = subprocess.run(words, check=False, capture_output=True, text=True, timeout=30)

    assert (ended.returncode, refused.returncode) == (78, 1)
    assert "cannot be used" in ended.stderr
    assert ended.stderr.count("\n") == refused.stderr.count("\n") == 1


def test_without_a_release_there_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    made = installed(tmp_path, {})

    done = started(made, release=tmp_path / "nowhere")

    assert done.returncode == 78
    assert done.stderr.endswith("make one with scripts/deploy.\n")
