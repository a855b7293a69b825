"""An archive: a folder of files with a manifest that says what they are and what they hash to."""

import fcntl
import gzip
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal, cast

import msgspec

from operations.findings import OperationError
from server.version import VERSION

FORMAT = 1
"""Grows only when an older release could no longer read an archive."""

MANIFEST = "manifest.json"
PREFIX = "chatstream-"
_DRAFT = ".draft-"
_SAME_SECOND = 100
_BLOCK_BYTES = 1 << 20

Kind = Literal[
    "collection", "mongodump", "sqlite", "file", "redis_flags", "redis_figures", "secret"
]


class Part(msgspec.Struct, frozen=True):
    """One file: `entries` are the documents, rows or keys in it.

    `counts` are a SQLite file's rows by table; `digest` is of a collection's documents in the order
    of their ids, `indexes` are its indexes as extended JSON, `expires`: the store itself removes
    documents of it; `database` is the one that mongodump read.
    """

    path: str
    kind: Kind
    bytes: int
    sha256: str
    entries: int = 0
    digest: str = ""
    counts: dict[str, int] = {}
    indexes: list[str] = []
    expires: bool = False
    database: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds, by which release it was made, when (UTC) and in how many seconds."""

    format: int
    version: str
    made_at: str
    seconds: float
    store: Literal["sqlite", "mongodb"]
    flags: Literal["file", "redis"]
    parts: list[Part]

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(part.bytes for part in self.parts)


class _Head(msgspec.Struct, frozen=True):
    """Of a manifest, what every release can read."""

    format: int
    version: str


@contextmanager
def drafted(root: Path) -> Iterator[Path]:
    """Yield a folder to fill and to `publish`; what was not published is gone after the block.

    Drafts of others that were killed go first: nobody holds their lock any more.

    Raises:
        OSError: the folder cannot be made.
    """
    name = f"{PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    draft = root / f"{_DRAFT}{name}.{os.getpid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for dead in root.glob(f"{_DRAFT}{PREFIX}*"):
        with _held(dead) as is_ours:
            if is_ours:
                shutil.rmtree(dead, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        with _held(draft):
            yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def publish(draft: Path) -> Path:
    """Make a draft that is on disk an archive, whole or not at all; return its folder."""
    for path in (*draft.iterdir(), draft):
        _to_disk(path)
    name = draft.name.removeprefix(_DRAFT).rpartition(".")[0]
    for number in range(1, _SAME_SECOND):
        archive = draft.with_name(name if number == 1 else f"{name}-{number:02}")
        if not archive.exists():
            # A folder that somebody fills is never replaced: one made meanwhile is an OSError.
            draft.rename(archive)
            _to_disk(archive.parent)
            return archive
    raise OperationError(f"{draft.parent} has {_SAME_SECOND} archives of this second; try again.")


def write_manifest(
    folder: Path,
    parts: list[Part],
    *,
    began_at: float,
    store: Literal["sqlite", "mongodb"],
    flags: Literal["file", "redis"],
) -> Manifest:
    """Write what the folder holds; `began_at` is by the monotonic clock."""
    manifest = Manifest(
        format=FORMAT,
        version=VERSION,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began_at, 2),
        store=store,
        flags=flags,
        parts=parts,
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    with private(folder / MANIFEST) as file:
        file.write(text + b"\n")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return what an archive holds.

    Raises:
        OperationError: it is none, or this release cannot read it.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
        head = msgspec.json.decode(text, type=_Head)
        if head.format > FORMAT:
            raise OperationError(
                f"{folder} was made by a newer release ({head.version}); restore it with that one."
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except OSError as error:
        raise OperationError(
            f"{folder} is no archive: {path.name}: {error.strerror}; name a folder {PREFIX}…."
        ) from None
    except msgspec.MsgspecError as error:
        raise OperationError(f"{path} is damaged ({error}); take another archive.") from None
    if any(Path(part.path).name != part.path for part in manifest.parts):
        raise OperationError(f"{path} names files elsewhere; take another archive.")
    return manifest


def check(folder: Path, manifest: Manifest) -> None:
    """Read all files of an archive and compare them with its manifest.

    Raises:
        OperationError: one is missing or is not what it was; the first of them.
    """
    for part in manifest.parts:
        path = folder / part.path
        try:
            size, found = path.stat().st_size, hash_of(path)
        except OSError as error:
            raise OperationError(f"{path} cannot be read: {error.strerror}.") from None
        if (size, found) != (part.bytes, part.sha256):
            raise OperationError(
                f"{path} is damaged: its checksum is another; nothing was restored."
            )


def sealed(path: Path, kind: Kind, *, entries: int = 0) -> Part:
    """Return the part that a written file is."""
    return Part(path.name, kind, path.stat().st_size, hash_of(path), entries)


def prune(root: Path, keep: int, *, made: Path) -> list[str]:
    """Remove all archives of the folder but `keep`, the newest by name; return who was removed.

    The one that was just made stays, whatever the clock said when others were. One that is being
    removed is no archive any more, also where this is broken off.
    """
    others = (path for path in root.glob(f"{PREFIX}*") if (path / MANIFEST).is_file())
    archives = sorted(path for path in others if path != made)
    removed = archives[: len(archives) - (keep - 1)] if keep <= len(archives) else []
    for path in removed:
        shutil.rmtree(path.rename(path.with_name(f"{_DRAFT}{path.name}")))
    return [path.name for path in removed]


def hash_of(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def private(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file


@contextmanager
def packing(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file of the same kind that is compressed as it is written."""
    with private(path) as file, gzip.GzipFile("", "wb", 3, file, mtime=0) as packed:
        yield cast("BinaryIO", packed)


def pack(source: Path, path: Path) -> None:
    """Compress a file into another one."""
    with source.open("rb") as file, packing(path) as packed:
        shutil.copyfileobj(file, packed, _BLOCK_BYTES)


def unpack(path: Path, target: Path) -> None:
    """Write what a compressed file holds into a new one, and to disk."""
    with gzip.open(path, "rb") as packed, private(target) as file:
        shutil.copyfileobj(packed, file, _BLOCK_BYTES)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder's lock for the block, if nobody does; yield whether it is held here."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False  # it was removed meanwhile, or is another user's
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_held = True
    except OSError:
        is_held = False
    try:
        yield is_held
    finally:
        os.close(descriptor)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
