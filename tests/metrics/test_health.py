"""Health, derived from what the recorder saw."""

import pytest

from metrics.health import MIN_SAMPLES, HealthStatus, checks, worst
from metrics.turns import EndedTurn, TurnMetrics


def verdict(metrics: TurnMetrics) -> dict[str, str]:
    made = checks(metrics.snapshot())
    return {"all": worst(made).word, **{check.name: check.status.word for check in made}}


def end(metrics: TurnMetrics, *outcomes: str) -> None:
    for outcome in outcomes:
        metrics.turn_ended(EndedTurn(outcome, True, 1.0, 0.1, (), None, None, "unknown", None))


def test_without_data_streaming_is_healthy() -> None:
    assert set(verdict(TurnMetrics()).values()) == {"healthy"}


def test_too_little_data_says_nothing() -> None:
    metrics = TurnMetrics()

    end(metrics, *["failed"] * (MIN_SAMPLES - 1))
    before = verdict(metrics)["all"]
    end(metrics, "failed")

    assert before == "healthy"
    assert verdict(metrics)["all"] == "unhealthy"


@pytest.mark.parametrize(
    ("failed", "completed", "expected"),
    [(2, 98, "healthy"), (3, 97, "degraded"), (10, 90, "degraded"), (11, 89, "unhealthy")],
)
def test_the_error_rate_decides(failed: int, completed: int, expected: str) -> None:
    metrics = TurnMetrics()

    end(metrics, *["failed"] * failed, *["completed"] * completed)

    assert verdict(metrics)["error_rate"] == expected


def test_cancelled_turns_are_no_data() -> None:
    metrics = TurnMetrics()

    end(metrics, "failed", *["cancelled"] * 100)

    assert verdict(metrics)["all"] == "healthy"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1.9, "healthy"), (2.5, "degraded"), (12.0, "unhealthy")]
)
def test_the_mean_time_to_the_first_token_decides(seconds: float, expected: str) -> None:
    metrics = TurnMetrics()

    for _ in range(MIN_SAMPLES):
        metrics.first_delta(seconds, streaming=True)

    assert verdict(metrics)["time_to_first_token_s"] == expected
    assert verdict(metrics)["all"] == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.01, "healthy"), (0.2, "degraded"), (2.0, "unhealthy")]
)
def test_a_busy_event_loop_decides(seconds: float, expected: str) -> None:
    metrics = TurnMetrics()

    for _ in range(MIN_SAMPLES):
        metrics.loop_lag(seconds)

    assert verdict(metrics)["event_loop_lag_s"] == expected


def test_the_worst_check_is_the_status() -> None:
    metrics = TurnMetrics()

    for _ in range(MIN_SAMPLES):
        metrics.loop_lag(0.2)
        metrics.first_delta(12.0, streaming=True)

    assert verdict(metrics)["all"] == "unhealthy"
    assert worst(()) is HealthStatus.HEALTHY
