"""Secrets are replaced only where that is said."""

from pathlib import Path

import pytest

from operations import rotate_secrets


def test_nothing_is_replaced_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    assert rotate_secrets.main([]) == 1

    assert "--yes" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.long
def test_what_is_kept_is_replaced_and_the_order_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(Path(rotate_secrets.__file__).parents[1]))

    assert rotate_secrets.main(["--yes"]) == 0

    assert {"jwt-secret", "session-secret"} <= {path.name for path in (tmp_path / "data").iterdir()}
    assert "restart each" in capfd.readouterr().out
