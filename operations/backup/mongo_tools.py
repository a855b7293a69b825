"""MongoDB's own `mongodump` and `mongorestore`, where they are installed."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from operations.backup.archive import Part, sealed
from operations.findings import OperationError

SUFFIX = ".archive.gz"


def are_here() -> bool:
    """Whether both programs are installed."""
    return all(shutil.which(name) for name in ("mongodump", "mongorestore"))


def dump(uri: str, database: str, collection: str, folder: Path) -> Part:
    """Have a collection dumped into a file.

    Raises:
        OperationError: the program failed.
    """
    path = folder / f"{collection}{SUFFIX}"
    path.touch(mode=0o600)
    what = (f"--db={database}", f"--collection={collection}")
    _run(["mongodump", *what, "--gzip", f"--archive={path}"], uri)
    return msgspec.structs.replace(sealed(path, "mongodump"), database=database)


def load(uri: str, database: str, part: Part, folder: Path) -> None:
    """Have a dump put back; what the collection holds is replaced.

    Raises:
        OperationError: the program failed, or is not installed.
    """
    name = part.path.removesuffix(SUFFIX)
    theirs, ours = f"{part.database}.{name}", f"{database}.{name}"
    where = [f"--nsInclude={theirs}", f"--nsFrom={theirs}", f"--nsTo={ours}"]
    _run(["mongorestore", *where, "--gzip", f"--archive={folder / part.path}", "--drop"], uri)


def _run(command: list[str], uri: str) -> None:
    """Run a program; the address goes in a file, as arguments can be read by everybody."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.touch(mode=0o600)
        config.write_text(f"uri: {json.dumps(uri)}\n", encoding="utf-8")
        command = [command[0], f"--config={config}", *command[1:]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # names of our own
        except FileNotFoundError:
            raise OperationError(f"there is no {command[0]}: install MongoDB's tools.") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise OperationError(f"{command[0]} ended with {done.returncode}: {said[:300]}")
