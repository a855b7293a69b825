"""Secrets that development makes for itself: once, kept under `DATA_DIR`, mode 600.

Workers that share the folder, and start at the same moment, have the same ones.
"""

import errno
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from server.settings import MIN_SECRET_CHARS


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


def _make(path: Path) -> None:
    """Write a new secret in one step: a crash leaves none, or a whole one; the first one stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)  # unlike a rename it replaces nothing
    except FileExistsError:
        pass  # another worker was faster: its secret counts
    finally:
        draft.unlink()
