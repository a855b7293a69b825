"""Secrets are replaced only where that is said."""

import re
import subprocess
from pathlib import Path

import pytest

from operations import rotate_secrets
from operations.__main__ import run
from tests.support.server import ROOT

NAMES = ("JWT", "SESSION")


def test_nothing_is_replaced_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    assert run("rotate-secrets", []) == 1

    assert "--yes" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.long
def test_what_is_kept_is_replaced_and_the_order_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(Path(rotate_secrets.__file__).parents[1]))

    assert run("rotate-secrets", ["--yes"]) == 0

    assert {"jwt-secret", "session-secret"} <= {path.name for path in (tmp_path / "data").iterdir()}
    assert "restart each" in capfd.readouterr().out


@pytest.mark.long
def test_secrets_that_are_set_in_a_named_file_are_those_that_are_rotated(tmp_path: Path) -> None:
    """A colleague's data folder is not touched, nor are secrets made where others are set."""
    settings = tmp_path / "environment"
    lines = {f"{name}_SECRET": f"{name.lower()}-{'0123456789abcdef' * 2}" for name in NAMES}
    settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), "ascii")

    done = subprocess.run(
        [ROOT / "scripts/rotate-secrets", "--env-file", settings],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    first, then = done.stdout.split("2. then")
    for name in NAMES:
        new = re.search(rf"{name}_PREVIOUS_SECRETS=(\S+)", first)
        assert new is not None
        assert f"{name}_SECRET={new[1]}\n" in then, "what is known first is what signs then"
        assert f"{name}_PREVIOUS_SECRETS={lines[f'{name}_SECRET']}\n" in then
    assert [path.name for path in tmp_path.iterdir()] == ["environment"]


@pytest.mark.long
def test_commands_of_the_service_take_settings_of_a_file(tmp_path: Path) -> None:
    settings = tmp_path / "environment"
    settings.write_text(f"DATA_DIR={tmp_path}/elsewhere\n", encoding="utf-8")
    script = ROOT / "scripts/create-admin"

    for path, status in ((settings, 0), (tmp_path / "none", 78)):
        done = subprocess.run(
            [script, "ann@example.com", "--generate", f"--env-file={path}"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == status, done.stderr

    assert (tmp_path / "elsewhere/chat.db").exists()
