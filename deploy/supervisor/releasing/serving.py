"""Whether an instance serves, and which release it is of: seen from outside. Linux only."""

import http.client
import json
from pathlib import Path

ASK_S = 3.0
_OK = 200


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
