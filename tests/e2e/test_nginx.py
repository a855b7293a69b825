"""nginx as it is deployed: what it passes on at once, closes in time, and says by itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from httpx_sse import aconnect_sse

from server.middleware import HSTS, SECURITY_HEADERS
from tests.security.checks import an_event_stream_without_a_worker_asks_to_come_back
from tests.security.scene import Scene, set_scene
from tests.support.front import unfronted
from tests.support.machine import program
from tests.support.nginx import DOMAIN, rendered
from tests.support.server import ROOT

pytestmark = [pytest.mark.services, unfronted("it has one of its own")]
RENDER = ROOT / "deploy/nginx/render"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Run nginx before a server."""
    setting = set_scene(tmp_path_factory.mktemp("nginx"))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(setting) as scene:
        yield scene


def test_it_says_of_its_own_answers_what_the_server_says_of_others() -> None:
    template = (ROOT / "deploy/nginx/chatstream.conf.template").read_text(encoding="utf-8")

    for value in (*SECURITY_HEADERS.values(), HSTS):
        assert f'"{value}"' in template


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--domain", "chat.example.com", "--upstream", "[::1]:9000"], id="workers"),
        pytest.param(
            ["--listen", "", "--upstream", "unix:/run/chat/a.sock"], id="IPv6 and a socket"
        ),
        pytest.param(["--listen", "", "--no-ipv6"], id="every IPv4 address"),
    ],
)
def test_the_configuration_is_good_for_nginx(tmp_path: Path, options: list[str]) -> None:
    main = rendered(tmp_path, upstream=9, ports=[8443, 8080], options=options)
    command = [program("nginx", "nginx"), "-t", "-q", "-c", str(main), "-p", str(tmp_path)]

    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr
    assert "${" not in (tmp_path / "chatstream.conf").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--domain", "a b"],
        ["--domain", "chat.example.com; return 200"],
        ["--upstream", "127.0.0.1"],
        ["--operators", "everybody"],
        ["--certificate", "/x;y"],
        ["--access-log", "a b"],
    ],
)
def test_what_nginx_would_read_otherwise_is_refused(tmp_path: Path, wrong: list[str]) -> None:
    command = [sys.executable, str(RENDER), "--out", str(tmp_path), "--domain", DOMAIN]
    command += ["--certificate", "/c", "--key", "/k", *wrong]

    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert done.stderr.startswith("render: --")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
async def test_tokens_come_through_one_by_one(scene: Scene) -> None:
    async with scene.nginx.client() as http:
        body = {"message": "Tell me a story."}
        headers = {**scene.alice.proof, "Accept": "text/event-stream", "Accept-Encoding": "gzip"}
        async with aconnect_sse(
            http, "POST", "/api/v1/turns", json=body, headers=headers
        ) as source:
            answer = source.response
            came = [(event.event, anyio.current_time()) async for event in source.aiter_sse()]

    deltas = [at for name, at in came if name == "text.delta"]
    assert came[-1][0] == "turn.completed"
    assert len(deltas) > 20
    assert deltas[-1] - deltas[0] > 0.1  # 200 a second: held up, all would come at one time
    assert "content-encoding" not in answer.headers
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.fault(51)
async def test_a_reload_leaves_streams_alone_and_lets_new_ones_begin(scene: Scene) -> None:
    async with scene.nginx.client() as http:
        headers = {**scene.alice.proof, "Accept": "text/event-stream"}
        body = {"message": "Tell me a story."}
        async with aconnect_sse(
            http, "POST", "/api/v1/turns", json=body, headers=headers
        ) as source:
            events = source.aiter_sse()
            began = [(await anext(events)).event, (await anext(events)).event]
            os.kill(scene.nginx.pid, signal.SIGHUP)
            rest = [event.event async for event in events]
    # On a connection of its own: the former process ends the one it had.
    async with scene.nginx.client() as http:
        again = await http.get(
            f"/api/v1/turns/{source.response.headers['x-turn-id']}/events",
            headers=scene.alice.proof,
        )

    assert began == ["turn.started", "text.delta"]
    assert rest[-1] == "turn.completed"
    assert again.text.count("event: text.delta") == rest.count("text.delta") + 1


@pytest.mark.fault(52)
async def test_without_a_worker_callers_and_readers_are_told_to_come_back(scene: Scene) -> None:
    await an_event_stream_without_a_worker_asks_to_come_back(scene)


async def test_the_access_log_is_json_without_a_query(scene: Scene) -> None:
    async with scene.nginx.client() as http:
        await http.get("/api/v1/conversations?cursor=canary", headers={"Cookie": "canary=1"})
    with anyio.fail_after(5):
        while "/api/v1/conversations" not in scene.nginx.access_log.read_text():  # noqa: ASYNC110
            await anyio.sleep(0.02)

    log = scene.nginx.access_log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"at", "address", "method", "path", "status", "request_id"} <= lines[-1].keys()
    assert "canary" not in log


@pytest.mark.long
def test_tls_is_what_mozilla_calls_intermediate(scene: Scene) -> None:
    report = scene.nginx.folder / "testssl.json"
    command = [program("testssl", "testssl.sh"), "--quiet", "--color", "0", "--warnings", "off"]
    command += ["--ip", "127.0.0.1", "--protocols", "--std", "--fs", "--vulnerable"]
    command += ["--jsonfile", str(report), f"https://{DOMAIN}:{scene.nginx.https_port}"]

    subprocess.run(command, check=False, capture_output=True, timeout=240)

    found = json.loads(report.read_text(encoding="utf-8"))
    explained = {
        "BREACH",  # no secret is in what is compressed: tests/deploy/test_nginx_compression.py
        "engine_problem",  # of the scanner's own OpenSSL
        "secure_renego",  # TLS 1.3 has none
    }
    bad = {each["id"]: each["finding"] for each in found if each["severity"] not in _FINE}
    assert {name: what for name, what in bad.items() if name not in explained} == {}
    assert len(found) > 30


_FINE = {"OK", "INFO"}
