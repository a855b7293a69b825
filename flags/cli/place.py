"""Where the flags are that a command speaks of: options first, else the service's own settings.

The names mean what they mean to the service (docs/configuration.md), so that in its folder the
command needs no option.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from flags.errors import FlagStoreError
from flags.kills import LocalKills
from flags.rollout.store.base import RolloutStore
from flags.store.base import FlagStore

REDIS_TIMEOUT_S = 2.0
"""A Redis that does not answer costs one command this long."""

_FILE_NAME = "flags.json"
_ROLLOUT_FILE_NAME = "rollout.json"
_KILL_FILE_NAME = "killed-flags"
_ENV_FILE = Path(".env")

# The command's own entry point, as server/settings/ is the service's.
_ENVIRONMENT = os.environ  # noqa: TID251  # the one place where this command reads it


class ConfigurationError(Exception):
    """A setting or an option cannot be used; the text says which, and never quotes a password.

    `is_usage` tells that it was given on the command line.
    """

    def __init__(self, said: str, *, is_usage: bool = False) -> None:
        super().__init__(said)
        self.is_usage = is_usage


@dataclass(frozen=True, slots=True)
class Place:
    """Where flags are: in a Redis or in a file. `shown` is for people, without a password."""

    shown: str
    path: Path | None = None
    url: str | None = field(default=None, repr=False)
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service's settings say that this command needs."""

    data_dir: Path = Path("data")
    redis_url: str | None = field(default=None, repr=False)
    killed_flags: tuple[str, ...] = ()
    rollout: Mapping[str, str] = field(default_factory=dict)
    """What is said of guarded rollouts, as it was written, by lower-case names."""

    def kills(self) -> LocalKills:
        """Return the kills that hold on this machine without any store."""
        return LocalKills(self.killed_flags, self.data_dir / _KILL_FILE_NAME)


def read_settings(environment: Mapping[str, str] = _ENVIRONMENT) -> Settings:
    """Return the settings of the environment, else of `.env`, else of files in SECRETS_DIR.

    Names are taken in any case, as by the service.

    Raises:
        ConfigurationError: `.env`, or the file that holds REDIS_URL, cannot be read.
    """
    given = {**_env_file(), **{name.lower(): value for name, value in environment.items()}}
    if "redis_url" not in given and (folder := given.get("secrets_dir")):
        given["redis_url"] = _secret(Path(folder) / "redis_url")
    killed = given.get("killed_flags", "").split(",")
    return Settings(
        data_dir=Path(given.get("data_dir", "data")),
        redis_url=given.get("redis_url") or None,
        killed_flags=tuple(key.strip() for key in killed if key.strip()),
        rollout={name: value for name, value in given.items() if name.startswith("rollout_")},
    )


def _secret(path: Path) -> str:
    """Return what a file in SECRETS_DIR holds; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error})") from None


def choose_place(redis: str | None, file: Path | None, settings: Settings) -> Place:
    """Return where the flags are; nothing is opened.

    Args:
        redis: The option; at most one of both is given.
        file: The option.
        settings: For neither.
    """
    if file is not None:
        return Place(str(file), path=file)
    url = redis or settings.redis_url
    if url is not None:
        return Place(shown_url(url), url=url, is_default=redis is None)
    path = settings.data_dir / _FILE_NAME
    return Place(str(path), path=path, is_default=True)


def open_store(place: Place) -> FlagStore:
    """Return the store; it connects at its first use. Only what is used is imported: it is slow.

    Raises:
        ConfigurationError: the address of a Redis cannot be used.
    """
    if place.path is not None:
        from flags.store.file import FileFlagStore  # noqa: PLC0415  # see above

        return FileFlagStore(place.path)
    from flags.store.redis import RedisFlagStore  # noqa: PLC0415  # see above

    try:
        return RedisFlagStore(place.url or "", timeout_s=REDIS_TIMEOUT_S)
    except FlagStoreError as error:
        name = "REDIS_URL" if place.is_default else "--redis"
        raise ConfigurationError(f"{name}: {error}", is_usage=not place.is_default) from None


def open_rollout_store(place: Place) -> RolloutStore:
    """Return where the figures of rollouts are: in the same Redis, or in the file beside.

    Raises:
        FlagStoreError: the address of a Redis cannot be used.
    """
    if place.path is not None:
        from flags.rollout.store.memory import MemoryRolloutStore  # noqa: PLC0415  # see above

        return MemoryRolloutStore(place.path.with_name(_ROLLOUT_FILE_NAME))
    from flags.rollout.store.redis import RedisRolloutStore  # noqa: PLC0415  # see above

    return RedisRolloutStore(place.url or "", timeout_s=REDIS_TIMEOUT_S)


def shown_url(url: str) -> str:
    """Return where an address points to, without who asks and with which password or options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "Redis"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else "Redis"


def _env_file() -> dict[str, str]:
    if not _ENV_FILE.is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415  # only where there is such a file

    try:
        values = dotenv_values(_ENV_FILE, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f".env cannot be read: {reason}") from None
    return {name.lower(): value for name, value in values.items() if value is not None}
