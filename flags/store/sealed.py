"""JSON documents in files of their own, with a checksum: whole or refused, never half.

A document is `{"checksum": "sha256:…", "content": {…}}`. The checksum is over the content in its
canonical form, so indenting a file does no harm, and any other edit is found out.
"""

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from flags.codec import dump
from flags.errors import FlagStoreDamagedError, FlagStoreUnavailableError

FORMAT = 1
"""A later release that changes the meaning of what is here raises it; adding fields does not."""

_T = TypeVar("_T")

_LEFTOVER_S = 60.0
"""A temporary file that is older was left by a process that died."""


def read_sealed(path: Path, kind: type[_T]) -> _T | None:
    """Return a file's content; None where there is no file.

    Raises:
        FlagStoreDamagedError: it is not what was written; says which file, and what to do.
        FlagStoreUnavailableError: it cannot be read.
    """
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unavailable(path, error) from error
    fault, content = _opened(stored)
    if fault is None:
        try:
            return msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            fault = f"its content is not ours: {error}"
    raise FlagStoreDamagedError(
        f"{path} is damaged ({fault}); move it away, or put a backup in its place"
    )


def write_sealed(path: Path, content: dict[str, object]) -> None:
    """Put a document in the place of what is there; a crash leaves the one or the other.

    Raises:
        FlagStoreUnavailableError: with the system's reason.
    """
    content = {"format": FORMAT, **content}
    sealed = dump({"checksum": _checksum(content), "content": content}).encode()
    try:
        _remove_leftovers(path)
        _replace(path, sealed)
    except OSError as error:
        raise unavailable(path, error) from error


def unavailable(path: Path, error: OSError) -> FlagStoreUnavailableError:
    """Return what tells that a file cannot be used now."""
    return FlagStoreUnavailableError(f"{path}: {error.strerror or error}")


def _checksum(content: object) -> str:
    return f"sha256:{hashlib.sha256(dump(content).encode()).hexdigest()}"


def _opened(stored: bytes) -> tuple[str | None, object]:
    """Return what is wrong with a document, or None, and its content."""
    try:
        document = msgspec.json.decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "it is not JSON", None
    if not isinstance(document, dict) or document.keys() != {"checksum", "content"}:
        return "it is not a document of ours", None
    content = cast("object", document["content"])
    if document["checksum"] != _checksum(content):
        return "the checksum does not match", None
    if isinstance(content, dict) and content.get("format") != FORMAT:
        return f"it has the format {content.get('format')!r}, not {FORMAT}", None
    return None, content


def _replace(path: Path, sealed: bytes) -> None:
    # In the same folder, for only a rename within a file system is atomic. Mode 600.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # Else a power cut may bring the old file back after the new one was promised.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_S:
                leftover.unlink()
