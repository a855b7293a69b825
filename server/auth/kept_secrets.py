"""Secrets that development makes for itself: once, kept under `DATA_DIR`, mode 600.

Workers that share the folder, and start at the same moment, have the same ones.
"""

import errno
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from server.settings import MIN_SECRET_CHARS

MAX_FORMER = 3
"""Rotations in which what a secret signed is still good; of more the oldest falls."""


def kept_secret(path: Path) -> SecretStr:
    """Return the secret in the file, made now if there is none; survives restarts.

    Raises:
        OSError: the file can be neither read nor made.
    """
    if not path.exists():
        _make(path)
    value = path.read_text(encoding="ascii", errors="replace").strip()
    if len(value) < MIN_SECRET_CHARS:
        raise OSError(errno.EINVAL, "it is damaged")
    return SecretStr(value)


def former_secrets(path: Path) -> list[str]:
    """Return the secrets that were in the file before, the newest first; none where none was.

    Raises:
        OSError: they cannot be read.
    """
    try:
        listed = _former(path).read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError:
        return []
    if any(len(value) < MIN_SECRET_CHARS for value in listed):
        raise OSError(errno.EINVAL, "it is damaged")
    return listed


def rotate_kept_secret(path: Path) -> None:
    """Put a new secret into the file, and the one that was there before the former ones.

    A crash leaves the old secret or the new one, and the old one readable in both cases. Processes
    that run go on with what they read at their start.

    Raises:
        OSError: one of the files can be neither read nor written; the secret is the same.
    """
    former = [kept_secret(path).get_secret_value(), *former_secrets(path)]
    kept = dict.fromkeys(former)  # after a crash between the two writes it stands there twice
    _replace(_former(path), list(kept)[:MAX_FORMER])
    _replace(path, [_new_secret()])


def _former(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


def _make(path: Path) -> None:
    """Write a new secret in one step: a crash leaves none, or a whole one; the first one stays."""
    draft = _draft(path, [_new_secret()])
    try:
        path.hardlink_to(draft)  # unlike a rename it replaces nothing
    except FileExistsError:
        pass  # another worker was faster: its secret counts
    finally:
        draft.unlink()


def _replace(path: Path, lines: Sequence[str]) -> None:
    _draft(path, lines).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _draft(path: Path, lines: Sequence[str]) -> Path:
    """Return a file with these lines on disk, beside where it is to be."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    return draft
