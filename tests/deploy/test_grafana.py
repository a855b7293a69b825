"""The dashboard: its form is what Grafana reads, and a real Prometheus runs every expression.

Grafana itself is not run.
"""

import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.deploy.series import ROOT, RULES, faults, recorded, served
from tests.e2e.operators import operated_server
from tests.support.prometheus import Prometheus, running_prometheus

FOLDER = ROOT / "deploy/grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "chatstream.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
ROWS = [
    "Overview",
    "Turns per arm",
    "Time to first token",
    "Between tokens",
    "Readers",
    "Speech",
    "Dependencies",
    "Process",
    "Rollout",
    "Limits and moderation",
]
GRID = 24

SILENT = {
    "chat_attaches_total",
    "chat_audio_gap_seconds",
    "chat_cache_",
    "chat_page_",
    "chat_speech_call",
    "chat_speech_units",
    "chat_speech_breaker_open",
    "chat_time_to_first_audio",
    "chat_source_errors_total",
    "chat_source_breaker_open",
    "chat_history_failures_total",
    "chat_limit_refusals_total",
    "chat_limits_alone",
    "chat_moderation_",
    "chat_resets_total",
}
"""What a healthy server without speech has nothing of, whose readers leave at once."""


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression with its panel's title."""
    for panel in SHOWN:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]


def as_asked(expr: str) -> str:
    """Return an expression as Grafana asks for it, with its variables filled in."""
    filled = {"$job": "chatstream", "$instance": ".*", "$__rate_interval": "20s"}
    for name, value in filled.items():
        expr = expr.replace(name, value)
    assert "$" not in expr
    return expr


def test_it_is_a_dashboard_of_grafanas() -> None:
    assert DASHBOARD["uid"] == "chatstream"
    assert DASHBOARD["title"] == "Chatstream"
    assert DASHBOARD["schemaVersion"] >= 39  # Grafana 11
    assert DASHBOARD["id"] is None
    names = [(each["name"], each["type"]) for each in DASHBOARD["templating"]["list"]]
    assert names == [("datasource", "datasource"), ("job", "query"), ("instance", "query")]


def test_it_has_its_rows_in_order_and_every_panel_is_below_one() -> None:
    rows = [panel for panel in PANELS if panel["type"] == "row"]

    assert [row["title"] for row in rows] == ROWS
    assert all(row["panels"] == [] and row["collapsed"] is False for row in rows)
    assert PANELS[0]["type"] == "row"
    heights = [panel["gridPos"]["y"] for panel in PANELS]
    assert heights == sorted(heights)


def test_every_panel_has_an_id_of_its_own_a_title_and_says_what_it_shows() -> None:
    ids = [panel["id"] for panel in PANELS]
    titles = [panel["title"] for panel in SHOWN]

    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    assert all(panel["description"].endswith(".") for panel in SHOWN)
    assert {panel["type"] for panel in SHOWN} == {"timeseries", "stat"}


def test_no_panel_lies_upon_another_or_leaves_the_grid() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in PANELS]

    for title, place in places:
        assert 0 <= place["x"] <= place["x"] + place["w"] <= GRID, title
        assert place["h"] > 0, title
    for (one, a), (other, b) in combinations(places, 2):
        is_beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        is_above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert is_beside or is_above, f"{one} lies upon {other}"


def test_every_panel_asks_the_chosen_data_source_and_names_its_queries() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}

    for panel in SHOWN:
        assert panel["datasource"] == source
        assert panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]
        assert all(target["datasource"] == source for target in panel["targets"])


def test_every_expression_names_only_what_is_served_and_only_the_chosen_job() -> None:
    known = served() | recorded()

    for title, expr in expressions():
        plain = as_asked(expr)
        assert faults(plain, known) == [], title
        assert plain.count("chat_") <= plain.count('job="chatstream"'), title


def test_every_series_is_on_it() -> None:
    """But those that only help to read others."""
    shown = " ".join(expr for _, expr in expressions())
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in served()}

    missing = {name for name in names if name not in shown}

    assert missing == {"process_start_time_seconds"}


@pytest.mark.services
@pytest.mark.long
async def test_a_real_prometheus_runs_every_expression_and_every_rule(tmp_path: Path) -> None:
    (tmp_path / "prometheus").mkdir()
    async with AsyncExitStack() as stack:
        serving = operated_server(tmp_path / "server", default_streaming_percentage=50)
        operator = await stack.enter_async_context(serving)
        scraping = running_prometheus(
            tmp_path / "prometheus",
            rules=RULES,
            token=operator.server.data_dir / "admin-token",
            targets=[operator.server.port],
        )
        prometheus = await stack.enter_async_context(scraping)
        await prometheus.until('up{job="chatstream"} == 1')
        empty: list[str] = []
        with anyio.move_on_after(60):
            while unexpected(empty := await empty_ones(prometheus)) or not empty:
                await operator.arm()
        rules = await prometheus.rules()

    assert unexpected(empty) == []
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []


async def empty_ones(prometheus: Prometheus) -> list[str]:
    """Run every expression; return those that gave nothing."""
    asked = [(expr, await prometheus.query(as_asked(expr))) for _, expr in expressions()]
    return [expr for expr, result in asked if not result]


def unexpected(empty: list[str]) -> list[str]:
    """Return those of which there should be something."""
    wanted = (expr for expr in empty if not expr.endswith("> 0"))
    return [expr for expr in wanted if not any(name in expr for name in SILENT)]
