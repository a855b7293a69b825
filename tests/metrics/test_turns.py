"""The recorder: what goes in comes out, in Prometheus and in the window; nothing ever raises."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from metrics import labels
from metrics.turns import EndedTurn, TurnMetrics
from streaming.errors import SourceError
from streaming.speech.errors import SpeechError


def an_end(**changes: Any) -> EndedTurn:
    values: dict[str, Any] = {
        "outcome": "completed",
        "streaming": True,
        "duration_s": 4.3,
        "ttft_s": 0.3,
        "gaps_s": [0.02, 0.03],
        "input_tokens": 12,
        "output_tokens": 200,
        "usage_source": "exact",
        "error_code": None,
    }
    return EndedTurn(**{**values, **changes})


def samples(metrics: TurnMetrics) -> dict[str, float]:
    text = metrics.exposition()[0].decode()
    found = (s for family in text_string_to_metric_families(text) for s in family.samples)
    return {_key(sample.name, sample.labels): sample.value for sample in found}


def _key(name: str, named: dict[str, str]) -> str:
    inside = ",".join(f"{label}={value}" for label, value in sorted(named.items()))
    return f"{name}{{{inside}}}" if inside else name


def source_errors(cls: type[SourceError] = SourceError) -> Iterator[type[SourceError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from source_errors(child)


def test_a_turn_is_active_from_its_start_to_its_end() -> None:
    metrics = TurnMetrics()

    metrics.turn_started(streaming=True)
    metrics.turn_started(streaming=False)
    during = [metrics.snapshot().active_turns, samples(metrics)["chat_turns_active"]]
    metrics.turn_ended(an_end())

    assert during == [2, 2]
    assert metrics.snapshot().active_turns == 1
    assert samples(metrics)["chat_turns_active"] == 1


def test_an_end_is_counted_by_outcome_and_arm() -> None:
    metrics = TurnMetrics()

    metrics.turn_ended(an_end())
    metrics.turn_ended(an_end(outcome="failed", streaming=False, error_code="upstream_timeout"))

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_turns_total{arm=on,outcome=completed}"] == 1
    assert found["chat_turns_total{arm=off,outcome=failed}"] == 1
    assert found["chat_turns_total{arm=off,outcome=completed}"] == 0
    assert found["chat_source_errors_total{code=upstream_timeout}"] == 1
    assert snapshot.arms["on"].outcomes["completed"] == 1
    assert snapshot.arms["off"].outcomes["failed"] == 1
    assert snapshot.errors == {"upstream_timeout": 1}


def test_rates_leave_cancelled_turns_out() -> None:
    metrics = TurnMetrics()
    for outcome in ["completed"] * 7 + ["failed", "interrupted", "failed"] + ["cancelled"] * 30:
        metrics.turn_ended(an_end(outcome=outcome))

    both = metrics.snapshot().all

    assert both.success_rate == pytest.approx(0.7)
    assert both.error_rate == pytest.approx(0.3)
    assert both.outcomes["cancelled"] == 30


def test_without_turns_there_are_no_rates_and_no_figures() -> None:
    snapshot = TurnMetrics().snapshot()

    assert snapshot.all.success_rate is None
    assert snapshot.all.error_rate is None
    assert snapshot.all.ttft.p50_s is None
    assert snapshot.output_tokens_per_s is None
    assert snapshot.caches["tts"].hit_rate is None


def test_the_first_delta_is_counted_once_by_its_arm() -> None:
    metrics = TurnMetrics()

    metrics.first_delta(0.3, streaming=True)
    metrics.first_delta(0.5, streaming=False)
    metrics.turn_ended(an_end())

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_time_to_first_token_seconds_count{arm=on}"] == 1
    assert found["chat_time_to_first_token_seconds_sum{arm=off}"] == 0.5
    assert snapshot.all.ttft.count == 2
    assert snapshot.all.ttft.mean_s == pytest.approx(0.4)
    assert snapshot.arms["on"].ttft.mean_s == pytest.approx(0.3)


def test_gaps_are_recorded_in_bulk_at_the_end() -> None:
    metrics = TurnMetrics()

    metrics.turn_ended(an_end(gaps_s=[0.015] * 900 + [0.5] * 100))

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_inter_token_latency_seconds_count"] == 1000
    assert found["chat_inter_token_latency_seconds_bucket{le=0.02}"] == 900
    assert found["chat_inter_token_latency_seconds_bucket{le=0.63}"] == 1000
    assert found["chat_inter_token_latency_seconds_sum"] == pytest.approx(63.5)
    assert snapshot.gaps.count == 1000
    assert snapshot.gaps.p99_s == pytest.approx(0.5, rel=0.13)


def test_tokens_are_counted_by_kind_and_source_and_give_the_pace() -> None:
    metrics = TurnMetrics()

    metrics.turn_ended(an_end())
    metrics.turn_ended(an_end(usage_source="estimated", output_tokens=None, ttft_s=None))

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_tokens_total{kind=output,source=exact}"] == 200
    assert found["chat_tokens_total{kind=input,source=estimated}"] == 12
    assert snapshot.tokens == {"input": 24, "output": 200}
    assert snapshot.output_tokens_per_s == pytest.approx(50.0)
    assert snapshot.turns_without_text == 1


def test_readers_are_counted_in_and_out_with_their_reasons() -> None:
    metrics = TurnMetrics()

    for _ in range(3):
        metrics.reader_opened()
    metrics.reader_closed("slow")
    metrics.attached("replay")
    metrics.reset_sent("cursor_lost")

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_readers_active"] == snapshot.active_readers == 2
    assert found["chat_readers_closed_total{reason=slow}"] == 1
    assert found["chat_attaches_total{result=replay}"] == 1
    assert found["chat_resets_total{reason=cursor_lost}"] == 1
    assert snapshot.readers_closed == {"slow": 1}
    assert (snapshot.attaches, snapshot.resets) == ({"replay": 1}, {"cursor_lost": 1})


def test_retries_history_failures_lag_requests_and_cache_lookups_are_recorded() -> None:
    metrics = TurnMetrics()

    metrics.source_retried()
    metrics.history_failed("checkpoint")
    metrics.loop_lag(0.004)
    metrics.http_request("/api/v1/turns/{turn_id}", "GET", 503, 0.02)
    metrics.cache_looked_up("tts", hit=True)
    metrics.cache_looked_up("tts", hit=False)

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_source_retries_total"] == snapshot.source_retries == 1
    assert found["chat_history_failures_total{operation=checkpoint}"] == 1
    assert found["chat_event_loop_lag_seconds_count"] == snapshot.loop_lag.count == 1
    request = "{method=GET,route=/api/v1/turns/{turn_id},status=503}"
    assert found[f"chat_http_requests_total{request}"] == 1
    assert snapshot.requests == {"5xx": 1}
    assert snapshot.caches["tts"].hit_rate == 0.5
    assert found["chat_cache_lookups_total{cache=tts,result=hit}"] == 1


def test_spoken_answers_are_recorded_by_engine_and_outcome() -> None:
    metrics = TurnMetrics()

    metrics.first_audio(0.8, "google")
    for outcome in ("spoken", "spoken", "cancelled", "speech_timeout"):
        metrics.engine_called("google", outcome, 0.35)
    metrics.unit_ended("google", "spoken")
    metrics.unit_ended("none", "speech_timeout")
    metrics.unit_ended("none", "not_requested")

    found, speech = samples(metrics), metrics.snapshot().speech
    assert found["chat_time_to_first_audio_seconds_sum{engine=google}"] == 0.8
    assert found["chat_speech_calls_total{engine=google,outcome=spoken}"] == 2
    assert found["chat_speech_call_duration_seconds_count{engine=google}"] == 3
    assert found["chat_speech_units_total{engine=none,outcome=not_requested}"] == 1
    assert speech.first_audio.mean_s == pytest.approx(0.8)
    assert speech.call_duration.count == 3
    assert speech.call_duration.mean_s == pytest.approx(0.35)
    assert speech.calls == {"google": {"cancelled": 1, "speech_timeout": 1, "spoken": 2}}
    assert speech.units == {
        "google": {"spoken": 1},
        "none": {"not_requested": 1, "speech_timeout": 1},
    }


def test_an_engines_breaker_is_shown_while_it_is_open() -> None:
    metrics = TurnMetrics()

    metrics.breaker_changed("google", is_open=True)
    during = samples(metrics)["chat_speech_breaker_open{engine=google}"]
    metrics.breaker_changed("google", is_open=False)

    assert during == 1
    assert samples(metrics)["chat_speech_breaker_open{engine=google}"] == 0


def test_what_a_page_reports_is_recorded_apart_from_what_the_server_saw() -> None:
    metrics = TurnMetrics()

    metrics.page_reported(ttft_s=0.7, gaps_s={"p50": 0.02, "max": 1.5}, reconnects=3)

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_page_time_to_first_token_seconds_sum"] == 0.7
    assert found["chat_page_gap_seconds_sum{statistic=max}"] == 1.5
    assert found["chat_page_reconnects_total"] == snapshot.page_reconnects == 3
    assert snapshot.page_ttft.count == 1
    assert snapshot.all.ttft.count == 0


@pytest.mark.parametrize(
    "record",
    [
        lambda metrics, odd: metrics.turn_ended(an_end(outcome=odd, error_code=odd)),
        lambda metrics, odd: metrics.turn_ended(an_end(usage_source=odd)),
        lambda metrics, odd: metrics.reader_closed(odd),
        lambda metrics, odd: metrics.attached(odd),
        lambda metrics, odd: metrics.reset_sent(odd),
        lambda metrics, odd: metrics.history_failed(odd),
        lambda metrics, odd: metrics.http_request("/", odd, 200, 0.1),
        lambda metrics, odd: metrics.cache_looked_up(odd, hit=True),
        lambda metrics, odd: metrics.first_audio(0.1, odd),
        lambda metrics, odd: metrics.unit_ended(odd, odd),
        lambda metrics, odd: metrics.engine_called(odd, odd, 0.1),
        lambda metrics, odd: metrics.breaker_changed(odd, is_open=True),
        lambda metrics, odd: metrics.page_reported(ttft_s=None, gaps_s={odd: 1}, reconnects=0),
    ],
)
def test_unknown_values_become_other_and_never_a_label(
    record: Callable[[TurnMetrics, str], None],
) -> None:
    metrics = TurnMetrics()

    for odd in ("user-4711", "\ud800", "a\nb{}"):
        record(metrics, odd)

    text = metrics.exposition()[0].decode()
    assert '="other"' in text
    assert "user-4711" not in text
    assert samples(metrics)["chat_metrics_failures_total"] == 0


def test_routes_and_statuses_are_bounded() -> None:
    metrics = TurnMetrics()

    for n in range(1_000):
        metrics.http_request(f"/api/v1/turns/{n}", "GET", n, 0.1)
    metrics.http_request("", "GET", 200, 0.1)
    metrics.http_request("/" + "x" * 500, "GET", 200, 0.1)

    found = [name for name in samples(metrics) if name.startswith("chat_http_requests_total")]
    routes = {name.partition("route=")[2].partition(",")[0] for name in found}
    statuses = {name.partition("status=")[2].rstrip("}") for name in found}
    assert len(routes) == labels.MAX_ROUTES + 1
    assert "other" in routes
    assert statuses - {"other"} <= {str(n) for n in range(100, 600)}


@pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0, None, "0.1"])
def test_a_value_that_is_no_duration_raises_nothing_and_spoils_no_figure(odd: Any) -> None:
    metrics = TurnMetrics()

    for seconds in (odd, 0.2):
        metrics.first_delta(seconds, streaming=True)
        metrics.loop_lag(seconds)
        metrics.first_audio(seconds, "google")
        metrics.engine_called("google", "spoken", seconds)
        metrics.http_request("/", "GET", 200, seconds)
        metrics.page_reported(ttft_s=seconds, gaps_s={"p50": seconds}, reconnects=0)
        metrics.turn_ended(an_end(duration_s=seconds, gaps_s=[0.1, seconds]))

    found, snapshot = samples(metrics), metrics.snapshot()
    assert found["chat_metrics_failures_total"] >= 4
    assert found["chat_turns_total{arm=on,outcome=completed}"] == 2
    assert found["chat_time_to_first_token_seconds_sum{arm=on}"] == 0.2
    assert found["chat_turn_duration_seconds_sum{outcome=completed}"] == 0.2
    assert math.isfinite(found["chat_inter_token_latency_seconds_sum"])
    assert snapshot.all.ttft.mean_s == pytest.approx(0.2)
    assert snapshot.loop_lag.mean_s == pytest.approx(0.2)
    assert snapshot.speech.first_audio.mean_s == pytest.approx(0.2)
    assert found["chat_speech_call_duration_seconds_sum{engine=google}"] == pytest.approx(0.2)


def test_a_turn_that_cannot_be_recorded_is_still_no_longer_active() -> None:
    metrics = TurnMetrics()
    metrics.turn_started(streaming=True)

    metrics.turn_ended(an_end(duration_s=None, gaps_s=None, input_tokens="many"))

    assert metrics.snapshot().active_turns == 0
    assert samples(metrics)["chat_metrics_failures_total"] >= 1


def test_ends_without_a_start_never_make_the_active_count_negative() -> None:
    metrics = TurnMetrics()

    metrics.turn_ended(an_end())
    metrics.reader_closed("end")

    snapshot = metrics.snapshot()
    assert (snapshot.active_turns, snapshot.active_readers) == (0, 0)


def test_recorders_in_one_process_share_nothing() -> None:
    first, second = TurnMetrics(), TurnMetrics()

    first.turn_ended(an_end())

    assert samples(second)["chat_turns_total{arm=on,outcome=completed}"] == 0
    assert second.snapshot().all.outcomes["completed"] == 0


def test_every_code_of_a_source_error_has_its_label() -> None:
    codes = {cls.code for cls in source_errors()}

    assert len(codes) >= 9
    assert codes <= set(labels.ERROR_CODES)


def test_the_codes_of_speech_errors_are_the_labels() -> None:
    codes = {SpeechError.code, *(cls.code for cls in SpeechError.__subclasses__())}

    assert codes == set(labels.SPEECH_CODES)
