"""What real services are seen to lack, and what becomes of a test message."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from metrics.turns import EndedTurn, TurnMetrics
from resilience.breaker import Breaker, BreakerState
from server.alerts.model import Severity
from server.alerts.watch import Condition
from server.planning import specify_again
from server.services import Services, open_services
from server.services.alerts import BREAKER_FOR_S, STALE_FOR_S, conditions, send_test
from server.settings import Settings
from tests.support.chat import until
from tests.support.receiver import answer, receiving
from tests.support.redis import running_redis


@asynccontextmanager
async def services_of(folder: Path, **values: object) -> AsyncIterator[Services]:
    """Open real services until the block ends."""
    settings = Settings(_env_file=None, data_dir=folder, tts_engine="off", **values)  # type: ignore[arg-type]  # by name
    async with open_services(settings, specify_again) as services:
        yield services


def seen(services: Services) -> dict[str, Condition]:
    """Return what is amiss, by subject."""
    return {condition.notice.subject: condition for condition in conditions(services)}


def end_turns(metrics: TurnMetrics, outcome: str, count: int, *, ttft_s: float = 0.2) -> None:
    """Record turns."""
    code = None if outcome == "completed" else "upstream_timeout"
    for _ in range(count):
        metrics.turn_started(streaming=True)
        metrics.turn_ended(EndedTurn(outcome, True, 2.0, ttft_s, [], 3, 4, "exact", code))


def open_breaker(breaker: Breaker) -> None:
    """Fail until it opens."""
    while breaker.state is BreakerState.CLOSED:
        with breaker.attempt() as attempt:
            attempt.failed()


async def test_where_all_is_well_nothing_is_seen(tmp_path: Path) -> None:
    async with services_of(tmp_path) as services:
        end_turns(services.metrics, "completed", 100)

        assert seen(services) == {}


@pytest.mark.parametrize(("failed", "severity"), [(5, Severity.WARNING), (30, Severity.CRITICAL)])
async def test_turns_that_fail_are_seen_by_their_share(
    tmp_path: Path, failed: int, severity: Severity
) -> None:
    async with services_of(tmp_path) as services:
        end_turns(services.metrics, "completed", 100 - failed)
        end_turns(services.metrics, "failed", failed)

        (notice,) = (each.notice for each in conditions(services))

    assert (notice.subject, notice.severity) == ("health:error_rate", severity)
    assert notice.detail == (
        f"error_rate is {failed / 100:.3g}, above {0.1 if failed > 10 else 0.02:g}; 100 samples"
        " in 300 s."
    )


async def test_a_model_that_is_left_alone_is_graver_where_it_is_the_last(tmp_path: Path) -> None:
    two = {"openai_api_key": "sk-x", "fallback_api_key": "sk-y"}
    async with services_of(tmp_path, **two) as services:
        primary, fallback = services.sources.health()[:2]
        breakers = {each.name: each for each in breakers_of(services)}
        open_breaker(breakers[primary.name])
        first = seen(services)
        open_breaker(breakers[fallback.name])
        second = seen(services)

    assert {name: each.notice.severity for name, each in first.items()} == {
        "breaker:model:primary": Severity.WARNING
    }
    assert {name: each.notice.severity for name, each in second.items()} == {
        "breaker:model:primary": Severity.CRITICAL,
        "breaker:model:fallback": Severity.CRITICAL,
    }
    assert {each.for_s for each in second.values()} == {BREAKER_FOR_S}


def breakers_of(services: Services) -> list[Breaker]:
    """Return the breakers of the models."""
    return [source._breaker for source in services.sources._providers]  # what health() shows


@pytest.mark.services
async def test_a_redis_that_is_lost_is_seen_and_so_is_its_return(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        async with services_of(tmp_path / "data", redis_url=redis.url) as services:
            before = seen(services)
            redis.kill()
            await until_seen(services, lambda subjects: len(subjects) == 2)
            lost = seen(services)
            redis.restart()
            await until_seen(services, lambda subjects: not subjects)

    assert before == {}
    assert {name: each.for_s for name, each in lost.items()} == {
        "breaker:redis": BREAKER_FOR_S,
        "flags:stale": STALE_FOR_S,
    }
    assert lost["breaker:redis"].notice.severity is Severity.CRITICAL


async def until_seen(services: Services, claim: Callable[[set[str]], bool]) -> None:
    """Wait until what is seen is as claimed."""
    await until(lambda: claim(set(seen(services))), within_s=20)


async def test_a_test_message_that_is_refused_says_so_without_the_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with receiving(answer(404)) as receiver:
        settings = Settings(_env_file=None, alert_webhook_url=receiver.url)
        status = await send_test(settings)

    assert (status, capsys.readouterr().out) == (1, "webhook: not sent: status 404\n")


async def test_a_test_message_to_nobody_says_what_to_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = await send_test(Settings(_env_file=None))

    said = capsys.readouterr().out
    assert (status, said) == (1, "Nobody is told: set ALERT_WEBHOOK_URL, or ALERT_EMAIL_TO.\n")
