"""What `scripts/deploy` and `scripts/rollback` do: a change of release, and the way back."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from releasing.lock import Lock, LockedError
from releasing.releases import ReleaseError, Releases, version_of
from releasing.rolling import Roll, RollError
from releasing.supervisor import Supervisor, SupervisorError

OK, NOT_DONE, HALF_WAY, LOCKED, BAD_SETTINGS, INTERRUPTED = 0, 1, 3, 75, 78, 130
START = Path(__file__).resolve().parents[1] / "start"
STATUSES = (
    "Exit status: 0 done; 1 not done, and what ran before runs; 2 wrong usage; 3 neither here nor"
    " there: look at the log that is named; 75 another deployment is under way; 78 the settings"
    " cannot be used, nothing was changed; 130 interrupted: the same command goes on."
)
_CHECK_S = 60


class NotDoneError(Exception):
    """The command ends with this status; the message says what to do."""

    def __init__(self, line: str, status: int = NOT_DONE) -> None:
        super().__init__(line)
        self.status = status


@dataclass(frozen=True, slots=True)
class Site:
    """An installation: its releases, its settings, its supervisord, its bounds in seconds."""

    releases: Releases
    environment: Path
    supervisor: Supervisor
    ready_s: float
    stop_s: float

    def roll(self, release: Path) -> Roll:
        """Return a round that brings the instances to a release."""
        return Roll(self.supervisor, release, version_of(release), self.ready_s, self.stop_s, say)

    def check(self, release: Path) -> bool:
        """Tell whether the stores have the indexes that a release needs; its settings are good.

        Raises:
            NotDoneError: the settings cannot be used, or a store cannot be reached.
        """
        command = [sys.executable, str(START), "--release", str(release)]
        command += ["--environment", str(self.environment), "verify-indexes"]
        try:
            done = subprocess.run(  # noqa: S603  # ours
                command, capture_output=True, text=True, check=False, timeout=_CHECK_S
            )
        except subprocess.TimeoutExpired:
            raise NotDoneError(f"The stores did not answer in {_CHECK_S} s.") from None
        if done.returncode not in {OK, NOT_DONE} or (done.returncode and not done.stdout):
            told = done.stderr.strip() or f"verify-indexes ended with {done.returncode}"
            raise NotDoneError(f"{release.name}: {told}", BAD_SETTINGS)
        return done.returncode == OK

    def require_indexes(self, release: Path) -> None:
        """Make sure that queries of a release are quick.

        Raises:
            NotDoneError: an index is missing, or a store cannot be reached.
        """
        if not self.check(release):
            raise NotDoneError(f"indexes of {release.name} are missing: see verify-indexes")


def say(line: str) -> None:
    """Print a line of what was done."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def change(site: Site, target: Path, *, restart: bool = False) -> None:
    """Bring all instances to a release; on a failure back to the one before.

    Instances that serve it already are left alone, unless all are to be restarted.

    Raises:
        NotDoneError: they are at the former release again, or, with `HALF_WAY`, some are not.
        SupervisorError: supervisord does not answer; nothing was changed.
    """
    before, older = site.releases.current(), site.releases.previous()
    if not site.supervisor.instances():
        raise NotDoneError("supervisord has no instances: render its configuration, reload it.")
    if before != target:
        if before is not None:
            site.releases.switch("previous", before)
        site.releases.switch("current", target)
    elif older is not None and older != target and site.roll(older).is_served_by_some():
        before, older = older, None  # who changed it last was interrupted
    roll = site.roll(target)
    try:
        roll.run(site.supervisor.instances() if restart else roll.stale())
        site.require_indexes(target)
    except (RollError, SupervisorError, NotDoneError) as error:
        say(f"{target.name} is not served: {error}")
        if before is None or before == target:
            raise NotDoneError(str(error), HALF_WAY) from None
        _go_back(site, before, older)
        raise NotDoneError(f"{before.name} serves as before; {error}") from None


def _go_back(site: Site, before: Path, older: Path | None) -> None:
    began = monotonic()
    site.releases.switch("current", before)
    site.releases.switch("previous", older)
    roll = site.roll(before)
    try:
        roll.run(roll.stale())
    except (RollError, SupervisorError) as error:
        raise NotDoneError(f"The way back to {before.name} failed: {error}", HALF_WAY) from None
    say(f"back at {before.name} after {monotonic() - began:.1f} s")


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """Return a parser with what both commands take."""
    made = argparse.ArgumentParser(prog=name, description=about, epilog=STATUSES)
    add = made.add_argument
    add("--root", type=Path, default=Path("/opt/chatstream"), help="where releases are")
    add("--environment", type=Path, default=Path("/etc/chatstream/environment"), help="settings")
    add("--socket", type=Path, default=Path("/run/chatstream/supervisor.sock"))
    add("--ready-s", type=float, default=60, help="an instance has to serve then (%(default)s)")
    add(
        "--stop-s",
        type=float,
        default=120,
        help="then it is killed; longer than stopwaitsecs (%(default)s)",
    )
    add("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    return made


def site_of(given: argparse.Namespace) -> Site:
    """Return the installation that a command line names."""
    root = given.root.resolve()
    supervisor = Supervisor(given.socket, stop_s=given.stop_s)
    return Site(
        Releases(root), given.environment.resolve(), supervisor, given.ready_s, given.stop_s
    )


def run(name: str, given: argparse.Namespace, work: Callable[[Site], None]) -> int:
    """Do the work while nobody else changes what runs; return the exit status."""
    # The instances' user reads what root makes, whatever root's shell says.
    os.umask(0o022)
    try:
        site = site_of(given)
        if given.dry_run:
            work(site)
            return OK
        site.releases.folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(site.releases.root / "deploy.lock")
        try:
            work(site)
        finally:
            lock.release()
    except NotDoneError as error:
        return _refuse(name, str(error), error.status)
    except LockedError as error:
        return _refuse(name, str(error), LOCKED)
    except (ReleaseError, SupervisorError, OSError) as error:
        return _refuse(name, str(error), NOT_DONE)
    except KeyboardInterrupt:
        return _refuse(name, "interrupted; the same command goes on from here", INTERRUPTED)
    return OK


def _refuse(name: str, line: str, status: int) -> int:
    sys.stderr.write(f"{name}: {line}\n")
    return status
