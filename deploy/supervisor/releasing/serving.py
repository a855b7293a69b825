"""Whether an instance serves, and which release it is of: seen from outside. Linux only."""

import http.client
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ASK_S = 3.0
_OK = 200
_LISTENS = "0A"
"""As the kernel numbers it."""


def is_ready(port: int) -> bool:
    """Tell whether whoever listens there takes requests."""
    return _answer(port, "/health/ready")[0] == _OK


def version_at(port: int) -> str:
    """Return the version that is served there; "" where nobody says."""
    status, body = _answer(port, "/health")
    try:
        return str(json.loads(body)["version"]) if status == _OK else ""
    except (ValueError, KeyError, TypeError):
        return ""


def release_of(pid: int) -> Path | None:
    """Return the folder that a process has begun in; None where it cannot be seen."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() if pid else None
    except OSError:
        return None


def listens(pid: int, port: int) -> bool:
    """Tell whether it is this process that lets callers in on a port, and no stranger."""
    listening = {f"socket:[{inode}]" for inode in _listening(pid, port)}
    return not listening.isdisjoint(_open_files(pid))


def _listening(pid: int, port: int) -> Iterator[str]:
    """Yield the sockets that listen on a port, whosever they are, where a process is."""
    for table in ("tcp", "tcp6"):
        lines: list[str] = []
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        for fields in (line.split() for line in lines):
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for place in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it was closed just now
                yield str(place.readlink())


def _answer(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
