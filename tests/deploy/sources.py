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


STAND_IN = """
import http.server, os, pathlib, signal, sys
from server.version import VERSION
if sys.argv[1:]:
    raise SystemExit(0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
held = pathlib.Path(os.environ["DATA_DIR"], f"hold-{VERSION}")
class Serving(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"version":"%s"}' % VERSION.encode()
        self.send_response(503 if held.exists() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Serving).serve_forever()
"""


def stand_in(folder: Path, version: str) -> Path:
    """Write a release that is ready where there is no `hold-VERSION` in DATA_DIR: no more."""
    contents = {
        "server/__init__.py": "",
        "server/__main__.py": STAND_IN,
        "server/version.py": f'VERSION = "{version}"\n',
        "requirements.lock": "nothing-of-this-name==1.0 --hash=sha256:" + "0" * 64 + "\n",
    }
    archive = folder / f"{version}.tar"
    with tarfile.open(archive, "w") as made:
        for place, text in contents.items():
            entry = tarfile.TarInfo(place)
            entry.size, entry.mode = len(text), 0o644
            made.addfile(entry, io.BytesIO(text.encode()))
        made.add(ROOT / "deploy/supervisor", "deploy/supervisor", filter=_without_caches)
    return archive


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry


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
