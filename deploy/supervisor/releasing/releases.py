"""Releases as folders: made whole or not at all, and a link that says which one is current."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_VERSION = re.compile(r'^VERSION = "([^"]+)"$', re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_WHOLE = ".release-is-whole"
_INSTALL_S = 900
_COPY_S = 120


class ReleaseError(Exception):
    """A release cannot be made or found; the message says why. What runs was not touched."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a release comes from.

    Args:
        place: A git checkout (what is committed), or a .tar or .tar.gz of one.
        name: Of the release; "" for one made of its version and commit.
        python: What makes its environment.
        wheels: A folder with everything that the lock file names; None: the package index.
        environment: One that is there already and is linked to; None: make one from the lock file.
    """

    place: Path
    name: str
    python: str
    wheels: Path | None = None
    environment: Path | None = None


class Releases:
    """The releases below a folder.

    Args:
        root: Has `releases/`, `current` and `previous`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "releases"

    def current(self) -> Path | None:
        """Return the release that instances start with; None where there is none."""
        return self._linked("current")

    def previous(self) -> Path | None:
        """Return the release that was current before; None where there is none."""
        return self._linked("previous")

    def named(self, name: str) -> Path:
        """Return a whole release.

        Raises:
            ReleaseError: there is none of this name.
        """
        path = self.folder / name
        if not _NAME.fullmatch(name) or not (path / _WHOLE).exists():
            raise ReleaseError(f"There is no whole release {name!r} in {self.folder}.")
        return path.resolve()

    def switch(self, link: str, release: Path | None) -> None:
        """Let a link lead to a release, in one step; None takes it away."""
        place, made = self.root / link, self.root / f".{link}.new"
        if release is None:
            place.unlink(missing_ok=True)
            return
        made.unlink(missing_ok=True)
        made.symlink_to(release.relative_to(self.root.resolve()))
        made.replace(place)

    def make(self, source: Source) -> Path:
        """Return the release of a source; one that is whole already is taken as it is.

        Raises:
            ReleaseError: it cannot be made; what was begun is made anew the next time.
        """
        name = name_of(source)
        release = self.folder / name
        if not (release / _WHOLE).exists():
            if release.exists():
                shutil.rmtree(release)
            release.mkdir(parents=True)
            _copy(source.place, release)
            _install(source, release)
            (release / _WHOLE).touch()
        return release.resolve()

    def prune(self, keep: int) -> list[str]:
        """Delete the oldest releases beyond so many, never the current or the previous one."""
        kept = {self.current(), self.previous()}
        found = sorted(self.folder.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
        gone = [each for each in found[keep:] if each.resolve() not in kept]
        for each in gone:
            shutil.rmtree(each)
        return [each.name for each in gone]

    def _linked(self, link: str) -> Path | None:
        place = self.root / link
        return place.resolve() if place.exists() else None


def version_of(release: Path) -> str:
    """Return the version that a release says it is.

    Raises:
        ReleaseError: it is no release of this service.
    """
    try:
        text = (release / "server/version.py").read_text(encoding="utf-8")
    except OSError:
        raise ReleaseError(f"{release} is no release of Chatstream.") from None
    if (found := _VERSION.search(text)) is None:
        raise ReleaseError(f"{release}/server/version.py names no version.")
    return found[1]


def name_of(source: Source) -> str:
    """Return what a release is called: its version and commit, where nothing else is said.

    Raises:
        ReleaseError: the name cannot be one, or none can be made.
    """
    name = source.name
    if not name and (source.place / ".git").exists():
        commit = _run(["git", "-C", str(source.place), "rev-parse", "--short=12", "HEAD"], _COPY_S)
        name = f"{version_of(source.place)}-{commit.strip()}"
    if not _NAME.fullmatch(name):
        raise ReleaseError("Say with --name what the release is to be called, such as 1.2.0.")
    return name


def _copy(place: Path, release: Path) -> None:
    if (place / ".git").exists():
        archive = release / ".archive.tar"
        _run(["git", "-C", str(place), "archive", "--output", str(archive), "HEAD"], _COPY_S)
        _unpack(archive, release)
        archive.unlink()
    elif place.is_file():
        _unpack(place, release)
    else:
        raise ReleaseError(f"{place} is neither a git checkout nor a .tar or .tar.gz of one.")
    version_of(release)


def _unpack(archive: Path, release: Path) -> None:
    # Debian 12's Python cannot leave out whom files belong to: they are to be the deployer's.
    command = ["tar", "--extract", "--no-same-owner", "--no-same-permissions"]
    try:
        _run([*command, "--file", str(archive), "--directory", str(release)], _COPY_S)
    except ReleaseError as error:
        raise ReleaseError(f"{archive} cannot be unpacked: {error}") from None


def _install(source: Source, release: Path) -> None:
    target = release / ".venv"
    if source.environment is not None:
        target.symlink_to(source.environment.resolve(), target_is_directory=True)
        return
    _run([source.python, "-m", "venv", str(target)], _INSTALL_S)
    command = [str(target / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install"]
    command += ["--quiet", "--require-hashes", "-r", str(release / "requirements.lock")]
    if source.wheels is not None:
        command += ["--no-index", "--find-links", str(source.wheels.resolve())]
    _run(command, _INSTALL_S)


def _run(command: list[str], within_s: float) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # ours, and paths that the operator has named
            command, capture_output=True, text=True, check=False, timeout=within_s
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReleaseError(f"{command[0]}: {error}") from None
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise ReleaseError(f"{Path(command[0]).name}: {told[-1]}")
    return done.stdout
