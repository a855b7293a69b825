"""What callers are refused, and told of it: the real server, whose limits are small."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.support.front import unfronted
from tests.support.machine import fake_clock
from tests.support.server import Server, client_of, running_server

WAIT_S = 15.0
SLOW = {"offline_tokens_per_s": 20}
"""Turns that run for as long as a test looks."""


@asynccontextmanager
async def limited(folder: Path, **settings: object) -> AsyncIterator[Server]:
    """Run a server that counts, also the calls of tests."""
    async with running_server(folder, rate_limit_enabled="true", **settings) as server:
        yield server


async def ask(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    """Start a turn, as whoever the client is."""
    question = {"message": "Tell me of limits."}
    return await client.post("/api/v1/turns", json=question, headers=headers)


async def until(holds: Callable[[], Awaitable[bool]], *, within_s: float = WAIT_S) -> None:
    """Wait until something holds, of another process."""
    with anyio.fail_after(within_s):
        while not await holds():  # noqa: ASYNC110
            await anyio.sleep(0.05)


async def left_to(client: httpx.AsyncClient) -> Any:
    """Return what is left to a caller."""
    return (await client.get("/api/v1/limits")).json()


def told(answer: httpx.Response) -> Mapping[str, str]:
    """Return what an answer says of its limit."""
    return {name: value for name, value in answer.headers.items() if name.startswith("ratelimit")}


async def test_who_calls_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with limited(tmp_path, rate_limit_messages="2/60") as server:
        answers = [await ask(server.client) for _ in range(3)]
        other = await server.client.get("/api/v1/conversations")
        metrics = (await server.client.get("/metrics")).text

        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert told(answers[0]) == {
            "ratelimit": '"messages";r=1;t=60',
            "ratelimit-limit": "2",
            "ratelimit-policy": '"messages";q=2;w=60',
            "ratelimit-remaining": "1",
            "ratelimit-reset": "60",
        }
        problem = answers[2].json()
        assert problem["code"] == "rate_limited"
        assert 50 < int(answers[2].headers["retry-after"]) <= 60
        assert told(answers[2])["ratelimit-remaining"] == "0"
        assert (other.status_code, told(other)["ratelimit-limit"]) == (200, "300")
        assert 'chat_limit_refusals_total{limit="messages"} 1.0' in metrics
        log = (tmp_path / "server.log").read_text()
        assert log.count("limits.refused") == 1
        assert "127.0.0.1" not in log.partition("limits.refused")[2].partition("\n")[0]


@pytest.mark.long
async def test_guests_of_one_address_share_ten_times_a_guests_limit(tmp_path: Path) -> None:
    settings = {"rate_limit_api": "2/60", "rate_limit_address_factor": 3}
    async with limited(tmp_path, **settings) as server:
        statuses = []
        for _ in range(8):  # each is a new guest
            async with server.guest() as guest:
                statuses.append((await guest.get("/api/v1/conversations")).status_code)

        assert statuses == [200] * 6 + [429] * 2


@unfronted("it tells another address than a caller claims")
@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, 2),
        ({"trusted_proxies": "10.0.0.0/8"}, 2),
        ({"trusted_proxies": "127.0.0.0/8, 10.0.0.0/8"}, 0),
    ],
    ids=["unset", "another", "ours"],
)
async def test_only_a_trusted_proxy_tells_callers_apart(
    tmp_path: Path, settings: Mapping[str, str], refused: int
) -> None:
    limits = {"rate_limit_api": "1/60", "rate_limit_address_factor": 4}
    async with limited(tmp_path, **limits, **settings) as server:
        statuses = []
        for n in range(6):
            headers = {
                "X-Forwarded-For": f"198.51.100.{n}",
                "X-Real-IP": f"203.0.113.{n}",
                "Forwarded": f"for=192.0.2.{n}",
            }
            async with server.guest() as guest:
                answer = await guest.get("/api/v1/conversations", headers=headers)
                statuses.append(answer.status_code)

        assert statuses.count(429) == refused


@pytest.mark.parametrize(
    "forwarded",
    [
        "{n}.{n}.{n}.{n}, 198.51.100.7",  # what the caller sent, and what our proxy saw
        "2001:db8::{n}",  # of one network a caller has as many as it likes
        "spoofed-{n}",  # no address at all
        "198.51.100.7, 10.0.0.{n}",  # an inner proxy of ours
    ],
)
@pytest.mark.long
async def test_whatever_a_caller_forges_it_stays_one_caller(tmp_path: Path, forwarded: str) -> None:
    settings = {
        "rate_limit_api": "1/60",
        "rate_limit_address_factor": 4,
        "trusted_proxies": "127.0.0.1,10.0.0.0/8",
    }
    async with limited(tmp_path, **settings) as server:
        statuses = []
        for n in range(1, 7):
            headers = {"X-Forwarded-For": forwarded.format(n=n)}
            async with server.guest() as guest:
                answer = await guest.get("/api/v1/conversations", headers=headers)
                statuses.append(answer.status_code)

        assert statuses == [200] * 4 + [429] * 2


@pytest.mark.long
async def test_an_allowed_address_is_not_counted(tmp_path: Path) -> None:
    settings = {
        "rate_limit_api": "1/60",
        "rate_limit_allow": "127.0.0.1/32",
        "tokens_per_user_per_day": 1,
    }
    async with limited(tmp_path, **settings) as server:
        answers = [await server.client.get("/api/v1/limits") for _ in range(4)]

        assert [answer.status_code for answer in answers] == [200] * 4
        assert told(answers[0]) == {}
        assert answers[0].json()["tokens"] == {"spent": 0, "limit": None}


async def test_turns_that_run_at_once_are_bounded_and_a_stopped_one_makes_room(
    tmp_path: Path,
) -> None:
    async with limited(tmp_path, live_turns_per_user=2, **SLOW) as server:
        first, second, third = [await ask(server.client) for _ in range(3)]
        left = (await server.client.get("/api/v1/limits")).json()
        await server.client.post(f"/api/v1/turns/{first.json()['turn_id']}/cancel")
        fourth = await ask(server.client)

        assert [first.status_code, second.status_code] == [201, 201]
        assert (third.status_code, third.json()["code"]) == (429, "too_many_turns")
        assert int(third.headers["retry-after"]) > 0
        assert left["live_turns"] == {"used": 2, "limit": 2}
        assert fourth.status_code == 201


@asynccontextmanager
async def reading(server: Server, path: str, count: int) -> AsyncIterator[None]:
    """Keep so many event streams open while the block runs."""
    opened = [anyio.Event() for _ in range(count)]

    async def read(mine: anyio.Event) -> None:
        with suppress(httpx.HTTPError):  # some tests kill the server
            async with reader.stream("GET", path) as answer:
                async for _ in answer.aiter_bytes():
                    mine.set()

    async with client_of(server.port) as reader, anyio.create_task_group() as tasks:
        reader.cookies = server.client.cookies
        for each in opened:
            tasks.start_soon(read, each)
        with anyio.fail_after(WAIT_S):
            for each in opened:
                await each.wait()
        yield
        tasks.cancel_scope.cancel()


@pytest.mark.long
async def test_readers_of_a_turn_are_bounded_and_one_too_many_is_told_to_come_back(
    tmp_path: Path,
) -> None:
    settings = {"readers_per_turn": 2, "readers_per_user": 3, **SLOW}
    async with limited(tmp_path, **settings) as server:
        turn_id = (await server.start())["turn_id"]
        path = f"/api/v1/turns/{turn_id}/events"
        async with reading(server, path, 2):
            refused, again = [await server.client.get(path) for _ in range(2)]

        async def all_left() -> bool:
            return bool((await left_to(server.client))["readers"]["used"] == 0)

        await until(all_left)
        assert refused.status_code == again.status_code == 200
        byes = [bye_of(refused), bye_of(again)]
        assert [reason for reason, _ in byes] == ["too_many_readers"] * 2
        assert 750 <= byes[0][1] <= 1250
        assert 1500 <= byes[1][1] <= 2500


@pytest.mark.long
async def test_who_opens_streams_too_often_is_told_to_come_later_and_later(tmp_path: Path) -> None:
    async with limited(tmp_path, rate_limit_attach="2/1") as server:
        turn_id = (await server.run_turn())["turn_id"]
        path = f"/api/v1/turns/{turn_id}/events"
        answers = [await server.client.get(path) for _ in range(4)]

        async def is_let_in() -> bool:
            return "event: bye" not in (await server.client.get(path)).text

        await until(is_let_in)
        byes = [bye_of(answer) for answer in answers[-2:]]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert [reason for reason, _ in byes] == ["too_many_attaches"] * 2


def bye_of(answer: httpx.Response) -> tuple[str, int]:
    """Return why an event stream ends at once, and the milliseconds after which to come back."""
    lines = dict(line.split(": ", 1) for line in answer.text.splitlines() if ": " in line)
    assert lines["event"] == "bye"
    return json.loads(lines["data"])["reason"], int(lines["retry"])


async def test_a_days_tokens_are_reserved_and_settled_by_what_was_used(tmp_path: Path) -> None:
    settings = {"guest_tokens_per_day": 1500, "max_response_chars": 2000}
    async with limited(tmp_path, **settings) as server:
        state = await server.run_turn("Hi")
        usage = state["usage"]
        used = usage["input_tokens"] + usage["output_tokens"]

        async def is_settled() -> bool:
            return bool((await left_to(server.client))["tokens"]["spent"] == used)

        await until(is_settled)
        next_one = await ask(server.client)

        assert 0 < used < 600  # of the answer's longest length a third was reserved
        assert next_one.status_code == 201


@pytest.mark.long
async def test_starts_at_once_do_not_pass_the_budget_together(tmp_path: Path) -> None:
    settings = {"guest_tokens_per_day": 2500, "live_turns_per_user": 0, **SLOW}
    async with limited(tmp_path, **settings) as server:
        await server.client.get("/api/v1/limits")
        answers: list[httpx.Response] = []

        async def one() -> None:
            answers.append(await ask(server.client))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
        refused = [answer for answer in answers if answer.status_code == 429]
        spent = (await server.client.get("/api/v1/limits")).json()["tokens"]["spent"]

        assert 1 <= len(answers) - len(refused) <= 3
        assert {answer.json()["code"] for answer in refused} == {"token_budget_spent"}
        assert all(0 < int(answer.headers["retry-after"]) <= 86_400 for answer in refused)
        assert spent <= 2500


@pytest.mark.long
async def test_a_turn_that_is_asked_for_twice_takes_one_place(tmp_path: Path) -> None:
    async with limited(tmp_path, live_turns_per_user=2, **SLOW) as server:
        key = {"Idempotency-Key": "once"}
        first, again = [await ask(server.client, **key) for _ in range(2)]
        left = await left_to(server.client)

        assert first.json()["turn_id"] == again.json()["turn_id"]
        assert left["live_turns"]["used"] == 1


async def test_what_was_accepted_is_found_again_by_its_key_whatever_limit_is_reached(
    tmp_path: Path,
) -> None:
    settings = {"live_turns_per_user": 1, "guest_tokens_per_day": 700, **SLOW}
    async with limited(tmp_path, **settings) as server:
        first = await ask(server.client, **{"Idempotency-Key": "once"})
        others = [await ask(server.client, **{"Idempotency-Key": key}) for key in ("two", "three")]
        again = await ask(server.client, **{"Idempotency-Key": "once"})
        left = await left_to(server.client)
        await server.client.post(f"/api/v1/turns/{first.json()['turn_id']}/cancel")
        when_ended = await ask(server.client, **{"Idempotency-Key": "once"})

        assert [other.json()["code"] for other in others] == ["too_many_turns"] * 2
        assert again.status_code == when_ended.status_code == 201
        assert first.json()["turn_id"] == again.json()["turn_id"] == when_ended.json()["turn_id"]
        assert left["live_turns"]["used"] == 1
        assert left["tokens"]["spent"] < 2 * 670  # of one answer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", "nginx"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("trusted_proxies", "unix:/run/nginx.sock"),
        ("trusted_proxies", "*,10.0.0.1"),
        ("rate_limit_allow", "10.0.0.0/33"),
        ("rate_limit_api", "300"),
        ("rate_limit_api", "300/0"),
        ("rate_limit_api", "-1/60"),
    ],
)
def test_a_setting_that_means_nothing_refuses_the_start(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from server.settings import load_settings  # noqa: PLC0415  # only here

    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(SystemExit) as ended:
        load_settings()

    assert ended.value.code == 78
    assert capsys.readouterr().err.startswith(name.upper())


@pytest.mark.services
@pytest.mark.long
@pytest.mark.parametrize("jump_s", [7200, -7200], ids=["ahead", "behind"])
async def test_a_clock_that_jumps_moves_no_window(tmp_path: Path, jump_s: int) -> None:
    clock = fake_clock()
    settings = {**clock.settings, "rate_limit_messages": "2/3600"}
    async with limited(tmp_path, **settings) as server:
        before = [(await ask(server.client)).status_code for _ in range(3)]
        clock.jump(tmp_path, jump_s)
        answer = await ask(server.client)

        assert before == [201, 201, 429]
        assert answer.status_code == 429
        assert 3500 < int(answer.headers["retry-after"]) <= 3600
