"""What is measured: how each server is started, and what a client sends to it."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.bench.processes import Command

_MESSAGE = "Tell me about streaming, please."
_UNLIMITED_CHARS = "1000000"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a server needs to know before it starts."""

    port: int
    upstream_port: int
    model: str
    folder: Path

    @property
    def base_url(self) -> str:
        """The simulator, as an OpenAI client's base URL."""
        return f"http://127.0.0.1:{self.upstream_port}/v1"


@dataclass(frozen=True, slots=True)
class Target:
    """A server: how to start it, how to ask it for a streamed answer."""

    name: str
    command: Callable[[Setup], Command]
    request: Callable[[str], bytes]
    ready_path: str


def request(path: str, body: dict[str, object]) -> bytes:
    """Return a whole HTTP request that asks for an event stream."""
    encoded = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n"
        f"content-type: application/json\r\ncontent-length: {len(encoded)}\r\n\r\n"
    )
    return head.encode("ascii") + encoded


def _chat_completion(model: str) -> bytes:
    messages = [{"role": "user", "content": _MESSAGE}]
    body = {"model": model, "stream": True, "messages": messages}
    return request("/v1/chat/completions", body)


def _tutorial(setup: Setup) -> Command:
    module = (sys.executable, "-m", "loadtests.bench.tutorial_app")
    where = ("--port", str(setup.port), "--base-url", setup.base_url, "--model", setup.model)
    return Command(module + where, {})


def _chatstream(setup: Setup) -> Command:
    environment = {
        "PORT": str(setup.port),
        "DATA_DIR": str(setup.folder),
        "OPENAI_BASE_URL": setup.base_url,
        "OPENAI_API_KEY": "none",
        "OPENAI_MODEL": setup.model,
        "MAX_RESPONSE_CHARS": _UNLIMITED_CHARS,
        "RATE_LIMIT_ENABLED": "false",  # one address is all its users
        "LOG_LEVEL": "warning",
    }
    return Command((sys.executable, "-m", "server"), environment)


def _nginx(setup: Setup) -> Command:
    configuration = setup.folder / "nginx.conf"
    configuration.write_text(
        _NGINX_CONFIGURATION.format(port=setup.port, upstream_port=setup.upstream_port),
        encoding="ascii",
    )
    program = shutil.which("nginx") or "nginx"
    folder = str(setup.folder)
    return Command((program, "-p", folder, "-c", str(configuration), "-e", "stderr"), {})


_NGINX_CONFIGURATION = """
daemon off; master_process off; pid nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://127.0.0.1:{upstream_port};
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
"""

SIMULATOR_REQUEST = _chat_completion

TUTORIAL = Target(
    "tutorial", _tutorial, lambda _model: request("/chat", {"message": _MESSAGE}), "/healthz"
)
CHATSTREAM = Target(
    "chatstream",
    _chatstream,
    lambda _model: request("/api/v1/turns", {"message": _MESSAGE}),
    "/health/ready",
)
NGINX = Target("nginx", _nginx, _chat_completion, "/healthz")


def available() -> list[Target]:
    """Return the targets that can be started here."""
    return [TUTORIAL, CHATSTREAM] + ([NGINX] if shutil.which("nginx") else [])
