"""The nightly backup: what the units name is there, and they agree with the service's own."""

import shlex
from pathlib import Path

from operations.backup.command import _parser
from tests.support.server import ROOT

UNITS = ROOT / "deploy/systemd"
CURRENT = "/opt/chatstream/current/"


def unit(name: str) -> dict[str, str]:
    """Return a unit's settings, the last of each."""
    lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key: value for key, _, value in pairs}


def test_the_command_of_the_service_is_one_that_backup_takes() -> None:
    program, *arguments = shlex.split(unit("chatstream-backup.service")["ExecStart"])

    given = _parser().parse_args(arguments)

    assert (ROOT / program.removeprefix(CURRENT)).stat().st_mode & 0o111
    assert given.keep >= 7
    assert str(given.folder) in unit("chatstream-backup.service")["ReadWritePaths"]
    assert not given.with_secrets


def test_it_runs_as_who_owns_the_settings_and_reads_the_same() -> None:
    backup, instance = unit("chatstream-backup.service"), unit("chatstream@.service")

    assert backup["User"] == instance["User"]
    assert shlex.split(backup["ExecStart"])[-1] in instance["ExecStart"]
    assert backup["Documentation"] == f"file:{CURRENT}docs/backup.md"


def test_the_timer_makes_up_for_a_night_that_was_missed() -> None:
    timer = unit("chatstream-backup.timer")

    assert timer["Persistent"] == "yes"
    assert timer["OnCalendar"].startswith("*-*-* ")
    assert Path(UNITS / "chatstream-backup.service").exists()
