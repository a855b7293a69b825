"""The exposition: what a Prometheus server reads, and that its own linter has no complaint."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from metrics.turns import EndedTurn, TurnMetrics

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"


def a_busy_recorder() -> TurnMetrics:
    """Return a recorder in which every series has a sample."""
    metrics = TurnMetrics()
    for streaming in (True, False):
        metrics.turn_started(streaming=streaming)
        metrics.first_delta(0.2, streaming=streaming)
        metrics.turn_ended(
            EndedTurn("failed", streaming, 2.0, 0.2, [0.02], 3, 4, "exact", "upstream_timeout")
        )
    metrics.reader_opened()
    metrics.reader_closed("end")
    metrics.attached("replay")
    metrics.reset_sent("restart")
    metrics.source_retried()
    metrics.history_failed("begin")
    metrics.loop_lag(0.001)
    metrics.http_request("/api/v1/turns", "POST", 200, 1.0)
    metrics.cache_looked_up("tts", hit=True)
    metrics.page_reported(ttft_s=0.3, gaps_s={"p50": 0.1, "p95": 0.2, "max": 1.0}, reconnects=1)
    return metrics


def test_promtool_has_no_complaint() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package: prometheus)")
    text, _ = a_busy_recorder().exposition()

    run = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False
    )

    assert (run.returncode, run.stdout + run.stderr) == (0, b"")


def test_a_scrape_that_names_nothing_gets_the_text_format() -> None:
    body, content_type = a_busy_recorder().exposition()

    names = {family.name for family in read_text(body.decode())}
    assert content_type.startswith("text/plain; version=0.0.4")
    assert {"chat_turns", "chat_inter_token_latency_seconds", "process_cpu_seconds"} <= names


def test_a_scrape_that_accepts_openmetrics_gets_it() -> None:
    body, content_type = a_busy_recorder().exposition("application/openmetrics-text;version=1.0.0")

    read = read_openmetrics(body.decode())  # type: ignore[no-untyped-call]  # the library's parser
    families = {family.name for family in read}
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "chat_turns" in families


def test_series_about_the_birth_of_series_are_left_out() -> None:
    assert b"_created" not in a_busy_recorder().exposition()[0]


def test_every_series_is_documented_and_every_documented_one_is_served() -> None:
    served = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in read_text(a_busy_recorder().exposition()[0].decode())
        if family.name.startswith("chat_")
    }

    documented = set(re.findall(r"^\| `(chat_\w+)`", DOCS.read_text(), re.MULTILINE))

    assert served == documented


def test_failures_of_a_kind_that_has_not_happened_are_served_as_zero() -> None:
    text = TurnMetrics().exposition()[0].decode()

    assert 'chat_turns_total{arm="on",outcome="failed"} 0.0' in text
    assert 'chat_readers_closed_total{reason="slow"} 0.0' in text
