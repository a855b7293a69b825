"""Which files nginx hands out, and what `render` says where it cannot write its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.nginx import ROOT, Nginx, running_nginx

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Run nginx before nobody."""
    setting = running_nginx(tmp_path_factory.mktemp("nginx"), upstream=9)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(setting) as nginx:
        yield nginx


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/assets/style.css", 200),
        ("/assets/admin/app.js", 200),
        ("/assets/admin/index.html", 404),
        ("/assets/index.html", 404),
        ("/assets/", 404),
        ("/assets/admin/", 404),
        ("/assets/vendor", 404),
        ("/assets/vendor/", 404),
        ("/assets/nothing.js", 404),
    ],
)
async def test_files_are_handed_out_but_no_pages_and_no_folders(
    nginx: Nginx, path: str, status: int
) -> None:
    async with nginx.client() as http:
        answer = await http.get(path)

    assert answer.status_code == status
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"


def render(out: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Render from within a folder, with paths that are told from there."""
    command = [sys.executable, str(ROOT / "deploy/nginx/render"), "--domain", "localhost"]
    command += ["--certificate", "c.pem", "--key", "k.pem", "--static-root", "web", "--out", out]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=30, cwd=folder
    )


def test_paths_are_those_of_who_renders_and_not_nginxs(tmp_path: Path) -> None:
    done = render("conf", tmp_path)

    assert done.returncode == 0, done.stderr
    site = (tmp_path / "conf/chatstream.conf").read_text("utf-8")
    assert f"ssl_certificate {tmp_path}/c.pem;" in site
    assert f"ssl_certificate_key {tmp_path}/k.pem;" in site
    assert f"alias {tmp_path}/web/;" in site
    assert f"include {tmp_path}/conf/" in (tmp_path / "conf/nginx.conf").read_text("utf-8")


def test_a_folder_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = render("file/below", tmp_path)

    assert done.returncode == 1
    assert done.stderr == f"render: {tmp_path}/file/below cannot be written: Not a directory\n"
