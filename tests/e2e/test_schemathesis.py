"""The whole API under generated requests: nothing fails, and no answer is other than described.

Schemathesis makes requests of the description, good ones and bad ones, and follows what they made.
Seeded; `--runs` sets how many requests of each kind an operation gets. A refusal with 503 that is
described is no failure: the server says that it cannot, and for how long.
"""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.support.front import cookie
from tests.support.server import Server, running_server

pytestmark = [pytest.mark.services, pytest.mark.long]

SEED = 20261122
WAIT_S = 150.0
"""For all requests of a caller, at the default `--runs`: they take about 20 s; in proportion."""
RUNS_A_REQUEST = 60
"""Of a seeded test's 300 runs there are 5 requests of each kind an operation."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
PASSWORD = "a sentence that nobody says twice"  # noqa: S105  # of a server that ends with the test
NEVER_ENDS = "/admin/events"
ENDS_THE_SESSION = ("accounts.logout", "accounts.end_session")
"""Asked once, nobody would be signed in for the rest."""
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""


async def _guest(server: Server, _directory: Path) -> dict[str, str]:
    await server.client.get("/api/v1/auth/me")
    name = cookie("chat_guest")
    return {"Cookie": f"{name}={server.client.cookies[name]}"}


async def _user(server: Server, _directory: Path) -> dict[str, str]:
    account = {"email": "ann@example.com", "password": PASSWORD}
    answer = await server.client.post("/api/v1/auth/register", json=account)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _operator(server: Server, directory: Path) -> dict[str, str]:
    token = (directory / "admin-token").read_text().strip()
    return {**await _guest(server, directory), "Authorization": f"Bearer {token}"}


async def _nobody(_server: Server, _directory: Path) -> dict[str, str]:
    return {}


CALLERS = {"nobody": _nobody, "guest": _guest, "user": _user, "operator": _operator}


@pytest.mark.parametrize("caller", CALLERS)
async def test_no_request_makes_it_fail_or_answer_what_is_not_described(
    caller: str, tmp_path: Path, runs: int
) -> None:
    async with running_server(tmp_path / "data") as server:
        headers = await CALLERS[caller](server, tmp_path / "data")
        examples = max(1, runs // RUNS_A_REQUEST)
        with anyio.fail_after(WAIT_S * max(1, examples / 5)):
            await _examine(server, tmp_path, headers, examples=examples)

        assert (await server.client.get("/health/live")).status_code == 200
    assert "request.failed" not in (tmp_path / "data/server.log").read_text(errors="replace")


async def _examine(
    server: Server, directory: Path, headers: dict[str, str], *, examples: int
) -> None:
    """Have the program make its requests; what it says is shown where it found something."""
    config = directory / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color"),
        *("run", f"{server.url}/openapi.json", "--seed", str(SEED)),
        *("--checks", ",".join(CHECKS), "--max-examples", str(examples)),
        *("--continue-on-failure", "--request-timeout", "10", "--warnings", "off"),
        *("--exclude-path", NEVER_ENDS),
        *(part for name in ENDS_THE_SESSION for part in ("--exclude-operation-id", name)),
        *(part for header in headers.items() for part in ("-H", ": ".join(header))),
    ]
    done = await anyio.run_process(command, cwd=directory, check=False, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-12_000:]
