"""The image and the compose files: what they name is there, and means what they say.

No container engine is run: each program that they start is, as they start it.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import anyio
import pytest

from operations.__main__ import COMMANDS
from server.serving import CONNECTIONS_GRACE_S
from server.settings import Settings
from tests.deploy.manifests import (
    DOCKER,
    ROOT,
    document,
    instructions,
    is_secret,
    seconds,
    unknown_settings,
)
from tests.support.machine import program
from tests.support.mongo import running_mongo
from tests.support.nginx import free_ports
from tests.support.server import running_server

DOCKERFILE = list(instructions(DOCKER / "Dockerfile"))
COMPOSE = document(DOCKER / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = {name: each for name, each in SERVICES.items() if name.startswith("server-")}
OPERATIONS = SERVICES["operations"]
DEVELOPMENT = document(DOCKER / "compose.development.yaml")["services"]["server"]
OTHERS = {"HOME", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
DOMAIN = "chat.example.com"
SERVICE_URLS = {"redis-state": "redis_url", "redis-cache": "cache_redis_url"}


def told(word: str) -> list[str]:
    """Return what the Dockerfile says by this word."""
    return [rest for each, rest in DOCKERFILE if each == word]


def copied() -> list[tuple[str, str]]:
    """Return what the image has of this repository: source and place below the working folder."""
    found: list[tuple[str, str]] = []
    for rest in told("COPY"):
        if not rest.startswith("--from"):
            *sources, place = rest.split()
            found += [(source, place) for source in sources if source != "requirements.lock"]
    return found


def environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    return dict(each.split("=", 1) for rest in told("ENV") for each in shlex.split(rest))


def made_secrets(folder: Path, *options: str) -> Path:
    """Run make-secrets; return its folder."""
    command = [sys.executable, str(DOCKER / "make-secrets"), "--out", str(folder), *options]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return folder


def waited(holds: Callable[[], bool]) -> None:
    """Return when it holds; fail if it does not within 20 s."""
    end = monotonic() + 20
    while not holds():
        assert monotonic() < end
        Event().wait(0.05)


def test_the_image_has_each_package_and_nothing_that_the_build_does_not_send() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    packages = re.search(
        r"^packages = (\[.*\])", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )

    sources = {source for source, _ in copied()}

    assert packages is not None
    assert set(json.loads(packages[1])) <= sources
    assert {f"!{source}" for source in sources} <= set(ignored)
    assert all((ROOT / source).exists() for source in sources)
    assert ignored[1] == "*"


def test_the_image_runs_as_nobody_special_and_is_ended_in_good_order() -> None:
    assert told("USER") == ["10001:10001"]
    assert told("STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(told("CMD")[-1]) == ["python", "-m", "server"]
    assert all(rest.startswith("${PYTHON_IMAGE}") for rest in told("FROM"))
    assert any(rest.startswith("PYTHON_IMAGE=python:3.11") for rest in told("ARG"))


def test_the_images_variables_are_settings_and_no_secrets() -> None:
    names = [name for name in environment() if name not in OTHERS]

    assert unknown_settings(names) == []
    assert not [name for name in names if is_secret(name)]
    assert environment()["DATA_DIR"] == told("VOLUME")[0]
    assert environment()["PORT"] == told("EXPOSE")[0]


@pytest.mark.services
async def test_what_the_image_has_serves_is_found_healthy_and_drains(tmp_path: Path) -> None:
    tree = tmp_path / "app"
    for source, place in copied():
        target = tree / place
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / source, target)
    [port] = free_ports(1)
    env = environment() | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(tmp_path / "data"),
    }
    env["PATH"] = "/usr/bin:/bin"
    check = json.loads(told("HEALTHCHECK")[0].partition("CMD ")[2])

    before = await anyio.run_process([sys.executable, *check[1:]], cwd=tree, env=env, check=False)
    server = await anyio.open_process([sys.executable, "-m", "server"], cwd=tree, env=env)
    async with server:
        with anyio.fail_after(20):
            while (
                await anyio.run_process(
                    [sys.executable, *check[1:]], cwd=tree, env=env, check=False
                )
            ).returncode != 0:
                assert server.returncode is None
                await anyio.sleep(0.1)
            server.terminate()
            status = await server.wait()

    assert before.returncode == 1
    assert b"does not answer" in before.stderr
    assert status == 0
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_can_do_no_more_than_it_has_to(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service.get("user", "10001:10001").split(":")[0] not in {"0", "root"}
    assert not {"privileged", "cap_add", "pid", "ipc"} & set(service)
    assert ("ports" in service) == (name == "nginx")


def test_the_data_is_reached_by_the_servers_alone() -> None:
    assert COMPOSE["networks"]["data"]["internal"] is True
    for name in ("mongodb", "mongodb-init", "redis-state", "redis-cache"):
        assert SERVICES[name]["networks"] == ["data"]
    assert list(SERVICES["nginx"]["networks"]) == ["web"]


def test_the_servers_are_set_by_settings_and_told_secrets_in_files() -> None:
    for server in SERVERS.values():
        assert unknown_settings(list(server["environment"])) == []
        assert unknown_settings(server["secrets"]) == []
        assert not [name for name in server["environment"] if is_secret(name)]
        assert server["environment"]["SECRETS_DIR"] == "/run/secrets"
    assert unknown_settings(list(DEVELOPMENT["environment"])) == []


def test_a_container_that_ends_has_longer_than_the_drain() -> None:
    for server in SERVERS.values():
        drain_s = int(server["environment"]["DRAIN_TIMEOUT_S"])
        assert seconds(server["stop_grace_period"]) >= drain_s + CONNECTIONS_GRACE_S + 5
        assert seconds(SERVICES["nginx"]["stop_grace_period"]) >= drain_s + CONNECTIONS_GRACE_S


def test_what_is_mounted_used_and_waited_for_is_named_in_the_file() -> None:
    assert set(COMPOSE["secrets"]) == {
        name for each in SERVICES.values() for name in each.get("secrets", [])
    }
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            is_there = source in COMPOSE["volumes"] or (DOCKER / source).exists()
            assert is_there or mount.startswith("${BACKUPS:-") or source.startswith("./secrets/")
        for other, wanted in service.get("depends_on", {}).items():
            is_once = wanted["condition"] == "service_completed_successfully"
            assert is_once == ("restart" not in SERVICES[other])
            is_checked = "healthcheck" in SERVICES[other] or other in SERVERS
            assert is_once or is_checked


def test_operators_commands_run_with_the_servers_settings_and_only_when_asked_to() -> None:
    server = SERVERS["server-1"]

    assert all(OPERATIONS[each] == server[each] for each in ("environment", "env_file", "secrets"))
    assert OPERATIONS["profiles"] == ["operations"]
    assert OPERATIONS["entrypoint"] == ["python", "-m", "operations"]
    assert set(OPERATIONS["command"]) <= set(COMMANDS)
    [proxy] = SERVICES["nginx"]["networks"]["web"].values()
    assert OPERATIONS["extra_hosts"] == [f"${{DOMAIN}}:{proxy}"]


def test_what_an_operator_adds_is_kept_out_of_the_repository_and_of_the_image() -> None:
    added = ["deploy/docker/settings.env", "deploy/docker/.env", "deploy/docker/backups/x"]
    added += [f"deploy/docker/{each['file']}" for each in COMPOSE["secrets"].values()]

    command = ["git", "check-ignore", *added]
    ignored = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)

    assert ignored.stdout.splitlines() == added


def test_mongodb_counts_as_well_only_where_others_reach_it() -> None:
    test = SERVICES["mongodb"]["healthcheck"]["test"]

    assert test[test.index("--host") + 1] == "mongodb"
    init = (DOCKER / "mongodb-init.js").read_text("utf-8")
    assert "@mongodb:27017" in init
    assert set(re.findall(r'secret\("(\w+)"\)', init)) == set(SERVICES["mongodb-init"]["secrets"])


def test_secrets_are_made_once_and_production_takes_them(tmp_path: Path) -> None:
    out = made_secrets(tmp_path / "secrets", "--self-signed", DOMAIN)
    first = {path.name: path.read_bytes() for path in out.iterdir()}

    made_secrets(out, "--self-signed", DOMAIN)

    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert out.stat().st_mode & 0o777 == 0o700
    assert set(COMPOSE["secrets"]) <= set(first)
    assert {Path(each["file"]).name for each in COMPOSE["secrets"].values()} <= set(first)
    settings = Settings(_env_file=None, app_env="production", secrets_dir=out, allowed_hosts=DOMAIN)
    assert settings.mongodb_uri is not None
    optional = ("openai_api_key", "oidc_client_secret", "jwt_previous_secrets")
    assert [getattr(settings, name) for name in optional] == [None, None, None]


@pytest.mark.services
def test_nginx_is_configured_for_the_servers_addresses_and_takes_it(tmp_path: Path) -> None:
    secrets = made_secrets(tmp_path / "secrets", "--self-signed", DOMAIN)
    ports = free_ports(2)
    python, script, *options = SERVICES["nginx-config"]["command"]
    places = {
        "--out": tmp_path / "conf",
        "--certificate": secrets / "tls_certificate",
        "--key": secrets / "tls_key",
        "--state-dir": tmp_path,
        "--https-port": ports[0],
        "--http-port": ports[1],
        "--access-log": tmp_path / "access",
        "--error-log": tmp_path / "error",
    }
    command = [python, script]
    for option in options:
        name, is_given, value = option.partition("=")
        value = re.sub(r"\$\{OPERATORS_NETWORK:-(.*)\}", r"\1", value.replace("${DOMAIN}", DOMAIN))
        command.append(f"{name}{is_given}{places.get(name, value)}")

    subprocess.run([sys.executable, *command[1:]], check=True, timeout=30, cwd=ROOT)

    main = tmp_path / "conf/nginx.conf"
    site = (tmp_path / "conf/chatstream.conf").read_text("utf-8")
    nginx = [program("nginx", "nginx"), "-t", "-c", str(main), "-e", str(tmp_path / "error")]
    subprocess.run(nginx, check=True, timeout=30, capture_output=True)
    addresses = [each["networks"]["web"]["ipv4_address"] for each in SERVERS.values()]
    assert re.findall(r"server ([\d.]+):8000(?: [^;]*)?;", site) == addresses
    proxy = SERVICES["nginx"]["networks"]["web"]["ipv4_address"]
    assert {each["environment"]["TRUSTED_PROXIES"] for each in SERVERS.values()} == {proxy}


@contextmanager
def composed_redis(name: str, folder: Path, secrets: Path) -> Iterator[str]:
    """Run a Redis as its service does, but for its places; yield its address for the server."""
    [port] = free_ports(1)
    folder.mkdir()
    text = (DOCKER / f"{name}.conf").read_text("utf-8")
    text = re.sub(r"^dir .*", f"dir {folder}", text, flags=re.MULTILINE)
    text = text.replace("/run/secrets", str(secrets)).replace("bind * -::*", "bind 127.0.0.1")
    (folder / "redis.conf").write_text(text, encoding="utf-8")
    command = [program("redis-server", "redis-server"), str(folder / "redis.conf")]
    command += ["--port", str(port)]
    [_, asked] = SERVICES[name]["healthcheck"]["test"]
    ask = asked.replace("$$", "$").replace("redis-cli", f"redis-cli -p {port}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            waited(
                lambda: subprocess.run(["sh", "-c", ask], check=False, timeout=10).returncode == 0
            )
            url = (secrets / SERVICE_URLS[name]).read_text("utf-8").strip()
            yield url.replace(f"{name}:6379", f"127.0.0.1:{port}")
        finally:
            process.terminate()


@pytest.mark.long
@pytest.mark.services
async def test_the_server_finds_both_redis_fit_and_may_do_what_it_needs(tmp_path: Path) -> None:
    secrets = made_secrets(tmp_path / "secrets")
    (tmp_path / "mongo").mkdir()

    with (
        composed_redis("redis-state", tmp_path / "state", secrets) as state,
        composed_redis("redis-cache", tmp_path / "cache", secrets) as cache,
        running_mongo(tmp_path / "mongo") as mongo,
    ):
        async with running_server(
            tmp_path / "data",
            mongodb_uri=f"{mongo.uri}/chatstream",
            redis_url=state,
            cache_redis_url=cache,
        ) as server:
            turn = await server.run_turn()
            health = (await server.client.get("/health")).json()
    log = (tmp_path / "data/server.log").read_text("utf-8")

    assert turn["status"] == "completed"
    assert health["checks"]["redis"]["status"] == "healthy"
    assert health["checks"]["flags"]["status"] == "healthy"
    assert "redis_unfit" not in log
    assert "cache.policy" not in log
    assert "NOPERM" not in log


def test_a_changed_file_starts_the_command_again_and_a_signal_ends_both(tmp_path: Path) -> None:
    code, runs = tmp_path / "code", tmp_path / "runs"
    code.mkdir()
    (code / "a.py").write_text("", encoding="utf-8")
    runs.touch()
    child = "import sys,signal; open(sys.argv[1],'a').write('x'); signal.pause()"
    command = [sys.executable, str(DOCKER / "reload"), str(code), "--"]
    command += [sys.executable, "-c", child, str(runs)]

    with subprocess.Popen(command) as process:
        try:
            waited(lambda: runs.read_text() == "x")
            (code / "b.py").write_text("", encoding="utf-8")
            waited(lambda: runs.read_text() == "xx")
        finally:
            process.terminate()
        process.wait(20)

    assert runs.read_text() == "xx"
    wrong = subprocess.run([*command[:2], str(tmp_path / "none"), "--", "x"], check=False)
    assert wrong.returncode == 2


def test_the_development_server_watches_folders_that_are_there() -> None:
    command = DEVELOPMENT["command"]
    folders = command[2 : command.index("--")]

    assert all((ROOT / folder).is_dir() for folder in folders)
    assert command[command.index("--") + 1 :] == json.loads(told("CMD")[-1])
    assert all(port.startswith("127.0.0.1:") for port in DEVELOPMENT["ports"])
