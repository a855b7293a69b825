"""Making an archive of all that the settings lead to."""

import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import anyio

from operations.backup import figures, flags, mongo, mongo_tools, sqlite
from operations.backup.archive import (
    Kind,
    Manifest,
    Part,
    drafted,
    private,
    publish,
    sealed,
    write_manifest,
)
from operations.findings import OperationError
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

PROGRESS = "restore-progress.json"
"""In DATA_DIR while a restore is under way, or broke off: what is stored is no whole then."""


def make(
    settings: Settings, root: Path, *, engine: Engine = "auto", secrets_of: Path | None = None
) -> tuple[Path, Manifest]:
    """Put all that is stored into a new archive of `root`.

    Args:
        settings: Of the service: where from.
        root: The folder of archives.
        engine: What MongoDB is read with.
        secrets_of: The file of settings; with it, it and the kept secrets are archived, too.

    Returns:
        The archive's folder, and its manifest.

    Raises:
        OperationError: a store cannot be read, or nothing is stored; there is no archive then.
        OSError: it cannot be written, or the secrets not be read; there is none, either.
    """
    began_at = time.monotonic()
    if (settings.data_dir / PROGRESS).exists():
        raise OperationError(
            f"a restore into {settings.data_dir} broke off, or is at work: repeat it, or wait."
        )
    with drafted(root) as folder:
        parts = [*_record(settings, folder, engine), *_databases(settings, folder)]
        parts += _flags(settings, folder)
        if not any(part.entries or part.kind == "mongodump" for part in parts):
            raise OperationError(
                f"nothing is stored in {settings.data_dir.absolute()}, or where the settings lead"
                " to: name those of the service with --env-file."
            )
        if secrets_of is not None:
            parts += _secrets(settings, folder, secrets_of)
        manifest = write_manifest(
            folder,
            parts,
            began_at=began_at,
            store="sqlite" if settings.mongodb_uri is None else "mongodb",
            flags="file" if settings.redis_url is None else "redis",
        )
        return publish(folder), manifest


def _record(settings: Settings, folder: Path, engine: Engine) -> list[Part]:
    if settings.mongodb_uri is None:
        return []
    uri = settings.mongodb_uri.get_secret_value()
    with mongo.opened(uri) as database:
        names = mongo.names_of(database)
        if engine == "mongodump" or (engine == "auto" and mongo_tools.are_here()):
            return [mongo_tools.dump(uri, database.name, name, folder) for name in names]
        return [mongo.dump(database[name], folder) for name in names]


def _databases(settings: Settings, folder: Path) -> list[Part]:
    names = DATABASES if settings.mongodb_uri is None else DATABASES[1:]
    paths = [settings.data_dir / name for name in names]
    return [sqlite.dump(path, folder) for path in paths if path.exists()]


def _flags(settings: Settings, folder: Path) -> list[Part]:
    parts = _files([settings.data_dir / name for name in FLAG_FILES], folder)
    if settings.redis_url is not None:
        url = settings.redis_url.get_secret_value()
        parts.append(anyio.run(partial(flags.dump, url, folder)))
        parts += anyio.run(partial(figures.dump, url, folder))
    return parts


def _secrets(settings: Settings, folder: Path, env_file: Path) -> list[Part]:
    paths = [settings.data_dir / name for name in KEPT_SECRETS]
    return _files([*paths, env_file], folder, kind="secret")


def _files(paths: list[Path], folder: Path, *, kind: Kind = "file") -> list[Part]:
    """Copy those of the files that there are: each is replaced whole by whoever writes it."""
    parts = []
    for path in paths:
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            with private(folder / path.name) as file:
                file.write(content)
            parts.append(sealed(folder / path.name, kind, entries=1))
    return parts
