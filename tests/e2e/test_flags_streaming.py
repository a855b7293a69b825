"""The flag `streaming` decides who is streamed to, and a kill is above everything."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.e2e.operators import (
    STREAMING,
    TURNS,
    Operator,
    arm_of,
    guest_id,
    operated_server,
    operating,
    operator_fixtures,
)
from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import data_of, log_of
from tests.support.redis import RedisServer, running_redis
from tests.support.server import Server

KILL_FILE = "killed-flags"

shared_server, operator = operator_fixtures()


@pytest.fixture(autouse=True)
async def everybody_is_streamed_to(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Give the shared server its first flag again, as the tests change it."""
    yield
    if "operator" in request.fixturenames:
        server: Server = request.getfixturevalue("shared_server")
        async with operating(server) as operator:
            await operator.put(STREAMING, {"rollout": {"percentage": 100}})


async def test_the_next_turn_follows_the_percentage(operator: Operator) -> None:
    async with operator.server.guest() as guest:
        seen = []
        for percentage in (100, 0, 100, 0):
            await operator.roll_out(percentage)
            seen.append((await arm_of(guest), await operator.arm()))

    assert seen == [("on", "on"), ("off", "off")] * 2


async def test_at_half_each_guest_is_in_the_arm_that_is_explained_and_stays_there(
    operator: Operator,
) -> None:
    await operator.roll_out(50)
    arms = []

    for _ in range(20):
        async with operator.server.guest() as guest:
            arms.append(await arm_of(guest))
            told = await operator.get(f"{STREAMING}/explain", user_id=guest_id(guest))
            assert told["variant"] == arms[-1]
            assert (told["included_from"] <= 50) is (arms[-1] == "on")
            assert await arm_of(guest) == arms[-1]

    assert set(arms) == {"on", "off"}


async def test_who_is_in_stays_in_while_the_share_grows_and_after_a_setback(
    operator: Operator,
) -> None:
    async with operator.server.guest() as guest:
        await arm_of(guest)
        told = await operator.get(f"{STREAMING}/explain", user_id=guest_id(guest))
        enters = told["included_from"]
        seen = []
        for percentage in (round(enters - 0.001, 3), enters, 100, 0, enters):
            await operator.roll_out(percentage)
            seen.append(await arm_of(guest))

    assert seen == ["off", "on", "on", "off", "on"]


async def test_rules_know_the_chatbot_and_the_role_of_a_turn(operator: Operator) -> None:
    rule = {"when": {"chatbot_id": "default", "role": "guest"}, "serve": "on"}
    await operator.put(STREAMING, {"rules": [rule]})
    assert await operator.arm() == "on"

    await operator.put(STREAMING, {"rules": [{**rule, "when": {"role": "admin"}}]})
    assert await operator.arm() == "off"


async def test_a_kill_is_above_everything_and_ending_it_brings_nobody_back(
    operator: Operator,
) -> None:
    async with operator.server.guest() as guest:
        assert await arm_of(guest) == "on"
        await operator.put(STREAMING, {"allow": [guest_id(guest)], "rules": [{"when": {}}]})

        killed = await operator.http.post(f"{STREAMING}/kill", json={"reason": "it burns"})
        arms = [await arm_of(guest), await operator.arm()]
        raised = await operator.roll_out(100)
        arms.append(await operator.arm())
        state = await operator.state()
        await operator.http.post(f"{STREAMING}/kill")
        ended = await operator.http.delete(f"{STREAMING}/kill", params={"reason": "put out"})
        await operator.put(STREAMING, {**ended.json(), "allow": [], "rules": []})
        arms.append(await operator.arm())

    history = (await operator.get(f"{STREAMING}/history"))["history"]
    assert killed.json()["kill"] is True
    assert (state["state"], state["kill"]) == ("killed", True)
    assert (raised["kill"], raised["percentage"]) == (True, 100)
    assert ended.json()["kill"] is False
    assert ended.json()["rollout"]["percentage"] == 0
    assert arms == ["off"] * 4
    assert [(each["action"], each["why"]) for each in history[:5]] == [
        ("put", ""),
        ("end_kill", "put out"),
        ("kill", ""),
        ("rollout", ""),
        ("kill", "it burns"),
    ]


async def test_a_file_kills_on_this_machine_and_only_as_long_as_it_is_there(
    operator: Operator,
) -> None:
    file = operator.server.data_dir / KILL_FILE
    file.write_text("# it burns\nstreaming\n", encoding="utf-8")
    await operator.until_streaming(killedHere=True, state="killed", kill=False)
    killed = await operator.arm()
    told = await operator.get(f"{STREAMING}/explain", user_id="ann")
    file.unlink()
    await operator.until_streaming(killedHere=False, state="idle")

    assert (killed, await operator.arm()) == ("off", "on")
    assert (told["reason"], told["steps"][-1]["step"]) == ("disabled", "kill")
    assert "flags.killed_here" in log_of(operator.server)


async def test_the_arms_figures_are_the_evidence(operator: Operator) -> None:
    before = (await operator.state())["evidence"]
    await operator.server.run_turn()
    await operator.server.run_turn()
    await operator.roll_out(0)
    await operator.server.client.post(TURNS, json={"message": "Hello"})

    after = (await operator.state())["evidence"]

    turns = [after[arm]["turns"] - before[arm]["turns"] for arm in ("on", "off")]
    assert turns == [2, 1]
    assert after["on"]["success_rate"] == 1.0
    assert after["on"]["error_rate"] == 0.0
    assert after["on"]["avg_ttft_ms"] > 0


async def test_a_running_turn_finishes_as_it_began_whatever_is_changed_or_drained(
    tmp_path: Path,
) -> None:
    async with told_server(tmp_path) as (server, model), operating(server) as operator:
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await telling.say("Still ")
            while (await next_event(events)).event != "text.delta":
                pass

            await operator.roll_out(0)
            await operator.http.post(f"{STREAMING}/kill", json={"in_flight": "drain"})
            await telling.say("streamed ")
            assert (await next_event(events)).event == "text.delta"
            await telling.end("here.")
            rest = [event async for event in events]

        assert rest[-1].event == "turn.completed"
        assert data_of(rest[-1])["text"] == "Still streamed here."
        assert (await server.state(turn_id))["streaming"] is True


async def test_a_kill_that_aborts_stops_a_running_turn_and_keeps_its_text(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model), operating(server) as operator:
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await telling.say("So far.")
            while (await next_event(events)).event != "text.delta":
                pass

            await operator.http.post(f"{STREAMING}/kill", json={"in_flight": "abort"})
            last = await next_event(events)

        await telling.until_closed()
        assert last.event == "turn.cancelled"
        assert data_of(last)["by"] == "operator"
        assert (await server.state(turn_id))["text"] == "So far."


async def test_a_setting_kills_from_the_start_and_no_change_undoes_it(tmp_path: Path) -> None:
    async with operated_server(tmp_path, killed_flags="other, streaming") as operator:
        await operator.roll_out(100)

        state = await operator.state()
        assert (state["killedHere"], state["kill"], state["rolloutPercentage"]) == (
            True,
            False,
            100,
        )
        assert await operator.arm() == "off"
        assert (await operator.get("/health"))["checks"]["flags"]["killed_here"] == [
            "other",
            "streaming",
        ]


@pytest.mark.long
@pytest.mark.fault(49)
@pytest.mark.services
async def test_with_redis_two_servers_follow_each_other_and_go_on_without_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as redis:
        async with (
            operated_server(tmp_path / "a", redis_url=redis.url) as one,
            operated_server(tmp_path / "b", redis_url=redis.url) as other,
        ):
            await one.roll_out(0)
            await other.until_streaming(rolloutPercentage=0)
            assert await other.arm() == "off"

            redis.kill()

            await _hold_without_redis(one)
            assert await other.arm() == "off"
            await _hold_with_redis_again(redis, one, other)


async def _hold_without_redis(operator: Operator) -> None:
    """Hold that a server whose Redis is gone serves what it knew, says so, and takes no change."""
    await operator.until_store(stale=True)
    body = {"feature": "streaming", "percentage": 100}
    refused = await operator.http.post("/api/metrics/feature-flags/rollout", json=body)
    history = await operator.http.get(f"{STREAMING}/history")
    flag = await operator.get(STREAMING)
    told = await operator.get(f"{STREAMING}/explain", user_id="ann")

    assert (refused.status_code, history.status_code) == (503, 503)
    assert refused.json()["code"] == "flag_store_unavailable"
    assert KILL_FILE in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    assert (flag["stale"], flag["rollout"]["percentage"]) == (True, 0)
    assert (told["stale"], told["reason"]) == (True, "stale")
    assert await operator.arm() == "off"
    assert (await operator.get("/health"))["checks"]["flags"]["status"] == "degraded"
    (operator.server.data_dir / KILL_FILE).write_text("streaming", encoding="utf-8")
    await operator.until_streaming(killedHere=True)


async def _hold_with_redis_again(redis: RedisServer, one: Operator, other: Operator) -> None:
    """Hold that an emptied Redis gets back what the servers know, and can be changed again."""
    redis.restart()
    for operator in (one, other):
        await operator.until_store(stale=False)
        await operator.until_streaming(rolloutPercentage=0)

    await other.roll_out(100)

    await one.until_streaming(rolloutPercentage=100)
    assert [await one.arm(), await other.arm()] == ["off", "on"]  # killed on one machine alone
