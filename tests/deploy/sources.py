"""Sources of releases: this one, and others that differ from it in a known way."""

import io
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from server.version import VERSION
from tests.support.server import ROOT

Edit = tuple[str, str]
_VERSION = f'VERSION = "{VERSION}"'

NEWER: Mapping[str, Edit] = {
    "server/version.py": (_VERSION, 'VERSION = "99.2.0"'),
    "history/model.py": ("RECORD_VERSION = 1", "RECORD_VERSION = 2"),
    "history/mongo/documents.py": (
        '"v": RECORD_VERSION,',
        '"v": RECORD_VERSION, "added_later": {"by": "99.2.0"},',
    ),
    "streaming/events.py": (
        'name = "text.delta"\n\n    text: str\n',
        'name = "text.delta"\n\n    text: str\n    added_later: str = "by 99.2.0"\n',
    ),
}
"""A release whose records have another version and a field more, in the store and in the log."""

DEAF: Mapping[str, Edit] = {
    "server/version.py": (_VERSION, 'VERSION = "99.3.0"'),
    "server/routes/health.py": ("runner.is_draining:\n", "runner.is_draining or True:\n"),
}
"""A release that starts, and never becomes ready."""

BROKEN: Mapping[str, Edit] = {
    "server/version.py": (_VERSION, 'VERSION = "99.4.0"'),
    "server/serving.py": ("    raise_descriptor_limit(settings)\n", "    raise SystemExit(5)\n"),
}
"""A release whose settings and stores are good, and that ends at its start."""


def packed(folder: Path, edits: Mapping[str, Edit] | None = None, *, name: str = "source") -> Path:
    """Write what a release needs into an archive, with some files edited; return it.

    Raises:
        AssertionError: what is to be replaced is not there any more.
    """
    pending = dict(edits or {})
    archive = folder / f"{name}.tar"
    with tarfile.open(archive, "w") as made:
        for path in _paths():
            place = str(path.relative_to(ROOT))
            if place in pending:
                made.addfile(*_edited(path, place, pending.pop(place)))
            else:
                made.add(path, place)
    assert not pending, f"not in a release: {sorted(pending)}"
    return archive


def _paths() -> list[Path]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    found = [ROOT / "requirements.lock", ROOT / "pyproject.toml"]
    for folder in (*folders, "deploy/supervisor"):
        found += (
            path
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        )
    return found


def _edited(path: Path, place: str, edit: Edit) -> tuple[tarfile.TarInfo, io.BytesIO]:
    text = path.read_text(encoding="utf-8")
    assert edit[0] in text, f"{place} has no {edit[0]!r}"
    data = text.replace(*edit).encode()
    entry = tarfile.TarInfo(place)
    entry.size, entry.mode = len(data), 0o644
    return entry, io.BytesIO(data)
