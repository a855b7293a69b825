"""What is measured: how each server is started, and what a client sends to it."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.bench.client import MARK
from loadtests.bench.processes import Command

MESSAGE = "Tell me about streaming, please."
SPEAKING_EVERY = 20
"""Of so many streams one is spoken, where some are."""

_UNLIMITED_CHARS = "1000000"
_UNLIMITED_S = "3600"


def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a server needs to know before it starts."""

    port: int
    upstream_port: int
    model: str
    folder: Path
    redis_port: int = 0

    @property
    def base_url(self) -> str:
        """The simulator, as an OpenAI client's base URL."""
        return f"http://127.0.0.1:{self.upstream_port}/v1"


@dataclass(frozen=True, slots=True)
class Target:
    """A server: how to start it, how to ask it for a streamed answer.

    Attributes:
        command: How it is started; None is the simulator itself, with nothing between.
        request: What asks it, where the model has such a name.
        missing: What to do so that it can be started here; empty where it can.
        mark: Comes once for each token in what it sends.
        other: What every so many-th stream asks instead.
    """

    name: str
    command: Callable[[Setup], Command] | None
    request: Callable[[str], bytes]
    ready_path: str
    missing: Callable[[], str] = _nothing
    mark: bytes = MARK
    other: Callable[[str], bytes] | None = None

    def request_of(self, number: int, model: str) -> bytes:
        """Return what a stream asks, by its number."""
        is_other = self.other is not None and number % SPEAKING_EVERY == 0
        return self.other(model) if self.other and is_other else self.request(model)


def request(path: str, body: dict[str, object]) -> bytes:
    """Return a whole HTTP request that asks for an event stream."""
    encoded = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n"
        f"content-type: application/json\r\ncontent-length: {len(encoded)}\r\n\r\n"
    )
    return head.encode("ascii") + encoded


def chat_completion(model: str) -> bytes:
    """Return a request as OpenAI's API takes it."""
    messages = [{"role": "user", "content": MESSAGE}]
    body = {"model": model, "stream": True, "messages": messages}
    return request("/v1/chat/completions", body)


def _tutorial(setup: Setup) -> Command:
    module = (sys.executable, "-m", "loadtests.bench.tutorial_app")
    where = ("--port", str(setup.port), "--base-url", setup.base_url, "--model", setup.model)
    return Command(module + where, {})


def _turn(**more: object) -> bytes:
    return request("/api/v1/turns", {"message": MESSAGE, **more})


def embedded(setup: Setup) -> Command:
    """Return how this server is started with all that it needs in itself."""
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


def _chatstream_on_redis(setup: Setup) -> Command:
    plain = embedded(setup)
    more = {
        "REDIS_URL": f"redis://127.0.0.1:{setup.redis_port}",
        "SESSION_SECRET": "s" * 40,
        "ADMIN_TOKEN": "a" * 40,
    }
    return Command(plain.arguments, {**plain.environment, **more})


def _chatstream_speaking(setup: Setup) -> Command:
    plain = embedded(setup)
    more = {
        "TTS_ENGINE": "espeak",
        # Nobody reports what was played, and answers are endless: neither may silence them.
        "SPEECH_IDLE_TIMEOUT_S": _UNLIMITED_S,
        "SPEECH_SECONDS_PER_DAY": "1000000000",
    }
    return Command(plain.arguments, {**plain.environment, **more})


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


def _program(name: str) -> Callable[[], str]:
    return lambda: "" if shutil.which(name) else f"{name} is not installed (apt: {name})"


def _espeak() -> str:
    found = importlib.util.find_spec("espeakng_loader") is not None
    return "" if found else "eSpeak NG is not installed (make test)"


SIMULATOR_REQUEST = chat_completion

DIRECT = Target("direct", None, chat_completion, "/healthz")
"""The load and the simulator alone: what the measuring itself can do."""

NGINX = Target("nginx", _nginx, chat_completion, "/healthz", _program("nginx"))
TUTORIAL = Target(
    "tutorial", _tutorial, lambda _model: request("/chat", {"message": MESSAGE}), "/healthz"
)
CHATSTREAM = Target("chatstream", embedded, lambda _model: _turn(), "/health/ready")
WITH_REDIS = Target(
    "chatstream+redis",
    _chatstream_on_redis,
    lambda _model: _turn(),
    "/health/ready",
    _program("redis-server"),
)
SPEAKING = Target(
    "chatstream+speech",
    _chatstream_speaking,
    lambda _model: _turn(),
    "/health/ready",
    _espeak,
    mark=b"event: text.delta\n",  # sentences say the marked text again
    other=lambda _model: _turn(speech=True),
)
