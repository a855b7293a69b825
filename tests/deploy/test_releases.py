"""Releases as folders and links, with nothing running: what is made, kept, refused."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.deploy.sources import packed
from tests.support.server import ROOT
from tests.support.supervisor import Installation, installed


def deployed(
    made: Installation, source: Path, *options: str, name: str = "deploy"
) -> subprocess.CompletedProcess[str]:
    """Run `scripts/deploy` with the environment of the tests, and a store that answers."""
    words = made.command(name, *options)
    if name == "deploy":
        words += ["--from", str(source), "--venv", str(ROOT / ".venv")]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)


def whole(made: Installation, name: str, *, is_current: bool = False) -> Path:
    """Make a release by hand, as a finished deployment leaves one."""
    release = made.root / "releases" / name
    (release / "server").mkdir(parents=True)
    (release / "server/version.py").write_text(f'VERSION = "{name}"\n', encoding="utf-8")
    (release / ".release-is-whole").touch()
    if is_current:
        (made.root / "current").symlink_to(Path("releases") / name)
    return release


@pytest.mark.long
def test_the_first_deployment_makes_a_release_and_tells_to_start(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    source = packed(tmp_path)

    done = deployed(made, source, "--name", "1.0", "--no-roll")

    assert (done.returncode, done.stderr) == (0, "")
    assert "1.0 is current; start supervisord" in done.stdout
    assert (made.root / "current").readlink() == Path("releases/1.0")
    assert (made.root / "current/server/version.py").exists()
    assert not (made.root / "previous").exists()

    again = deployed(made, source, "--name", "2.0", "--no-roll")

    assert (again.returncode, again.stderr) == (0, "")
    assert (made.root / "current").readlink() == Path("releases/2.0")
    assert (made.root / "previous").readlink() == Path("releases/1.0")


def test_a_rehearsal_changes_nothing(tmp_path: Path) -> None:
    made = installed(tmp_path, {})

    done = deployed(made, packed(tmp_path), "--name", "1.0", "--no-roll", "--dry-run")

    assert (done.returncode, done.stdout) == (0, "would make 1.0 and replace nothing, on:\n")
    assert not made.root.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "deploy: Say with --name what the release is to be called"),
        (["--name", "../up"], "deploy: Say with --name what the release is to be called"),
        (["--restart"], "deploy: There is no current release"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(tmp_path: Path, options: list[str], told: str) -> None:
    made = installed(tmp_path, {})

    done = deployed(made, packed(tmp_path), *options)

    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def test_what_is_no_release_leaves_no_whole_one(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    archive = tmp_path / "other.tar.gz"
    with tarfile.open(archive, "w:gz") as found:
        found.add(ROOT / "README.md", "README.md")

    done = deployed(made, archive, "--name", "1.0")

    assert done.returncode == 1
    assert "is no release of Chatstream" in done.stderr
    assert not (made.root / "releases/1.0/.release-is-whole").exists()
    assert not (made.root / "current").exists()


@pytest.mark.long
def test_a_release_whose_settings_are_wrong_is_not_switched_to(tmp_path: Path) -> None:
    made = installed(tmp_path, {"jwt_secret": "short"})
    whole(made, "1.0", is_current=True)

    done = deployed(made, packed(tmp_path), "--name", "2.0")

    assert done.returncode == 78
    assert "JWT_SECRET" in done.stderr
    assert (made.root / "current").readlink() == Path("releases/1.0")


def test_only_one_changes_what_runs(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    whole(made, "1.0", is_current=True)
    held = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,2); print(flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", held, str(made.root / "deploy.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        done = deployed(made, tmp_path, name="rollback")
        holder.kill()

    assert done.returncode == 75
    assert "wait" in done.stderr


def test_there_is_nothing_to_go_back_to_but_by_name(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    whole(made, "1.0", is_current=True)

    without = deployed(made, tmp_path, name="rollback")
    unknown = deployed(made, tmp_path, "--to", "0.9", name="rollback")

    assert (without.returncode, unknown.returncode) == (1, 1)
    assert "--to" in without.stderr
    assert "There is no whole release '0.9'" in unknown.stderr


def test_without_a_supervisor_nothing_is_changed(tmp_path: Path) -> None:
    made = installed(tmp_path, {})
    whole(made, "1.0", is_current=True)
    whole(made, "0.9")

    done = deployed(made, tmp_path, "--to", "0.9", name="rollback")

    assert (made.root / "current").readlink() == Path("releases/1.0")
    assert done.returncode == 1
    assert "supervisord does not answer" in done.stderr
