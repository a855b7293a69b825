"""`scripts/restore`: put an archive back where the settings lead to."""

import argparse
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import msgspec

from operations.backup import figures, flags, mongo, mongo_tools, sqlite
from operations.backup.archive import MANIFEST, Manifest, Part, check, hash_of, read_manifest
from operations.backup.making import KEPT_SECRETS, PROGRESS
from operations.backup.standstill import standstill
from operations.findings import OK, OperationError
from operations.settings import DEFAULT, add_option, load
from server.settings import Settings

_AHEAD_H = 1.0
"""Clocks of two machines may be so far apart."""


class Progress(msgspec.Struct):
    """How far a restore has come: of which archive, and which parts are in place."""

    archive: str
    done: list[str]


class Restore:
    """One restore: what it would replace, and the steps, each of which may be repeated.

    Args:
        settings: Of the service: where to.
        folder: The archive.
        manifest: Its manifest; the files were checked.
        env_file: Where the file of settings goes; None: neither it nor kept secrets are put back.
    """

    def __init__(
        self, settings: Settings, folder: Path, manifest: Manifest, *, env_file: Path | None
    ) -> None:
        self._settings = settings
        self._env_file = env_file
        self._folder = folder
        self._parts = [
            part for part in manifest.parts if env_file is not None or part.kind != "secret"
        ]
        self._strays = sorted(mongo.OURS - {mongo.name_of(part) for part in self._parts})
        self._path = settings.data_dir / PROGRESS
        self._progress = Progress(hash_of(folder / MANIFEST), [])
        self._fits(manifest)

    def resumes(self) -> bool:
        """Whether a restore of the same archive broke off here; it is gone on with.

        Raises:
            OperationError: what is known of it cannot be read.
        """
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Progress)
        except FileNotFoundError:
            return False
        except (OSError, msgspec.MsgspecError) as error:
            raise OperationError(f"{self._path} cannot be read ({error}); delete it.") from None
        if found.archive != self._progress.archive:
            return False
        self._progress = found
        return True

    def occupied(self) -> list[str]:
        """Return what is there already and would be replaced."""
        found = [name for part in self._parts if (name := self._occupied(part))]
        return [*found, *self._filled_strays()]

    def run(self) -> None:
        """Put everything back that is not in place yet.

        Raises:
            OperationError: a step failed; the same command goes on there.
        """
        for part in self._parts:
            if part.path in self._progress.done:
                continue
            self._note()
            self._load(part)
            sys.stdout.write(f"restored: {part.path} ({part.entries} entries)\n")
            self._progress.done.append(part.path)
        for name in self._filled_strays():
            with mongo.opened(self._uri) as database:
                database.drop_collection(name)
        self._path.unlink(missing_ok=True)

    def _fits(self, manifest: Manifest) -> None:
        has_mongo = self._settings.mongodb_uri is not None
        if has_mongo != (manifest.store == "mongodb"):
            wanted = "unset it" if has_mongo else "set it"
            raise OperationError(
                f"The archive is of {manifest.store}, MONGODB_URI says otherwise: {wanted}."
            )
        has_redis = self._settings.redis_url is not None
        if has_redis != (manifest.flags == "redis"):
            wanted = "unset it" if has_redis else "set it"
            raise OperationError(
                f"The archive's flags are of {manifest.flags}, REDIS_URL says otherwise: {wanted}."
            )

    def _filled_strays(self) -> list[str]:
        """Return collections of ours that the archive has not: an older release had none."""
        if self._settings.mongodb_uri is None:
            return []
        with mongo.opened(self._uri) as database:
            return mongo.filled(database, self._strays)

    def _occupied(self, part: Part) -> str:
        match part.kind:
            case "collection" | "mongodump":
                with mongo.opened(self._uri) as database:
                    return ", ".join(mongo.filled(database, [mongo.name_of(part)]))
            case "redis_flags":
                is_there = anyio.run(partial(flags.is_filled, self._redis_url))
                return "the flags in Redis" if is_there else ""
            case "redis_figures":
                return ""  # nothing that is there is replaced
            case "sqlite" | "file" | "secret":
                target = self._target(part)
                return str(target) if target.exists() else ""

    def _load(self, part: Part) -> None:
        match part.kind:
            case "collection":
                with mongo.opened(self._uri) as database:
                    mongo.load(database, part, self._folder)
            case "mongodump":
                with mongo.opened(self._uri) as database:
                    mongo_tools.load(self._uri, database.name, part, self._folder)
            case "redis_flags":
                anyio.run(partial(flags.load, self._redis_url, part, self._folder))
            case "redis_figures":
                anyio.run(partial(figures.load, self._redis_url, part, self._folder))
            case "sqlite":
                sqlite.load(part, self._folder, self._target(part))
            case "file" | "secret":
                _replace(self._target(part), (self._folder / part.path).read_bytes())

    def _note(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(self._path, msgspec.json.encode(self._progress))

    def _target(self, part: Part) -> Path:
        name = part.path.removesuffix(".gz")
        if part.kind == "secret" and name not in KEPT_SECRETS and self._env_file is not None:
            return self._env_file
        return self._settings.data_dir / name

    @property
    def _uri(self) -> str:
        uri = self._settings.mongodb_uri
        return "" if uri is None else uri.get_secret_value()

    @property
    def _redis_url(self) -> str:
        url = self._settings.redis_url
        return "" if url is None else url.get_secret_value()


def main(arguments: list[str]) -> int:
    """Parse the command line, check the archive, restore it; return the exit status."""
    given = _parser().parse_args(arguments)
    manifest = read_manifest(given.archive)
    check(given.archive, manifest)
    _judge_age(given.archive, manifest, given.max_age_h)
    what = f"{given.archive.name}: {len(manifest.parts)} files of {manifest.made_at}"
    if given.check:
        sys.stdout.write(f"{what}, all as they were archived\n")
        return OK
    settings = load(given.env_file)
    env_file = (given.env_file or DEFAULT) if given.with_secrets else None
    restore = Restore(settings, given.archive, manifest, env_file=env_file)
    with standstill(settings):
        if not restore.resumes() and not given.yes and (occupied := restore.occupied()):
            raise OperationError(
                f"there is something already: {', '.join(occupied)}. Say --yes to replace it."
            )
        restore.run()
    sys.stdout.write(f"{what}, restored\n")
    return OK


def _judge_age(archive: Path, manifest: Manifest, max_age_h: float | None) -> None:
    made_at = datetime.fromisoformat(manifest.made_at)
    age_h = (datetime.now(UTC) - made_at).total_seconds() / 3600
    if max_age_h is not None and age_h > max_age_h:
        raise OperationError(f"{archive} is {age_h:.1f} h old: make a new one.")
    if max_age_h is not None and age_h < -_AHEAD_H:
        raise OperationError(f"{archive} is of {manifest.made_at}, in the future: set the clock.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="restore",
        description="Put an archive back where the settings lead to: the environment, else .env of"
        " this folder. All files are checked first. Stop every worker before: where one runs,"
        " nothing is done. A restore that broke off goes on with the same command.",
        epilog="Exit status: 0 restored, 1 refused or broken off, 2 wrong usage, 78 wrong"
        " settings, 130 or 143 stopped.",
    )
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="a folder chatstream-…")
    parser.add_argument("--yes", action="store_true", help="replace what is there already")
    parser.add_argument(
        "--check", action="store_true", help="compare checksums, restore nothing, need no settings"
    )
    parser.add_argument("--max-age-h", type=float, metavar="H", help="refuse an older archive")
    parser.add_argument("--with-secrets", action="store_true", help="kept secrets and FILE, too")
    add_option(parser)
    return parser


def _replace(path: Path, content: bytes) -> None:
    """Put a file that only its owner can read in the place of another, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.restored")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(content)
    draft.replace(path)
