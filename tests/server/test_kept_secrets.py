"""Secrets that processes make for themselves and keep."""

import subprocess
import sys
from pathlib import Path

import pytest

from server.auth.kept_secrets import (
    MAX_FORMER,
    former_secrets,
    kept_secret,
    rotate_kept_secret,
)

WORKERS = 4

WORKER = """
import sys
from pathlib import Path
from server.auth.kept_secrets import kept_secret
print("ready", flush=True)
for number in sys.stdin.readline().split():
    print(kept_secret(Path(sys.argv[1]) / number).get_secret_value())
"""


def test_a_secret_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "session-secret"

    secret = kept_secret(path)

    assert kept_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "session-secret").write_text("short")

    with pytest.raises(OSError, match="damaged"):
        kept_secret(tmp_path / "session-secret")


def test_a_rotated_secret_is_a_new_one_before_the_former_ones(tmp_path: Path) -> None:
    path = tmp_path / "jwt-secret"
    assert former_secrets(path) == []
    kept = [kept_secret(path).get_secret_value()]

    for _ in range(MAX_FORMER + 2):
        rotate_kept_secret(path)
        kept.insert(0, kept_secret(path).get_secret_value())
        assert former_secrets(path) == kept[1:][:MAX_FORMER]

    assert len(set(kept)) == MAX_FORMER + 3
    assert {item.name for item in tmp_path.iterdir()} == {"jwt-secret", "jwt-secret.previous"}
    assert {item.stat().st_mode & 0o777 for item in tmp_path.iterdir()} == {0o600}


def test_a_rotation_that_crashed_between_its_writes_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "jwt-secret"
    first = kept_secret(path).get_secret_value()
    rotate_kept_secret(path)
    path.write_text(f"{first}\n")  # as after a crash: the former one is noted, the new one is not

    rotate_kept_secret(path)

    assert former_secrets(path) == [first]
    assert kept_secret(path).get_secret_value() != first


def test_damaged_former_secrets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "jwt-secret.previous").write_text("short\n")

    with pytest.raises(OSError, match="damaged"):
        former_secrets(tmp_path / "jwt-secret")


@pytest.mark.long
def test_workers_that_start_at_the_same_moment_have_the_same_secrets(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(WORKERS)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        names = " ".join(map(str, range(50)))
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(f"{names}\n")
            worker.stdin.flush()
        told = {worker.communicate(timeout=30)[0] for worker in workers}
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()

    assert len(told) == 1
