"""The workflows for CI: what they run is there, and they may do no more than they have to.

GitHub does not run here; each command is looked up in this repository.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import DOCKER, ROOT, document

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = {path.stem: document(path) for path in sorted(FOLDER.glob("*.yml"))}
CI, RELEASE = WORKFLOWS["ci"], WORKFLOWS["release"]
_PINNED = re.compile(r"actions/[\w-]+@[0-9a-f]{40}|\./\.github/workflows/[\w-]+\.yml")
_PLACE = re.compile(
    r"(?<![\w/$.{])((?:\.ci|deploy|scripts|server)/[\w./-]+|requirements[\w-]*\.lock)"
)


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each job with its name."""
    for name, workflow in WORKFLOWS.items():
        for job, said in workflow["jobs"].items():
            yield f"{name}.{job}", said


def commands() -> str:
    """Return all that the workflows run."""
    steps = [step for _, job in jobs() for step in job.get("steps", [])]
    return "\n".join(step["run"] for step in steps if "run" in step)


def test_files_and_targets_that_are_run_are_there() -> None:
    ran = commands()
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    places = {
        place for place in _PLACE.findall(ran) if not place.startswith("deploy/docker/secrets/")
    }

    assert [place for place in places if not (ROOT / place.rstrip("/")).exists()] == []
    assert {".ci/run", "deploy/docker/make-secrets", "requirements.lock"} <= places
    assert set(re.findall(r"^make ([\w-]+)", ran, re.MULTILINE)) <= set(targets)


def test_overlays_that_are_checked_are_all_there_are() -> None:
    [listed] = re.findall(r"for overlay in (.*); do", commands())

    assert sorted(listed.split()) == sorted(
        path.name for path in (ROOT / "deploy/kubernetes/overlays").iterdir()
    )


def test_jobs_read_only_but_for_the_one_that_releases() -> None:
    assert all(workflow["permissions"] == {"contents": "read"} for workflow in WORKFLOWS.values())
    assert {name: job["permissions"] for name, job in jobs() if "permissions" in job} == {
        "release.release": {"contents": "write"}
    }
    assert "secrets." not in (FOLDER / "ci.yml").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_what_others_wrote_is_pinned_and_what_they_say_is_no_code(path: Path) -> None:
    text = path.read_text("utf-8")

    used = re.findall(r"uses: (\S+)", text)
    runs = "\n".join(re.findall(r"run: (.*(?:\n {10,}.*)*)", text))

    assert all(_PINNED.fullmatch(each) for each in used)
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "${{" not in runs
    assert "pull_request_target" not in text


def test_nothing_is_released_that_was_not_checked_and_built() -> None:
    needs = {name: job.get("needs", []) for name, job in RELEASE["jobs"].items()}

    assert needs["image"] == ["ci", "version"]
    assert needs["images"] == "image"
    assert set(needs["release"]) == set(needs) - {"release"}
    # A job that is left out counts as none that failed: where no place for images is named.
    assert "'failure'" in RELEASE["jobs"]["release"]["if"]
    built = [
        each["processor"] for each in RELEASE["jobs"]["image"]["strategy"]["matrix"]["include"]
    ]
    told = re.findall(r"\$IMAGE:\$\{TAG#v\}-(\w+)", commands())
    assert built == told


def test_programs_that_are_fetched_to_check_are_of_one_version() -> None:
    fetched = re.findall(r"pipx run (?:--spec )?(\S+)", commands())

    assert len(fetched) == 3
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", each) for each in fetched)


def test_the_suites_are_given_a_mongodb_by_the_variable_that_they_read() -> None:
    [test] = [job for name, job in jobs() if name == "ci.test"]
    [(name, uri)] = test["env"].items()

    assert name in (ROOT / "tests/support/mongo.py").read_text("utf-8")
    assert uri.endswith("?replicaSet=rs0")
    [image] = re.findall(r"(mongo:\S+) --replSet rs0", commands())
    assert f"${{MONGODB_IMAGE:-{image}}}" in (DOCKER / "compose.yaml").read_text("utf-8")


def test_every_job_has_an_end() -> None:
    assert all("timeout-minutes" in job or "uses" in job for _, job in jobs())


def test_what_servers_complain_of_is_looked_for_by_the_name_that_it_has() -> None:
    [looked_for] = re.findall(r"'(event_log\S+)'", commands())
    code = "".join(
        path.read_text("utf-8")
        for name in ("server", "streaming")
        for path in (ROOT / name).rglob("*.py")
    )

    assert all(f'"{event}"' in code for event in looked_for.split("|"))
