"""The smoke test: passes where all is well, and names what is not."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from operations.findings import Level
from operations.smoke.caller import Caller, Event, SmokeError
from operations.smoke.refusals import cookies
from operations.smoke.turns import Timing, checked, measured, timed
from tests.e2e.test_start import start
from tests.support.nginx import running_nginx
from tests.support.server import ROOT, running_server

EMAIL = "ann@example.com"


async def smoke(*arguments: str, stdin: str = "") -> tuple[int, str]:
    """Run the script; return its status and all that it said."""
    done = await anyio.run_process(
        [str(ROOT / "scripts/smoke"), *arguments], input=stdin.encode(), check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def an_event(seq: int, name: str, **data: object) -> Event:
    return Event(f"turn_1.1-{seq}", name, dict(data), float(seq))


def a_turn() -> list[Event]:
    return [
        an_event(1, "turn.started"),
        an_event(2, "text.delta", text="Hel"),
        an_event(3, "text.delta", text="lo"),
        an_event(4, "turn.completed", text="Hello"),
    ]


def test_a_turn_without_a_gap_is_its_text() -> None:
    assert checked(a_turn()) == "Hello"
    assert timed(a_turn(), 0.5) == Timing(1500, [1000])


def test_figures_are_of_all_turns_together() -> None:
    figures = measured([Timing(100, [1, 2, 3]), Timing(300, []), Timing(200, [40])])

    assert (figures.turns, figures.ttft_p50_ms, figures.ttft_p95_ms) == (3, 200, 300)
    assert (figures.gap_p50_ms, figures.gap_p95_ms) == (2, 40)


@pytest.mark.parametrize(
    ("said", "harm"),
    [
        ("seq 2 was due", lambda turn: turn.pop(1)),
        ("seq 3 was due", lambda turn: turn.insert(1, turn[1])),
        ("0 ends", lambda turn: turn.pop()),
        ("another|not the text", lambda turn: turn[3].data.update(text="Hello!")),
        ("turn.failed: x", lambda turn: turn.append(an_event(5, "turn.failed", code="x"))),
    ],
)
def test_a_turn_that_is_not_whole_is_noticed(said: str, harm: Any) -> None:
    turn = a_turn()
    harm(turn)
    if turn[-1].name == "turn.failed":
        turn[3] = an_event(4, "text.done")

    with pytest.raises(SmokeError, match=said):
        checked(turn)


@pytest.mark.services
@pytest.mark.long
async def test_it_passes_through_tls(tmp_path: Path) -> None:
    async with (
        running_server(
            tmp_path / "data", offline_tokens_per_s=300, trusted_proxies="127.0.0.1"
        ) as server,
        running_nginx(tmp_path / "nginx", upstream=server.port) as nginx,
    ):
        authority = str(tmp_path / "nginx/certificate.pem")
        status, said = await smoke(nginx.url, "--ca", authority, "--json")
        told = json.loads(said)
        untrusted, complaint = await smoke(nginx.url)
        left = (await server.client.get("/api/v1/conversations")).json()["conversations"]

    assert (status, told["ok"], left) == (0, True, []), said
    assert told["figures"]["ttft_p95_ms"] >= told["figures"]["ttft_p50_ms"] > 0
    levels = {found["name"]: found["level"] for found in told["findings"]}
    assert levels["resume after a cut"] == "ok"
    assert (levels["speech"], levels["figures"]) == ("skip", "warn")
    assert (untrusted, "--ca" in complaint) == (1, True)


@pytest.mark.parametrize(
    ("lacking", "line"),
    [
        ("", "__Host-chat_guest=x; Path=/; HttpOnly; SameSite=Lax; Secure"),
        ("secure", "__Host-chat_guest=x; Path=/; HttpOnly; SameSite=Lax"),
        ("TRUSTED_PROXIES", "chat_guest=x; Path=/; HttpOnly; SameSite=Lax; Secure"),
        ("httponly", "__Host-chat_guest=x; Path=/; SameSite=Lax; Secure"),
    ],
)
def test_cookies_over_tls_are_this_hosts_alone(lacking: str, line: str) -> None:
    caller = Caller("https://chat.example.com", verify=True, timeout_s=1)
    caller.cookies = [line]

    found = cookies(caller)

    caller.close()
    assert (found.level is Level.FAIL) == bool(lacking)
    assert lacking in found.said


@pytest.mark.long
async def test_it_calls_with_an_api_key(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        account = {"email": EMAIL, "password": "correct horse battery"}
        told = (await server.client.post("/api/v1/auth/register", json=account)).json()
        bearer = {"Authorization": f"Bearer {told['access_token']}"}
        wanted = {"name": "smoke", "scopes": ["chat"]}
        made = await server.client.post("/api/v1/api-keys", json=wanted, headers=bearer)
        assert made.status_code == 201, made.text
        status, said = await smoke(server.url, "--api-key", "--json", stdin=made.json()["key"])

    levels = {found["name"]: found["level"] for found in json.loads(said)["findings"]}
    assert (status, levels["cookies"], levels["clean up"]) == (0, "skip", "ok"), said
    assert made.json()["key"] not in said


@pytest.mark.services
@pytest.mark.long
async def test_it_signs_in_and_judges_the_off_arm(tmp_path: Path) -> None:
    settings: dict[str, object] = {"default_streaming_percentage": 0, "allow_guests": "false"}
    async with running_server(tmp_path, **settings) as server:
        made, said, complaint = await start(tmp_path, "create-admin", EMAIL, "--generate")
        assert made == 0, complaint
        password = said.splitlines()[0].rpartition(" ")[2]

        as_guest, refusal = await smoke(server.url)
        wrong, _ = await smoke(server.url, "--email", EMAIL, "--password-stdin", stdin="no\n")
        passed, told = await smoke(
            server.url, "--email", EMAIL, "--password-stdin", stdin=f"{password}\n"
        )

    assert (as_guest, "--email" in refusal) == (1, True)
    assert (wrong, passed) == (1, 0), told
    assert "a turn" not in told.split("a whole answer")[0]
    assert password not in told


@pytest.mark.services
@pytest.mark.long
async def test_it_fails_where_the_model_does(tmp_path: Path) -> None:
    broken = {"openai_base_url": "http://127.0.0.1:9/v1", "connect_timeout_s": 0.2}
    async with running_server(tmp_path, **broken, openai_max_retries=0) as server:
        status, said = await smoke(server.url)

    assert status == 1
    assert "turn.failed: upstream_unavailable" in said
    assert said.splitlines()[-1].startswith("FAIL")


async def test_a_service_that_is_not_there_is_one_line() -> None:
    status, said = await smoke("http://127.0.0.1:9")

    assert status == 1
    assert len(said.splitlines()) == 2
    assert sys.executable not in said
