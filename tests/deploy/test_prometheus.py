"""The rules for Prometheus: its own tools have no complaint, and they name what is served."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.alerts.model import Section
from tests.deploy.series import ROOT, RULES, faults, recorded, served
from tests.support.machine import program

FOLDER = ROOT / "deploy/prometheus"
CASES = FOLDER / "chatstream.rules.test.yml"
RUNBOOK = ROOT / "docs/alerts.md"

_RULE = re.compile(r"- alert: (\w+)\n(.*?)(?=\n      - alert|\n\n|\Z)", re.DOTALL)


def promtool(*arguments: str, folder: Path = FOLDER) -> str:
    """Run Prometheus' own tool, which must have no complaint; return what it says."""
    run = subprocess.run(
        [program("promtool", "Debian package: prometheus"), *arguments],
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (run.stdout + run.stderr).decode()
    assert run.returncode == 0, said
    return said


def alerts() -> Iterator[tuple[str, str]]:
    """Yield each alert's name and its rule."""
    yield from _RULE.findall(RULES.read_text("utf-8"))


def expressions() -> list[str]:
    """Return all expressions of the rules."""
    text = RULES.read_text("utf-8")
    found = re.findall(r"expr: (?:\|\n)?(.*?)(?=\n\s+(?:- |for:|labels:)|\n\n)", text, re.DOTALL)
    return [" ".join(each.split()) for each in found]


def headings() -> set[str]:
    """Return what links into the runbook may lead to."""
    titles = re.findall(r"^#+ (.+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.services
def test_the_rules_and_the_sample_configuration_are_valid(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "prometheus")
    (folder / "admin-token").write_text("secret", encoding="ascii")

    promtool("check", "config", "prometheus.yml", folder=folder)


@pytest.mark.services
def test_every_alert_fires_when_it_should_and_none_beside_it() -> None:
    assert "SUCCESS" in promtool("test", "rules", CASES.name)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    fired = set(re.findall(r'alertname="(\w+)"', CASES.read_text("utf-8")))

    assert fired == {name for name, _ in alerts()}


@pytest.mark.parametrize(("name", "rule"), [pytest.param(*each, id=each[0]) for each in alerts()])
def test_an_alert_says_how_grave_it_is_and_what_to_do(name: str, rule: str) -> None:
    severity = re.search(r"severity: (\w+)", rule)
    runbook = re.search(r"runbook_url: docs/alerts\.md#([\w-]+)$", rule, re.MULTILINE)
    description = re.search(r"description: (.+)", rule)

    assert name.startswith("Chat")
    assert severity is not None
    assert severity[1] in {"critical", "warning"}
    assert "summary: " in rule
    assert description is not None
    assert len(description[1]) > 60
    assert runbook is not None
    assert runbook[1] in headings()


def test_the_rules_name_only_what_is_served() -> None:
    known = served() | recorded()
    found = expressions()

    assert len(found) == len(list(alerts())) + len(recorded())
    assert [fault for expr in found for fault in faults(expr, known)] == []


@pytest.mark.parametrize(
    "expr",
    [
        "chat_no_such_series > 0",
        'rate(chat_turns_total{result="x"}[5m])',
        "sum by (engine) (chat_turns_active)",
        "chat_turn_duration_seconds > 1",
        "job:chat_nothing:rate5m",
    ],
)
def test_what_is_not_served_is_noticed(expr: str) -> None:
    assert len(faults(expr, served() | recorded())) == 1


def test_what_the_server_itself_tells_leads_into_the_runbook() -> None:
    assert {section.value for section in Section} <= headings()
