"""Streaming switched on and off every second while people chat, and Redis lost meanwhile."""

import json
from collections import Counter
from pathlib import Path
from time import monotonic

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server, running_server

CHATTERS = 200
SHORT_S, WHOLE_S = 12.0, 60.0
"""How long it is done: in the tests, and for the figures (`make acceptance`)."""

TERMINAL = ("turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted")


class Seen:
    """What all chatters saw."""

    def __init__(self) -> None:
        self.arms: Counter[str] = Counter()
        self.faults: list[str] = []
        self.flips: Counter[int] = Counter()


async def _one_turn(client: httpx.AsyncClient, seen: Seen) -> None:
    """Have one answer, whichever way it comes, and check that it came one way."""
    headers = {"Accept": "text/event-stream"}
    async with client.stream(
        "POST", "/api/v1/turns", json={"message": "Hello"}, headers=headers
    ) as answer:
        body = (await answer.aread()).decode()
    if answer.status_code != 200:
        seen.faults.append(f"{answer.status_code} {body[:200]}")
        return
    arm = answer.headers["X-Streaming"]
    seen.arms[arm] += 1
    if arm == "off":
        state = json.loads(body)
        ended, started = state["status"] == "completed", state["streaming"] is False
    else:
        names = [line[7:] for line in body.splitlines() if line.startswith("event: ")]
        ended = [name for name in names if name in TERMINAL] == ["turn.completed"]
        started = names[0] == "turn.started" and '"streaming":true' in body.partition("\n\n")[0]
    if not ended or not started:
        seen.faults.append(f"{arm}: {body[:300]} … {body[-300:]}")


async def _chat(server: Server, seen: Seen, until: float) -> None:
    async with server.guest() as client:
        while monotonic() < until:
            await _one_turn(client, seen)


async def _flip(server: Server, seen: Seen, until: float) -> None:
    token = (server.data_dir / "admin-token").read_text().strip()
    percentage = 0
    async with server.guest() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        while monotonic() < until:
            answer = await client.post(
                "/api/metrics/feature-flags/rollout",
                json={"feature": "streaming", "percentage": percentage},
            )
            seen.flips[answer.status_code] += 1
            percentage = 100 - percentage
            await anyio.sleep(1.0)


async def _lose_redis(redis: RedisServer, seconds: float) -> None:
    await anyio.sleep(seconds / 3)
    redis.kill()
    await anyio.sleep(seconds / 6)
    await anyio.to_thread.run_sync(redis.restart)


async def _chat_all(server: Server, redis: RedisServer, seen: Seen, seconds: float) -> None:
    until = monotonic() + seconds
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_flip, server, seen, until)
        tasks.start_soon(_lose_redis, redis, seconds)
        for _ in range(CHATTERS):
            tasks.start_soon(_chat, server, seen, until)


@pytest.mark.fault(49)
@pytest.mark.long
async def test_no_turn_fails_or_changes_its_arm_whatever_happens_to_the_flag(
    tmp_path: Path, runs: int
) -> None:
    seconds = WHOLE_S if runs >= 10_000 else SHORT_S
    seen = Seen()
    (tmp_path / "redis").mkdir()
    with running_redis(tmp_path / "redis") as redis:
        settings = {"redis_url": redis.url, "offline_tokens_per_s": 40, "max_response_chars": 150}
        async with running_server(tmp_path / "data", **settings) as server:
            await _chat_all(server, redis, seen, seconds)
            exposition = (await server.client.get("/metrics")).text
    samples = {
        sample.name: sample.value
        for family in read_text(exposition)
        for sample in family.samples
        if not sample.labels
    }

    assert seen.faults == []
    assert samples["chat_flag_evaluation_failures_total"] == 0
    assert min(seen.arms["on"], seen.arms["off"]) > CHATTERS
    assert seen.flips[200] >= seconds / 3
    assert set(seen.flips) <= {200, 503}
