"""The files for containers and clusters, read as what they are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML brings no types

from server.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy/docker"
KUBERNETES = ROOT / "deploy/kubernetes"

_SECRET = re.compile(r"(?i)(secret|token|password|api_key|uri|url)$")


def documents(path: Path) -> list[dict[str, Any]]:
    """Return all YAML documents of a file."""
    return [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each is not None]


def document(path: Path) -> dict[str, Any]:
    """Return the one YAML document of a file."""
    [only] = documents(path)
    return only


def instructions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each instruction of a Dockerfile: its word, and the rest in one line."""
    text = re.sub(r"^#.*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, rest


def unknown_settings(names: Iterator[str] | list[str]) -> list[str]:
    """Return those that the server has no setting for."""
    return [name for name in names if name.lower() not in Settings.model_fields]


def is_secret(name: str) -> bool:
    """Tell whether a value of this name is nobody else's business."""
    return _SECRET.search(name) is not None and name.upper() != "OPENAI_BASE_URL"


def seconds(text: str) -> int:
    """Return a time such as `45s`."""
    return int(text.removesuffix("s"))
