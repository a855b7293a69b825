"""Where the commands look: in a folder of the test."""

from pathlib import Path

import pytest

TURNS = 20


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the service that the commands find; nothing of this machine's counts."""
    folder = tmp_path / "data"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(folder))
    return folder
