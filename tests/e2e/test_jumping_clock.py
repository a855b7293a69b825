"""A clock that jumps an hour in mid-answer: nothing that counts seconds looks at it."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from httpx_sse import ServerSentEvent

from tests.chaos.guests import Model
from tests.chaos.scene import played
from tests.e2e.test_lost_workers import read
from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import data_of, log_of
from tests.support.machine import fake_clock

pytestmark = [pytest.mark.services, pytest.mark.long]

HOUR_S = 3600
JUMPS = pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S], ids=["ahead", "behind"])
LONG = Model("long", "sim:tokens=240,rate=20,ttft=0.1", 240)
"""Twelve seconds: longer than a lease, and than any silence is waited for."""


@pytest.mark.fault(45)
@JUMPS
async def test_a_turn_goes_on_over_a_jump_and_its_deadlines_hold(
    tmp_path: Path, jump_s: int
) -> None:
    clock = fake_clock()
    settings = {**clock.settings, "first_token_timeout_s": 2.5, "heartbeat_s": 0.3}
    async with told_server(tmp_path, **settings) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id, heartbeats=True)) as events:
            await next_event(events)
            await telling.say("One, ")
            clock.jump(tmp_path, jump_s)
            await until_told_the_time(events, jump_s)
            await telling.end("two.")
            end = [event async for event in events][-1]
        hanging, silent = await ask(server, model, "And now?")
        ends = await server.all_events(hanging)

        assert end.event == "turn.completed"
        assert data_of(end)["text"] == "One, two."
        assert data_of(end)["stored"] is True
        assert data_of(ends[-1])["code"] == "upstream_timeout"
        await silent.until_closed()
        assert "turn.reaped" not in log_of(server)
        assert "Traceback" not in log_of(server)


async def until_told_the_time(events: AsyncIterator[ServerSentEvent], jump_s: int) -> None:
    """Read on until a heartbeat tells a time that has jumped so far."""
    jump = timedelta(seconds=jump_s)
    while True:
        told = await next_event(events)
        if told.event == "heartbeat":
            ahead = datetime.fromisoformat(data_of(told)["at"]) - datetime.now(UTC)
            if abs(ahead - jump) < timedelta(minutes=1):
                return


@pytest.mark.fault(45)
@JUMPS
async def test_no_worker_takes_a_turn_for_a_clock_that_jumped(tmp_path: Path, jump_s: int) -> None:
    clock = fake_clock()
    async with played(tmp_path, LONG, **clock.settings) as (scene, judged):
        turns = [await scene.start(LONG, worker) for worker in (scene.a, scene.b)]
        async with read(scene, turns, scene.a, scene.b):
            clock.jump(scene.a.folder, jump_s)

        judgement = judged()
        assert {judgement.stored(turn).name for turn in turns} == {"completed"}
        assert {judgement.stored(turn).epoch for turn in turns} == {1}
        assert judgement.resets() == 0
        assert await scene.calls() == 2
        for worker in (scene.a, scene.b):
            assert "turn.taken_over" not in worker.log()
            assert worker.faults() == []
