"""Others that do the same job, each installed apart (`make bench-peers`), never into ours.

Stock, as their own documentation starts them, one process each; none stores anything.
"""

import re
import shutil
import subprocess
from pathlib import Path

import msgspec

from loadtests.bench.processes import ROOT, Command
from loadtests.bench.targets import MESSAGE, Setup, Target, chat_completion, request

INSTALLED = ROOT / ".bench-peers"

_SOURCES = Path(__file__).parent
_NUMBER = re.compile(r"\d+(?:\.\d+)+")
_MISSING = "is not installed (make bench-peers)"
_LITELLM = INSTALLED / "litellm" / "bin" / "litellm"


def _litellm(setup: Setup) -> Command:
    # The model's name is in the file: in a request its commas would mean several models.
    template = (_SOURCES / "litellm.yaml").read_text(encoding="utf-8")
    config = setup.folder / "litellm.yaml"
    config.write_text(template.format(model=setup.model, base_url=setup.base_url), encoding="utf-8")
    options = ("--config", str(config), "--host", "127.0.0.1")
    workers = ("--port", str(setup.port), "--num_workers", "1", "--telemetry", "False")
    environment = {
        "HOME": str(setup.folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for prices
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # nobody signs in here
    }
    return Command((str(_LITELLM), *options, *workers), environment)


def _node(source: str, setup: Setup) -> Command:
    # Node looks for packages beside the program, so that is copied to where they are.
    program = INSTALLED / "node" / source
    shutil.copyfile(_SOURCES / "node" / source, program)
    node = shutil.which("node") or "node"
    where = (str(setup.port), setup.base_url, setup.model)
    return Command((node, str(program), *where), {"NODE_ENV": "production"})


def _missing_litellm() -> str:
    return "" if (_LITELLM.parents[1] / ".ready").exists() else f"LiteLLM {_MISSING}"


def _missing_node() -> str:
    if shutil.which("node") is None:
        return "node is not installed (20 or newer)"
    return "" if (INSTALLED / "node" / ".ready").exists() else f"the AI SDK {_MISSING}"


def _message(_model: str) -> bytes:
    return request("/chat", {"message": MESSAGE})


LITELLM = Target(
    "litellm",
    _litellm,
    lambda _model: chat_completion("simulator"),
    "/health/liveliness",
    missing=_missing_litellm,
)
AI_SDK = Target(
    "ai-sdk", lambda setup: _node("sdk.mjs", setup), _message, "/healthz", missing=_missing_node
)
NODE_RELAY = Target(
    "node-relay", lambda setup: _node("relay.mjs", setup), _message, "/healthz", _missing_node
)


class _Package(msgspec.Struct):
    version: str = ""


class _Lock(msgspec.Struct):
    packages: dict[str, _Package]


def versions() -> dict[str, str]:
    """Return the versions of the others that are installed here: of programs, and as locked."""
    found = {name: _program_version(name) for name in ("nginx", "node", "redis-server")}
    if not _missing_litellm():
        locked = (_SOURCES / "litellm.lock").read_text(encoding="ascii")
        found["litellm"] = locked.partition("\nlitellm==")[2].partition(" ")[0]
    if not _missing_node():
        packages = (_SOURCES / "node" / "package-lock.json").read_bytes()
        known = msgspec.json.decode(packages, type=_Lock).packages
        for name in ("ai", "@ai-sdk/openai-compatible"):
            found[name] = known[f"node_modules/{name}"].version
    return {name: version for name, version in found.items() if version}


def _program_version(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        return ""
    option = "-v" if name == "nginx" else "--version"
    told = subprocess.run([program, option], capture_output=True, check=False)  # noqa: S603  # our own words
    number = _NUMBER.search((told.stdout + told.stderr).decode(errors="replace"))
    return number[0] if number else ""
