"""Starting, or saying in one clear line why not."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.support.production import PRODUCTION
from tests.support.server import ROOT, running_server

SECRETS = {
    name.upper(): value for name, value in PRODUCTION.items() if name.endswith(("secret", "token"))
}
IN_PRODUCTION = {name.upper(): value for name, value in PRODUCTION.items()}
MISSING = ["ADMIN_TOKEN", "JWT_SECRET", "SESSION_SECRET"]
EX_CONFIG = 78


async def start(data_dir: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command to its end; return its status, what it printed, and what it complained."""
    command = [sys.executable, "-m", "server", *arguments]
    env = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - handed on to the child, not a setting
        "HOME": str(data_dir.parent),
        "DATA_DIR": str(data_dir),
        "PORT": "0",
        "PYTHONWARNINGS": "error",
        **environment,
    }
    with anyio.fail_after(20):
        done = await anyio.run_process(
            command, cwd=ROOT, env=env, stderr=subprocess.PIPE, check=False
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def fault_of(data_dir: Path, **environment: str) -> list[str]:
    """Return the lines with which a start that must fail says why."""
    status, printed, complaint = await start(data_dir, **environment)
    assert status == EX_CONFIG, complaint
    assert printed == ""
    assert "Traceback" not in complaint
    return complaint.splitlines()


def _name(line: str) -> str:
    return line.split(maxsplit=1)[0].rstrip(":")


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        lines = await fault_of(tmp_path / "data", PORT=str(port))

    assert len(lines) == 1
    assert f"port {port}" in lines[0]
    assert "set PORT" in lines[0]


@pytest.mark.long
@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.1"])
async def test_an_address_that_is_not_ours_is_one_clear_line(tmp_path: Path, host: str) -> None:
    lines = await fault_of(tmp_path / "data", HOST=host)

    assert len(lines) == 1
    assert host in lines[0]


async def test_a_data_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    for place in (tmp_path / "file", tmp_path / "file" / "data"):
        lines = await fault_of(place)

        assert len(lines) == 1
        assert str(place) in lines[0]
        assert "set DATA_DIR" in lines[0]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "in the way"


@pytest.mark.long
@pytest.mark.parametrize(
    "content", [b"this is no database, " * 100, b"SQLite format 3\0" + b"\0" * 84]
)
async def test_a_record_that_is_no_database_is_one_clear_line_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "chat.db").write_bytes(content)

    lines = await fault_of(tmp_path)

    assert len(lines) == 1
    assert "chat.db" in lines[0]
    assert (tmp_path / "chat.db").read_bytes() == content


@pytest.mark.long
async def test_a_folder_in_the_place_of_the_record_or_a_secret_is_one_clear_line(
    tmp_path: Path,
) -> None:
    for name in ("chat.db", "session-secret", "lock"):
        data_dir = tmp_path / name.replace(".", "")
        (data_dir / name).mkdir(parents=True)

        # What was opened before the fault has told of itself.
        lines = [line for line in await fault_of(data_dir) if "[info " not in line]

        assert len(lines) == 1, lines
        assert name in lines[0] or "DATA_DIR" in lines[0]


async def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as first:
        lines = await fault_of(tmp_path)

        assert len(lines) == 1
        assert str(tmp_path) in lines[0]
        assert "in use by another" in lines[0]
        assert (await first.run_turn())["status"] == "completed"


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", ""),
        ("APP_ENV", "foo"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("MAX_RESPONSE_CHARS", "0"),
        ("MAX_RESPONSE_CHARS", "many"),
        ("MAX_BODY_BYTES", "1"),
        ("HEARTBEAT_S", "0"),
        ("HEARTBEAT_S", "nan"),
        ("SEND_TIMEOUT_S", "inf"),
        ("DRAIN_TIMEOUT_S", "-1"),
        ("DEFAULT_STREAMING_PERCENTAGE", "101"),
        ("DEFAULT_STREAMING_PERCENTAGE", "nan"),
        ("ALLOW_GUESTS", "maybe"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "https://*.example.com"),
        ("ALLOWED_ORIGINS", "example.com"),
        ("ALLOWED_ORIGINS", "https://example.com/path"),
        ("OPENAI_BASE_URL", "localhost:9100"),
    ],
)
async def test_an_unknown_value_is_one_clear_line(tmp_path: Path, name: str, value: str) -> None:
    lines = await fault_of(tmp_path, **{name: value})

    assert len(lines) == 1, lines
    assert lines[0].startswith(name)
    assert value in lines[0]


@pytest.mark.long
@pytest.mark.fault(50)
async def test_many_faults_are_all_named_at_once(tmp_path: Path) -> None:
    lines = await fault_of(tmp_path, PORT="abc", LOG_LEVEL="loud", HEARTBEAT_S="soon")

    assert sorted(_name(line) for line in lines) == ["HEARTBEAT_S", "LOG_LEVEL", "PORT"]


@pytest.mark.fault(50)
async def test_production_names_every_missing_secret_and_other_faults_at_once(
    tmp_path: Path,
) -> None:
    missing = await fault_of(tmp_path, APP_ENV="production")
    with_others = await fault_of(tmp_path, APP_ENV="production", PORT="abc")

    assert sorted(_name(line) for line in missing) == MISSING
    assert sorted(_name(line) for line in with_others) == sorted([*MISSING, "PORT"])


@pytest.mark.fault(50)
@pytest.mark.long
@pytest.mark.parametrize("name", list(SECRETS))
@pytest.mark.parametrize("value", ["hunter2", "x" * 31, ""])
async def test_a_short_secret_is_refused_and_not_shown(
    tmp_path: Path, name: str, value: str
) -> None:
    lines = await fault_of(tmp_path, **{**IN_PRODUCTION, name: value})

    assert len(lines) == 1
    assert lines[0].startswith(name)
    assert "32 characters" in lines[0]
    assert not value or value not in lines[0]


async def test_production_starts_with_its_secrets_and_lets_no_guest_in(tmp_path: Path) -> None:
    async with running_server(tmp_path, **PRODUCTION) as server:
        answer = await server.client.get("/api/v1/conversations")

        assert answer.status_code == 401
        log = (tmp_path / "server.log").read_text(encoding="utf-8")
        assert not any(secret in log for secret in SECRETS.values())
        assert not (tmp_path / "session-secret").exists()


async def test_development_makes_its_secrets_once_and_for_its_eyes_only(tmp_path: Path) -> None:
    async with running_server(tmp_path):
        made = {name: (tmp_path / name).read_text() for name in ("session-secret", "admin-token")}
        modes = {(tmp_path / name).stat().st_mode & 0o777 for name in (*made, "chat.db", "lock")}
    async with running_server(tmp_path):
        kept = {name: (tmp_path / name).read_text() for name in made}

    assert kept == made
    assert modes == {0o600}
    assert all(len(secret.strip()) >= 32 for secret in made.values())


@pytest.mark.long
async def test_the_table_of_settings_lists_all_and_shows_no_value_of_ours(tmp_path: Path) -> None:
    status, printed, _ = await start(tmp_path, "settings", **SECRETS)

    listed = re.findall(r"^\| `([A-Z_]+)` \|", printed, re.MULTILINE)
    assert status == 0
    assert len(listed) == len(set(listed)) > 30
    assert {"PORT", "DATA_DIR", "OPENAI_API_KEY", "SESSION_SECRET", "SEND_TIMEOUT_S"} <= set(listed)
    assert not any(secret in printed for secret in SECRETS.values())


async def test_settings_can_come_from_a_file_and_the_environment_goes_before_it(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=loud\nPORT=abc\nUNKNOWN=1\n", encoding="utf-8")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": "0"}  # noqa: TID251 - handed on
    command = [sys.executable, "-m", "server"]
    with anyio.fail_after(20):
        done = await anyio.run_process(
            command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, check=False
        )

    assert done.returncode == EX_CONFIG
    assert [_name(line) for line in done.stderr.decode().splitlines()] == ["LOG_LEVEL"]


@pytest.mark.long
async def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    status, _, complaint = await start(tmp_path, "frobnicate")

    assert status == 2
    assert "usage" in complaint


async def test_with_nothing_set_the_offline_model_answers(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        state = await server.run_turn("What is a turn?")

        assert (state["status"], state["stored"]) == ("completed", True)
        assert state["text"]
        health = (await server.client.get("/health")).json()
        assert health["checks"]["model"]["kind"] == "offline"


@pytest.mark.long
async def test_a_redis_without_a_shared_history_is_told_of(tmp_path: Path) -> None:
    async with running_server(tmp_path / "one", redis_url="redis://127.0.0.1:1"):
        pass
    async with running_server(tmp_path / "alone"):
        pass

    told = [(tmp_path / name / "server.log").read_text() for name in ("one", "alone")]
    assert ["history.not_shared" in log for log in told] == [True, False]


async def test_what_is_half_restored_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "restore-progress.json").write_text("{}", encoding="ascii")

    (line,) = await fault_of(tmp_path)

    assert "half restored" in line
    assert "scripts/restore" in line
