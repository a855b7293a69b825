"""Secrets that development makes for itself: once, kept under `DATA_DIR`, mode 600."""

import os
import secrets
from pathlib import Path

from pydantic import SecretStr


def kept_secret(path: Path) -> SecretStr:
    """Return the secret in the file, made now if there is none; survives restarts.

    Raises:
        OSError: the file can be neither read nor made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return SecretStr(path.read_text(encoding="ascii").strip())
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        value = secrets.token_urlsafe(32)
        file.write(value + "\n")
    return SecretStr(value)
