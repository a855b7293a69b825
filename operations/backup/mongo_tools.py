"""MongoDB's own `mongodump` and `mongorestore`, where they are installed."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from operations.backup.archive import Part, sealed
from operations.findings import OperationError

ARCHIVE = "mongodb.archive.gz"


def are_here() -> bool:
    """Whether both programs are installed."""
    return all(shutil.which(name) for name in ("mongodump", "mongorestore"))


def dump(uri: str, database: str, folder: Path) -> Part:
    """Have the database dumped into one file.

    Raises:
        OperationError: the program failed.
    """
    path = folder / ARCHIVE
    _run(["mongodump", f"--db={database}", "--gzip", f"--archive={path}"], uri)
    path.chmod(0o600)
    return sealed(path, "mongodump")


def load(uri: str, database: str, part: Part, folder: Path) -> None:
    """Have the dump put back; collections that are in it are replaced.

    Raises:
        OperationError: the program failed.
    """
    archive = f"--archive={folder / part.path}"
    _run(["mongorestore", f"--nsInclude={database}.*", "--gzip", archive, "--drop"], uri)


def _run(command: list[str], uri: str) -> None:
    """Run a program; the address goes in a file, as arguments can be read by everybody."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.touch(mode=0o600)
        config.write_text(f"uri: {json.dumps(uri)}\n", encoding="utf-8")
        command = [command[0], f"--config={config}", *command[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # names of our own
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise OperationError(f"{command[0]} ended with {done.returncode}: {said[:300]}")
