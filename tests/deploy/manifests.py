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


def based() -> list[dict[str, Any]]:
    """Return each resource of the base."""
    base = KUBERNETES / "base"
    names = document(base / "kustomization.yaml")["resources"]
    return [each for name in names for each in documents(base / name)]


def overlaid(name: str) -> list[dict[str, Any]]:
    """Return each resource as an overlay makes it, as far as ours go: no labels, no settings.

    Fails where it would change what is not there, as kustomize does.
    """
    given = document(KUBERNETES / "overlays" / name / "kustomization.yaml")
    resources = based()
    for patch in given["patches"]:
        resource = the(resources, **patch["target"])
        for step in yaml.safe_load(patch["patch"]):
            assert step["op"] == "replace"
            _replace(resource, step["path"], step["value"])
    for image in given["images"]:
        _rename(resources, image)
    for resource in resources:
        if resource["kind"] != "Namespace":
            resource["metadata"]["namespace"] = given["namespace"]
    return resources


def the(resources: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """Return the one resource of this kind and name."""
    [found] = [e for e in resources if e["kind"] == kind and e["metadata"]["name"] == name]
    return found


def _replace(value: Any, path: str, new: Any) -> None:
    """Replace what is there (RFC 6902, 4.3); fail where nothing is."""
    *way, last = [int(e) if e.isdecimal() else e for e in path.removeprefix("/").split("/")]
    for each in way:
        value = value[each]
    assert value[last] is not None
    value[last] = new


def _rename(resources: list[dict[str, Any]], image: dict[str, str]) -> None:
    containers = the(resources, "Deployment", "chatstream")["spec"]["template"]["spec"][
        "containers"
    ]
    [container] = [each for each in containers if each["image"] == image["name"]]
    container["image"] = f"{image['newName']}:{image['newTag']}"


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
