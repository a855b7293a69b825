"""However a command ends, it is a line and a status, and nothing half made stays."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from operations.__main__ import COMMANDS, INTERRUPTED, TERMINATED, UNREAD, run
from operations.backup.archive import MANIFEST, publish
from operations.backup.making import PROGRESS
from tests.operations.stored import archived, fill, rows
from tests.support.server import ROOT, running_server


def scripts() -> set[str]:
    """Return the scripts that are commands of ours: links to one file."""
    return {path.name for path in (ROOT / "scripts").iterdir() if path.is_symlink()}


def test_every_command_has_its_script() -> None:
    assert scripts() == set(COMMANDS)
    assert {(ROOT / "scripts" / name).resolve() for name in COMMANDS} == {ROOT / "operations/run"}


@pytest.mark.parametrize("name", ["backup", "restore", "rotate-secrets", "validate-env"])
def test_a_file_of_settings_that_is_named_has_to_be_there(
    name: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    archive = archived(tmp_path / "a")
    place = {"backup": [str(tmp_path / "b")], "restore": [str(archive)]}.get(name, [])

    try:
        status = run(name, [*place, "--env-file", str(tmp_path / "none")])
    except SystemExit as ended:
        status = int(str(ended.code))

    said = capsys.readouterr()
    assert (status, "No such file" in said.err + said.out) == (78, True)
    assert not (tmp_path / "b").exists()
    assert not (data_dir / "jwt-secret").exists()


def test_where_nothing_is_stored_there_is_no_archive(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("backup", [str(tmp_path / "a")]) == 1

    assert str(data_dir) in capsys.readouterr().err
    assert list((tmp_path / "a").iterdir()) == []


def test_beside_a_restore_that_broke_off_there_is_no_archive(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    (data_dir / PROGRESS).touch()

    assert run("backup", [str(tmp_path / "a")]) == 1
    assert "repeat it" in capsys.readouterr().err


def test_what_a_killed_backup_left_goes_at_the_next_one_and_nothing_else(
    data_dir: Path, tmp_path: Path
) -> None:
    fill(1)
    dead, at_work = (tmp_path / f"a/.draft-chatstream-2026.{number}" for number in (1, 2))
    for draft in (dead, at_work):
        draft.mkdir(parents=True)
        (draft / MANIFEST).write_text("{}", encoding="ascii")
    held = os.open(at_work, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    try:
        archive = archived(tmp_path / "a", "--keep", "1")
    finally:
        os.close(held)

    assert {path.name for path in (tmp_path / "a").iterdir()} == {archive.name, at_work.name}
    assert data_dir.exists()


def test_two_archives_of_one_second_are_two(tmp_path: Path) -> None:
    drafts = [tmp_path / f".draft-chatstream-20260101T000000Z.{pid}" for pid in (1, 2)]
    for draft in drafts:
        draft.mkdir()
        (draft / MANIFEST).touch()

    names = [publish(draft).name for draft in drafts]

    assert names == ["chatstream-20260101T000000Z", "chatstream-20260101T000000Z-02"]
    assert names == sorted(names)


def test_an_archive_of_a_newer_release_says_so_and_one_of_the_future_is_not_fresh(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    archive = archived(tmp_path / "a")
    told = json.loads((archive / MANIFEST).read_bytes())

    (archive / MANIFEST).write_text(json.dumps({"format": 99, "version": "9.9"}), "ascii")
    assert run("restore", [str(archive), "--yes"]) == 1
    assert "newer release (9.9)" in capsys.readouterr().err
    (archive / MANIFEST).write_text(json.dumps({**told, "made_at": "2099-01-01T00:00:00+00:00"}))
    assert run("restore", [str(archive), "--check", "--max-age-h", "26"]) == 1
    assert "in the future" in capsys.readouterr().err
    assert data_dir.exists()


def test_nothing_is_restored_beside_a_worker_of_the_folder(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    archive = archived(tmp_path / "a")
    before = (data_dir / "chat.db").read_bytes()
    worker = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(worker, fcntl.LOCK_EX)

    try:
        assert run("restore", [str(archive), "--yes"]) == 1
    finally:
        os.close(worker)

    assert "stop the server first" in capsys.readouterr().err
    assert (data_dir / "chat.db").read_bytes() == before
    assert run("restore", [str(archive), "--yes"]) == 0


def test_root_becomes_whom_the_settings_belong_to(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("takes root")
    settings = tmp_path / "environment"
    settings.touch()
    os.chown(settings, 65534, 65534)
    code = "import os, sys; from pathlib import Path; from operations.settings import become_owner;"
    code += "become_owner(Path(sys.argv[1])); print(os.getresuid(), os.getresgid(), os.getgroups())"

    done = subprocess.run(
        [sys.executable, "-c", code, settings], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{(65534,) * 3} {(65534,) * 3} [65534]\n"


@pytest.mark.long
def test_a_pipe_that_nobody_reads_is_no_traceback(tmp_path: Path) -> None:
    command = f"{ROOT}/scripts/validate-env | head -c 0; exit ${{PIPESTATUS[0]}}"

    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (UNREAD, "")


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
async def test_a_smoke_test_that_is_stopped_leaves_nothing_behind(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    async with running_server(tmp_path / "data", offline_tokens_per_s=20) as server:
        process = await anyio.open_process([str(ROOT / "scripts/smoke"), server.url, "--turns=50"])
        with anyio.fail_after(30):
            while (  # noqa: ASYNC110  # another process
                await server.client.get("/api/metrics/streaming/summary")
            ).json()["active_streams"] == 0:
                await anyio.sleep(0.05)
            process.send_signal(number)
            ended = await process.wait()
            await process.aclose()

    assert ended == status
    assert rows(tmp_path / "data/chat.db")["messages"] == []
