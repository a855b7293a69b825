"""Operators' commands beside a running server, and at a terminal."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import anyio
import pytest

from tests.e2e.test_start import start
from tests.support.server import ROOT, Server, running_server

pytestmark = [pytest.mark.services, pytest.mark.long]

EMAIL = "ann@example.com"
PASSWORD = "three wise owls"  # noqa: S105  # a test's


async def test_an_admin_made_beside_the_server_signs_in_and_is_shut_out_again(
    tmp_path: Path,
) -> None:
    async with running_server(tmp_path, session_check_s=0.2) as server:
        made, password, complaint = await start(tmp_path, "create-admin", EMAIL, "--generate")
        assert made == 0, complaint
        password = password.splitlines()[0].rpartition(" ")[2]
        await _sign_in(server, password)
        assert (await server.client.get("/api/v1/users")).status_code == 200

        assert (await start(tmp_path, "create-admin", "bea@example.com", "--generate"))[0] == 0
        shut_out, printed, _ = await start(tmp_path, "revoke", EMAIL, "--disable", "--why", "Left")
        assert (shut_out, printed.endswith("ended: 1.\n")) == (0, True)

        assert (await server.client.get("/api/v1/users")).status_code == 401
        with anyio.fail_after(10):
            while (await server.client.get("/api/v1/auth/me")).status_code == 200:  # noqa: ASYNC110  # of another process
                await anyio.sleep(0.05)
        async with server.guest() as again:
            refused = await again.post(
                "/api/v1/auth/login", json={"email": EMAIL, "password": password}
            )
        assert refused.status_code in {401, 403}


async def test_rotated_secrets_sign_nobody_out(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        assert (await start(tmp_path, "create-admin", EMAIL, "--generate"))[0] == 0
        guest = await server.client.get("/api/v1/conversations")
        assert guest.status_code == 200
        jar = server.client.cookies
        async with server.guest() as other:
            registered = await other.post(
                "/api/v1/auth/register", json={"email": "bea@example.com", "password": PASSWORD}
            )
            assert registered.status_code in {200, 201}, registered.text
            signed_in = other.cookies
        title = await server.client.post("/api/v1/conversations", json={"title": "Kept"})
        assert title.status_code == 201

    assert (await start(tmp_path, "rotate-keys"))[0] == 0

    async with running_server(tmp_path) as server:
        server.client.cookies = jar
        kept = (await server.client.get("/api/v1/conversations")).json()["conversations"]
        assert [conversation["title"] for conversation in kept] == ["Kept"]
        async with server.guest() as again:
            again.cookies = signed_in
            me = await again.get("/api/v1/auth/me")
            assert (me.status_code, "bea@example.com" in me.text) == (200, True)
            assert (await again.post("/api/v1/auth/refresh")).status_code == 200


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        (f"{PASSWORD}\n{PASSWORD}\n", 0),
        (f"{PASSWORD}\nanother one\n", 1),
        (f"{PASSWORD}\n\x03", 1),
        ("\x04", 1),
    ],
)
async def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(
    tmp_path: Path, typed: str, status: int
) -> None:
    ours, theirs = pty.openpty()
    process = _create_admin_at(theirs, tmp_path)
    os.close(theirs)
    try:
        shown = ""
        with anyio.fail_after(20):
            for line in typed.splitlines(keepends=True) or [typed]:
                shown += await _read_until(ours, ": ")
                os.write(ours, line.encode())
            shown += await _read_until(ours, None)
            ended = await anyio.to_thread.run_sync(process.wait)
    finally:
        process.kill()
        os.close(ours)

    assert ended == status, shown
    assert PASSWORD not in shown
    assert "Traceback" not in shown


async def _sign_in(server: Server, password: str) -> None:
    answer = await server.client.post(
        "/api/v1/auth/login", json={"email": EMAIL, "password": password}
    )
    assert answer.status_code == 200, answer.text


def _create_admin_at(terminal: int, data_dir: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "server", "create-admin", EMAIL],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir)},  # noqa: TID251  # handed on
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(terminal, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # Ctrl+C
    )


async def _read_until(descriptor: int, end: str | None) -> str:
    """Return what is shown until it ends so, or until nobody shows anything any more."""
    shown = ""
    while end is None or not shown.endswith(end):
        try:
            await anyio.wait_readable(descriptor)
            read = os.read(descriptor, 4096)
        except OSError:  # the other end is closed
            return shown
        if not read:
            return shown
        shown += read.decode()
    return shown
