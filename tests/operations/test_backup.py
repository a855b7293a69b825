"""Archives of files: whole, checked, and put back equal."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from operations.__main__ import run
from operations.backup.archive import MANIFEST, prune
from tests.operations.stored import TURNS, archived, fill, rows


def test_files_come_back_as_they_were(data_dir: Path, tmp_path: Path) -> None:
    fill()
    (data_dir / "flags.json").write_text('{"version": 7}', encoding="utf-8")
    (data_dir / "jwt-secret").write_text("s" * 40, encoding="ascii")
    before = rows(data_dir / "chat.db")

    archive = archived(tmp_path / "archives")
    shutil.rmtree(data_dir)
    assert run("restore", [str(archive)]) == 0

    assert rows(data_dir / "chat.db") == before
    assert (len(before["turns"]), len(before["messages"])) == (TURNS + 1, 2 * TURNS + 1)
    assert (data_dir / "flags.json").read_text("utf-8") == '{"version": 7}'
    assert sorted(path.name for path in data_dir.iterdir()) == ["chat.db", "flags.json", "lock"]
    assert {path.stat().st_mode & 0o077 for path in (*archive.iterdir(), archive)} == {0}


def test_secrets_are_archived_and_put_back_only_where_asked(data_dir: Path, tmp_path: Path) -> None:
    fill(1)
    (data_dir / "jwt-secret").write_text("s" * 40, encoding="ascii")
    (tmp_path / ".env").write_text("LOG_LEVEL=info\n", encoding="ascii")

    archive = archived(tmp_path / "archives", "--with-secrets")
    shutil.rmtree(data_dir)
    (tmp_path / ".env").unlink()
    assert run("restore", [str(archive)]) == 0
    assert not (data_dir / "jwt-secret").exists()
    assert run("restore", [str(archive), "--with-secrets", "--yes"]) == 0

    assert (data_dir / "jwt-secret").read_text("ascii") == "s" * 40
    assert (data_dir / "jwt-secret").stat().st_mode & 0o077 == 0
    assert (tmp_path / ".env").read_text("ascii") == "LOG_LEVEL=info\n"


def test_what_is_there_is_replaced_only_where_asked_and_kept_beside(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")
    before = rows(data_dir / "chat.db")
    fill(2)

    assert run("restore", [str(archive)]) == 1
    assert "--yes" in capsys.readouterr().err
    assert rows(data_dir / "chat.db") != before
    assert run("restore", [str(archive), "--yes"]) == 0

    assert rows(data_dir / "chat.db") == before
    aside = [path for path in data_dir.iterdir() if path.name.startswith("chat.db.2")]
    assert [len(rows(path)["turns"]) for path in aside] == [5]


def test_a_file_that_somebody_has_open_is_not_replaced(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")

    with closing(sqlite3.connect(data_dir / "chat.db")) as server:
        server.execute("SELECT count(*) FROM turns").fetchone()
        assert run("restore", [str(archive), "--yes"]) == 1

    assert "stop the server first" in capsys.readouterr().err
    assert run("restore", [str(archive)]) == 0, "it goes on without being asked again"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _turn_a_bit(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


@pytest.mark.parametrize("harm", [_cut, _turn_a_bit, Path.unlink])
def test_a_damaged_archive_is_refused_before_anything_is_touched(
    data_dir: Path,
    tmp_path: Path,
    harm: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")
    shutil.rmtree(data_dir)
    harm(archive / "chat.db.gz")

    assert run("restore", [str(archive), "--check"]) == 1
    assert run("restore", [str(archive), "--yes"]) == 1

    assert "chat.db.gz" in capsys.readouterr().err
    assert not data_dir.exists()


def test_a_manifest_that_names_files_elsewhere_is_refused(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(1)
    manifest = archived(tmp_path / "archives") / MANIFEST
    told = manifest.read_text("utf-8")
    manifest.chmod(0o600)
    manifest.write_text(told.replace("chat.db.gz", "../data/chat.db"), encoding="utf-8")

    assert run("restore", [str(manifest.parent)]) == 1
    assert "names files elsewhere" in capsys.readouterr().err
    assert data_dir.exists()


def test_an_archive_is_not_restored_into_another_kind_of_store(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(1)
    archive = archived(tmp_path / "archives")
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/x")

    assert run("restore", [str(archive)]) == 1
    assert "MONGODB_URI" in capsys.readouterr().err
    assert len(rows(data_dir / "chat.db")["turns"]) == 2


def test_only_the_newest_archives_are_kept_and_nothing_else_is_removed(tmp_path: Path) -> None:
    names = [f"chatstream-2026010{day}T000000Z" for day in range(1, 6)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).touch()
    (tmp_path / "chatstream-notes").mkdir()

    assert prune(tmp_path, 2, made=tmp_path / names[4]) == names[:3]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names[3:], "chatstream-notes"]
    assert prune(tmp_path, 1, made=tmp_path / names[3]) == [names[4]], "the clock was put back"
    assert prune(tmp_path, 9, made=tmp_path / names[3]) == []


def test_an_archive_is_whole_or_not_there(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir.mkdir()
    (data_dir / "chat.db").write_text("no database", encoding="ascii")

    assert run("backup", [str(tmp_path / "archives")]) == 1

    assert "chat.db cannot be copied" in capsys.readouterr().err
    assert list((tmp_path / "archives").iterdir()) == []


def test_a_copy_of_a_file_that_is_written_to_is_one_moment_of_it(
    data_dir: Path, tmp_path: Path
) -> None:
    fill(1)
    has_begun, is_over = threading.Event(), threading.Event()
    work = partial(_keep_writing, data_dir / "chat.db", has_begun, is_over)
    writer = threading.Thread(target=work)
    writer.start()
    try:
        assert has_begun.wait(10)
        archives = [archived(tmp_path / f"archives-{number}") for number in range(2)]
    finally:
        is_over.set()
        writer.join()

    lengths = []
    for archive in archives:
        shutil.rmtree(data_dir)
        assert run("restore", [str(archive)]) == 0
        pairs = rows(data_dir / "chat.db")["pairs"]
        assert [number for (number,) in pairs] == list(range(len(pairs)))
        assert len(pairs) % 2 == 0
        lengths.append(len(pairs))
    assert 0 < lengths[0] < lengths[1], "it was written to meanwhile"


def _keep_writing(path: Path, has_begun: threading.Event, is_over: threading.Event) -> None:
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        connection.execute("CREATE TABLE pairs (number INTEGER PRIMARY KEY)")
        for first in count(step=2):
            with connection:
                connection.executemany("INSERT INTO pairs VALUES (?)", [(first,), (first + 1,)])
            has_begun.set()
            if is_over.is_set():
                return
