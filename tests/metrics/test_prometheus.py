"""The exposition: what a Prometheus server reads, and that its own linter has no complaint."""

import re
import subprocess
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as read_text

from metrics.series.flags import FlagFigures, RolloutFigures
from metrics.series.service import SharingFigures
from metrics.turns import EndedTurn, FirstTokenParts, TurnMetrics
from tests.support.machine import program

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def a_busy_recorder(metrics: TurnMetrics | None = None) -> TurnMetrics:
    """Return a recorder in which every series has a sample."""
    metrics = metrics or TurnMetrics()
    for streaming in (True, False):
        metrics.turn_started(streaming=streaming)
        metrics.first_delta(0.2, streaming=streaming, parts=FirstTokenParts(0.02, 0.08, 0.1))
        metrics.first_flush(0.001)
        metrics.turn_ended(
            EndedTurn(
                "failed", streaming, 2.0, 0.2, [0.02], 3, 4, "exact", "upstream_timeout", 0.01, 1
            )
        )
    metrics.reader_opened()
    metrics.reader_closed("end")
    metrics.attached("replay")
    metrics.reset_sent("restart")
    metrics.source_retried()
    metrics.source_called("primary", "finished")
    metrics.source_breaker_changed("primary", is_open=True)
    metrics.retry_refused()
    metrics.turn_continued("fallback")
    metrics.turn_taken_over()
    metrics.redis_seen(is_down=True)
    metrics.redis_breaker_changed(is_open=True)
    metrics.history_failed("request")
    metrics.history_breaker_changed(is_open=True)
    metrics.loop_lag(0.001)
    metrics.http_request("/api/v1/turns", "POST", 200, 1.0)
    metrics.cache_looked_up("tts", hit=True)
    metrics.cache_failed("tts")
    metrics.first_audio(0.8, "google")
    metrics.unit_ended("google", "spoken")
    metrics.engine_called("google", "spoken", 0.35)
    metrics.breaker_changed("google", is_open=True)
    metrics.flag_exposed("on")
    metrics.flag_failed()
    metrics.watch_flags(lambda: FlagFigures(3, False, 0.5, 0.05, False))
    metrics.page_reported(ttft_s=0.3, gaps_s={"p50": 0.1, "p95": 0.2, "max": 1.0}, reconnects=1)
    record_what_is_watched(metrics)
    return metrics


def record_what_is_watched(metrics: TurnMetrics) -> None:
    """Record the rest: of speech, logs, dependencies, the rollout and the process."""
    metrics.sentences_completed(4)
    metrics.audio_gap(0.3)
    metrics.repeated("append")
    metrics.watch_logs(lambda: 4096)
    metrics.dependency_called("redis", 0.001, is_ok=True)
    metrics.rollout_moved("promote")
    metrics.watch_rollout(lambda: RolloutFigures("running", is_leader=True))
    metrics.watch_sharing(lambda: SharingFigures(0.5, 0))
    metrics.introduce("0.1.0", "3.11.7")


def promtool(*check: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run a check of Prometheus' own tool; without it skip, or fail where services are required."""
    command = [program("promtool", "Debian package: prometheus"), "check", *check]
    run = subprocess.run(command, input=stdin, capture_output=True, timeout=30, check=False)
    return run.returncode, (run.stdout + run.stderr).decode()


def test_promtool_has_no_complaint() -> None:
    text, _ = a_busy_recorder().exposition()

    assert promtool("metrics", stdin=text) == (0, "")


def test_a_scrape_is_answered_in_the_text_format() -> None:
    body, content_type = a_busy_recorder().exposition()

    names = {family.name for family in read_text(body.decode())}
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert {"chat_turns", "chat_inter_token_latency_seconds", "process_cpu_seconds"} <= names


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
    assert 'chat_turns_continued_total{cause="worker_lost"} 0.0' in text
    assert "chat_redis_down 0.0" in text
