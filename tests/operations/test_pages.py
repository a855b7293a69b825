"""The operators' pages: every alert has its place, every command is one that there is."""

import json
import re
import shlex
import subprocess

import pytest

from metrics.series.turns import FIRST_TOKEN_S
from operations.production_check import CHECKLIST, OPTIONS, lines
from tests.deploy.series import faults, served
from tests.deploy.test_prometheus import alerts, headings
from tests.support.server import ROOT

PAGES = ("backup.md", "runbooks.md", "incidents.md", "production-checklist.md", "monitoring.md")
SCRIPTS = (
    "backup",
    "restore",
    "smoke",
    "validate-env",
    "verify-indexes",
    "create-admin",
    "rotate-secrets",
    "quick-check",
    "production-check",
)

_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| .+ \| \[.+\]\(alerts\.md#([\w-]+)\) \|$", re.MULTILINE)
_OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]+")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_every_alert_has_its_runbook() -> None:
    rules = {
        name: (
            re.findall(r"severity: (\w+)", rule)[0],
            re.findall(r"runbook_url: docs/alerts\.md#([\w-]+)", rule)[0],
        )
        for name, rule in alerts()
    }

    told = {name: (severity, place) for name, severity, place in _ROW.findall(page("runbooks.md"))}

    assert told == rules
    assert {place for _, place in told.values()} <= headings()


def test_what_is_to_be_watched_is_there() -> None:
    """Alerts, rows of the dashboard and the expressions of what is promised."""
    text = page("monitoring.md")
    dashboard = json.loads((ROOT / "deploy/grafana/chatstream.json").read_bytes())
    panels = {panel["title"] for panel in dashboard["panels"]}
    rows = re.findall(r"^\| .+\? \| ([^|]+) \| .+ \| .+ \|$", text, re.MULTILINE)
    promises = re.findall(r"```promql\n(.+?)```", text, re.DOTALL)[0].splitlines()

    assert len(rows) > 6
    assert {title for row in rows for title in row.split("; ")} <= panels
    assert set(re.findall(r"`(Chat\w+)`", text)) <= {name for name, _ in alerts()}
    assert len(promises) == 3
    assert [faults(each, served()) for each in promises] == [[], [], []]
    assert {float(le) for le in re.findall(r'le="([\d.]+)"', str(promises))} <= {*FIRST_TOKEN_S}


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]*)(?:#[\w-]+)?\)", page(name)):
        assert not target or (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("name", PAGES)
def test_scripts_that_a_page_names_are_there(name: str) -> None:
    for script in re.findall(r"`[^`\n]*?(scripts/[\w-]+)", page(name)):
        assert (ROOT / script).stat().st_mode & 0o111, script


@pytest.mark.long
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_tells_its_options_and_pages_name_no_others(script: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / script, "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

    known = set(_OPTION.findall(done.stdout.replace("[", " ").replace(",", " ")))
    for name in PAGES:
        for used in re.findall(rf"scripts/{script}\b([^`\n]*)", page(name)):
            outer = re.sub(r"'[^']*'", "", used)
            assert set(_OPTION.findall(outer)) <= known, used


def test_every_line_of_the_checklist_has_a_command() -> None:
    text = CHECKLIST.read_text(encoding="utf-8")
    written = [line for line in text.splitlines() if line.startswith("- ")]

    found = lines(text)

    assert len(found) == len(written) > 10
    assert {place for line in found for place in line.places()} <= set(OPTIONS)
    for line in found:
        program = shlex.split(line.command)[0]
        assert "/" not in program or (ROOT / program).exists() or program.startswith(".venv/")
