"""The systemd units: no systemd runs in the tests; what they say is checked, not what they do."""

import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from server.serving import CONNECTIONS_GRACE_S
from streaming.runner import STOP_GRACE_S
from tests.support.server import ROOT

UNITS = ROOT / "deploy/systemd"
CURRENT = Path("/opt/chatstream/current")


def settings_of(unit: str) -> dict[str, list[str]]:
    """Return a unit's settings: each with all its values."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for line in (UNITS / unit).read_text(encoding="utf-8").splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found[name].append(value)
    return dict(found)


def test_systemd_waits_longer_than_an_instance_takes_to_leave() -> None:
    unit = settings_of("chatstream@.service")
    words = shlex.split(unit["ExecStart"][0])

    drain_s = int(words[words.index("--drain-s") + 1])

    assert int(unit["TimeoutStopSec"][0]) > drain_s + STOP_GRACE_S + CONNECTIONS_GRACE_S
    assert unit["KillSignal"] == ["SIGTERM"]
    assert unit["RestartPreventExitStatus"] == ["78"]


def test_an_instance_is_started_by_a_program_that_a_release_has() -> None:
    words = shlex.split(settings_of("chatstream@.service")["ExecStart"][0])

    assert (ROOT / Path(words[1]).relative_to(CURRENT)).stat().st_mode & 0o111
    assert words[words.index("--port") + 1] == "%i"


def test_memory_is_bounded_and_the_file_of_settings_is_in_no_unit() -> None:
    unit = settings_of("chatstream@.service")

    assert unit["MemoryMax"] == ["1280M"]
    assert "Environment" not in unit
    assert "EnvironmentFile" not in unit


def test_the_unit_of_supervisord_which_is_roots_does_not_take_the_instances_data() -> None:
    assert "StateDirectory" not in settings_of("chatstream-supervisor.service")


@pytest.mark.services
def test_systemd_itself_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed (systemd)")
    # It looks for programs where they are to be: those of an installation are not there here.
    for unit in UNITS.glob("chatstream*.[st]*"):
        lines = unit.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = (line for line in lines if not line.startswith(("ExecStart=", "ExecReload=")))
        text = "".join(kept).replace("[Service]", "[Service]\nExecStart=/bin/true")
        (tmp_path / unit.name.replace("@", "@8000")).write_text(text, encoding="utf-8")

    units = [str(each) for each in tmp_path.iterdir()]
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    ours = [line for line in done.stderr.splitlines() if "chatstream" in line]
    assert ours == []
