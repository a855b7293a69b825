"""Making an archive of all that the settings lead to."""

import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import anyio

from operations.backup import flags, mongo, mongo_tools, sqlite
from operations.backup.archive import Manifest, Part, drafted, private, sealed, write_manifest
from server.settings import Settings

Engine = Literal["auto", "mongodump", "built-in"]

DATABASES = ("chat.db", "metrics.db")
FLAG_FILES = ("flags.json", "rollout.json", "killed-flags")
KEPT_SECRETS = tuple(
    f"{name}{suffix}"
    for name in ("jwt-secret", "session-secret", "admin-token")
    for suffix in ("", ".previous")
)
"""Files of DATA_DIR; `.previous` is there once a secret was rotated."""


def make(
    settings: Settings, root: Path, *, engine: Engine = "auto", secrets_of: Path | None = None
) -> Manifest:
    """Put all that is stored into a new archive of `root`.

    Args:
        settings: Of the service: where from.
        root: The folder of archives.
        engine: What MongoDB is read with.
        secrets_of: The file of settings; with it, it and the kept secrets are archived, too.

    Raises:
        OperationError: a store cannot be read, or the archive not be written; there is none then.
    """
    began_at = time.monotonic()
    with drafted(root) as folder:
        parts = [*_record(settings, folder, engine), *_databases(settings, folder)]
        parts += _flags(settings, folder)
        if secrets_of is not None:
            parts += _secrets(settings, folder, secrets_of)
        return write_manifest(
            folder,
            parts,
            began_at=began_at,
            store="sqlite" if settings.mongodb_uri is None else "mongodb",
            flags="file" if settings.redis_url is None else "redis",
        )


def _record(settings: Settings, folder: Path, engine: Engine) -> list[Part]:
    if settings.mongodb_uri is None:
        return []
    uri = settings.mongodb_uri.get_secret_value()
    with mongo.opened(uri) as database:
        if engine == "mongodump" or (engine == "auto" and mongo_tools.are_here()):
            return [mongo_tools.dump(uri, database.name, folder)]
        return mongo.dump(database, folder)


def _databases(settings: Settings, folder: Path) -> list[Part]:
    names = DATABASES if settings.mongodb_uri is None else DATABASES[1:]
    paths = [settings.data_dir / name for name in names]
    return [sqlite.dump(path, folder) for path in paths if path.exists()]


def _flags(settings: Settings, folder: Path) -> list[Part]:
    parts = _files([settings.data_dir / name for name in FLAG_FILES], folder)
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
        parts.append(anyio.run(partial(flags.dump, url, folder)))
    return parts


def _secrets(settings: Settings, folder: Path, env_file: Path) -> list[Part]:
    paths = [settings.data_dir / name for name in KEPT_SECRETS]
    return _files([*paths, env_file], folder, is_secret=True)


def _files(paths: list[Path], folder: Path, *, is_secret: bool = False) -> list[Part]:
    """Copy those of the files that there are: each is replaced whole by whoever writes it."""
    parts = []
    for path in paths:
        with suppress(FileNotFoundError):
            text = path.read_bytes()
            with private(folder / path.name) as file:
                file.write(text)
            parts.append(sealed(folder / path.name, "secret" if is_secret else "file"))
    return parts
