"""Several workers that count together in Redis; what each does by itself while it is lost."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.e2e.test_limits import ask, left_to, limited, reading, until
from tests.support.mongo import running_mongo
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server

pytestmark = [pytest.mark.services, pytest.mark.long]

SECRETS = {"session_secret": "s" * 32, "jwt_secret": "j" * 32, "admin_token": "a" * 32}
LEASED_S = 40.0
"""A lease, and room."""


@asynccontextmanager
async def workers(
    folder: Path, count: int, **settings: object
) -> AsyncIterator[tuple[list[Server], RedisServer]]:
    """Run workers on one Redis and one MongoDB."""
    with running_redis(folder) as redis, running_mongo(folder) as mongo:
        async with AsyncExitStack() as stack:
            shared = {"redis_url": redis.url, "mongodb_uri": mongo.uri, **SECRETS, **settings}
            servers = [
                await stack.enter_async_context(limited(folder / f"worker_{n}", **shared))
                for n in range(count)
            ]
            yield servers, redis


@asynccontextmanager
async def one_guest(servers: list[Server]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Yield clients of all workers that are the same guest."""
    await servers[0].client.get("/api/v1/conversations")
    async with AsyncExitStack() as stack:
        many = httpx.Limits(max_connections=1000)
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=each.url, timeout=30, limits=many)
            )
            for each in servers
        ]
        for client in clients:
            client.cookies = servers[0].client.cookies
        yield clients


async def at_once(
    count: int, call: Callable[[int], Awaitable[httpx.Response]]
) -> list[httpx.Response]:
    """Return the answers to calls that are made at the same time."""
    answers: list[httpx.Response] = []

    async def one(n: int) -> None:
        answers.append(await call(n))

    async with anyio.create_task_group() as tasks:
        for n in range(count):
            tasks.start_soon(one, n)
    return answers


@pytest.mark.parametrize("count", [1, 4])
async def test_of_fifty_calls_at_once_exactly_as_many_pass_as_may(
    tmp_path: Path, count: int
) -> None:
    settings = {"rate_limit_speech": "10/600", "tts_engine": "off"}
    async with workers(tmp_path, count, **settings) as (servers, _), one_guest(servers) as clients:
        body = {"text": "Hello"}
        answers = await at_once(50, lambda n: clients[n % count].post("/api/v1/speech", json=body))

        statuses = [answer.status_code for answer in answers]
        assert statuses.count(429) == 40


async def test_places_and_budgets_are_those_of_all_workers(tmp_path: Path) -> None:
    settings = {"live_turns_per_user": 3, "guest_tokens_per_day": 2500, "offline_tokens_per_s": 20}
    async with workers(tmp_path, 2, **settings) as (servers, _), one_guest(servers) as clients:
        answers = await at_once(50, lambda n: ask(clients[n % 2]))
        left = [await left_to(client) for client in clients]

        codes = [answer.json().get("code", "started") for answer in answers]
        assert 1 <= codes.count("started") <= 3
        assert set(codes) <= {"started", "too_many_turns", "token_budget_spent"}
        assert left[0]["tokens"] == left[1]["tokens"]
        assert left[0]["tokens"]["spent"] <= 2500
        assert left[0]["live_turns"]["used"] == codes.count("started")


async def test_a_killed_worker_frees_its_places_within_the_lease(tmp_path: Path) -> None:
    settings = {"live_turns_per_user": 1, "readers_per_user": 2, "rate_limit_api": "0"}
    settings |= {"max_takeovers": 0, "offline_tokens_per_s": 5}
    async with workers(tmp_path, 2, **settings) as (servers, _), one_guest(servers) as clients:
        started = await ask(clients[0])
        path = f"/api/v1/turns/{started.json()['turn_id']}/events"
        full = await ask(clients[1])
        async with reading(servers[0], path, 2):
            held = (await left_to(clients[1]))["readers"]["used"]
            servers[0].signal(signal.SIGKILL)
            await servers[0].exit_code()

        async def are_free() -> bool:
            left = await left_to(clients[1])
            return (left["live_turns"]["used"], left["readers"]["used"]) == (0, 0)

        await until(are_free, within_s=LEASED_S)
        again = await ask(clients[1])

        assert (full.status_code, held) == (429, 2)
        assert again.status_code == 201


async def test_a_turn_that_is_taken_over_keeps_its_place_and_is_settled_by_who_ends_it(
    tmp_path: Path,
) -> None:
    settings = {"live_turns_per_user": 2, "guest_tokens_per_day": 5000, "rate_limit_api": "0"}
    settings["offline_tokens_per_s"] = 20
    async with workers(tmp_path, 2, **settings) as (servers, _), one_guest(servers) as clients:
        turn_id = (await ask(clients[0])).json()["turn_id"]
        reserved = (await left_to(clients[1]))["tokens"]["spent"]
        servers[0].signal(signal.SIGKILL)

        async def state_now() -> Any:
            return (await clients[1].get(f"/api/v1/turns/{turn_id}")).json()

        async def has_ended() -> bool:
            return bool((await state_now())["status"] != "running")

        async def is_settled() -> bool:
            left = await left_to(clients[1])
            return (left["tokens"]["spent"], left["live_turns"]["used"]) == (used, 0)

        await until(has_ended, within_s=60)
        state = await state_now()
        used = state["usage"]["input_tokens"] + state["usage"]["output_tokens"]
        await until(is_settled)

        assert state["status"] == "completed"
        assert reserved > used


@pytest.mark.parametrize("how", ["pause", "kill"])
async def test_while_redis_is_lost_each_worker_counts_by_itself_and_says_so(
    tmp_path: Path, how: str
) -> None:
    settings = {"rate_limit_signals": "3/600"}
    async with workers(tmp_path, 2, **settings) as (servers, redis), one_guest(servers) as clients:

        async def signal_to(n: int) -> int:
            path = "/api/v1/turns/turn_none/playback"
            body = {"played_s": 0, "buffered_s": 0}
            return (await clients[n].post(path, json=body)).status_code

        async def is_told(n: int, status: str, gauge: int) -> bool:
            health = (await clients[n].get("/health")).json()
            headers = {"Authorization": f"Bearer {SECRETS['admin_token']}"}
            metrics = (await clients[n].get("/metrics", headers=headers)).text
            is_shown = f"\nchat_limits_alone {gauge}.0\n" in metrics
            return bool(health["checks"]["limits"]["status"] == status and is_shown)

        before = [await signal_to(n % 2) for n in range(4)]
        redis.pause() if how == "pause" else redis.kill()
        for n in range(2):
            await until(lambda n=n: _lost(signal_to, is_told, n))  # type: ignore[misc]  # mypy infers no default
        alone = [await signal_to(n) for n in (0, 0, 0, 0, 1, 1, 1, 1)]
        redis.resume() if how == "pause" else redis.restart()
        for n in range(2):
            await until(lambda n=n: _back(signal_to, is_told, n))  # type: ignore[misc]  # the same
        after = [await signal_to(n % 2) for n in range(4)]

    assert [status == 429 for status in before] == [False] * 3 + [True]
    assert [status == 429 for status in alone].count(True) >= 2
    assert after.count(429) >= 1
    log = (tmp_path / "worker_0" / "server.log").read_text()
    assert log.count("limits.counted_alone") == log.count("limits.counted_together") == 1


async def _lost(
    call: Callable[[int], Awaitable[int]],
    is_told: Callable[[int, str, int], Awaitable[bool]],
    n: int,
) -> bool:
    await call(n)
    return await is_told(n, "degraded", 1)


async def _back(
    call: Callable[[int], Awaitable[int]],
    is_told: Callable[[int, str, int], Awaitable[bool]],
    n: int,
) -> bool:
    await call(n)
    return await is_told(n, "healthy", 0)


async def test_five_hundred_streams_of_one_user_are_bounded_and_others_read_on(
    tmp_path: Path,
) -> None:
    settings = {"rate_limit_attach": "0", "readers_per_turn": 0, "readers_per_user": 100}
    settings["offline_tokens_per_s"] = 2
    async with workers(tmp_path, 2, **settings) as (servers, _), one_guest(servers) as clients:
        turn_id = (await ask(clients[0])).json()["turn_id"]
        path = f"/api/v1/turns/{turn_id}/events"
        firsts: list[str] = []

        async def read(n: int) -> None:
            async with clients[n % 2].stream("GET", path, timeout=60) as answer:
                assert answer.status_code == 200
                lines = (line async for line in answer.aiter_lines() if line.startswith("event: "))
                firsts.append(await anext(lines))
                await anyio.sleep_forever()

        async def all_told() -> bool:
            return len(firsts) == 500

        async with anyio.create_task_group() as tasks, servers[1].guest() as other:
            for n in range(500):
                tasks.start_soon(read, n)
            await until(all_told, within_s=60)
            others = await ask(other)
            tasks.cancel_scope.cancel()

        reading_on = 500 - firsts.count("event: bye")
        logs = [(server.data_dir / "server.log").read_text() for server in servers]
        is_alone = any("limits.counted_alone" in log for log in logs)  # on a busy machine
        assert 100 <= reading_on <= (200 if is_alone else 100)
        assert others.status_code == 201
