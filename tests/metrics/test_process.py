"""What the process uses, as the system tells it."""

import socket
import sys
from pathlib import Path

import pytest

from metrics.process import process_use


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
def test_memory_and_sockets_are_this_process_own() -> None:
    before = process_use()

    ballast = bytearray(b"x" * 30_000_000)
    with socket.socket(), socket.socket():
        after = process_use()

    assert before.memory_bytes is not None
    assert after.memory_bytes is not None
    assert after.memory_bytes - before.memory_bytes > len(ballast) // 2
    assert before.open_sockets is not None
    assert after.open_sockets == before.open_sockets + 2
    assert after.cpu_s >= before.cpu_s > 0


def test_a_system_that_does_not_tell_gives_no_figures(tmp_path: Path) -> None:
    use = process_use(tmp_path / "nothing")

    assert (use.memory_bytes, use.open_sockets) == (None, None)
    assert use.cpu_s > 0


@pytest.mark.parametrize("status", ["", "VmRSS:", "VmRSS: many kB", "Name: x"])
def test_a_status_of_another_form_gives_no_memory(tmp_path: Path, status: str) -> None:
    (tmp_path / "status").write_text(status)

    assert process_use(tmp_path).memory_bytes is None
