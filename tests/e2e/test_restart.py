"""What a crash, a drain and a second server leave: nothing running, nothing lost, one owner."""

import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from httpx_sse import ServerSentEvent

from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import data_of, log_of
from tests.support.server import Server, running_server, text_of
from tests.support.simulator import Simulator, running_simulator

TURNS = "/api/v1/turns"


@asynccontextmanager
async def restarted(old: Server, simulator: Simulator) -> AsyncIterator[Server]:
    """Run another server on the same data, for the same guest."""
    async with running_server(old.data_dir, openai_base_url=simulator.base_url) as server:
        server.client.cookies = old.client.cookies
        yield server


async def kill(server: Server) -> None:
    """End the process as a crash would."""
    server.signal(signal.SIGKILL)
    assert await server.exit_code() == -signal.SIGKILL


@pytest.mark.fault(2)
async def test_after_a_crash_no_turn_runs_and_what_was_shown_can_be_read(tmp_path: Path) -> None:
    model = "sim:tokens=2000,rate=100"
    async with running_simulator() as simulator:
        settings = {"openai_base_url": simulator.base_url, "openai_model": model}
        async with running_server(tmp_path, **settings) as server:
            started = await server.start("A long story")
            turn_id = started["turn_id"]
            shown = await _read(server, turn_id, count=250)  # 2.5 s of text
            await kill(server)
        async with restarted(server, simulator) as server:
            state = await server.state(turn_id)
            rest = await server.all_events(turn_id, shown[-1].id)
            path = f"{TURNS}/{turn_id}/events"
            at_end = await server.client.get(path, headers={"Last-Event-ID": rest[-1].id})
            listed = (await server.client.get("/api/v1/conversations")).json()["conversations"]
            where = f"/api/v1/conversations/{started['conversation_id']}/messages"
            messages = (await server.client.get(where)).json()["messages"]

            assert (state["status"], state["error"]["code"]) == ("interrupted", "turn_interrupted")
            kept, seen = state["text"], text_of(shown)
            assert seen.startswith(kept) or kept.startswith(seen)
            # At 100 tokens a second the record may be some 100 behind; the machine is not idle.
            assert state["last_seq"] >= len(shown) - 200
            assert [event.event for event in rest] == ["turn.reset", "turn.interrupted"]
            assert text_of(rest) == kept == data_of(rest[-1])["text"]
            assert rest[-1].id.startswith(f"{turn_id}.2-")
            assert (at_end.status_code, at_end.content) == (204, b"")
            assert [item["conversation_id"] for item in listed] == [started["conversation_id"]]
            assert listed[0]["active_turn_id"] is None
            assert [(m["role"], m["status"], m["text"]) for m in messages] == [
                ("user", "completed", "A long story"),
                ("assistant", "interrupted", kept),
            ]
            again = await server.run_turn("Go on", conversation_id=started["conversation_id"])
            assert again["status"] == "completed"


async def _read(server: Server, turn_id: str, *, count: int) -> list[ServerSentEvent]:
    async with aclosing(server.events(turn_id)) as events:
        return [await next_event(events) for _ in range(count)]


@pytest.mark.long
async def test_a_crash_right_behind_the_start_leaves_the_question(tmp_path: Path) -> None:
    async with running_simulator() as simulator:
        settings = {"openai_base_url": simulator.base_url, "openai_model": "fault:stall-first"}
        async with running_server(tmp_path, **settings) as server:
            started = await server.start("Are you there?")
            await kill(server)
        async with restarted(server, simulator) as server:
            events = await server.all_events(started["turn_id"])
            state = await server.state(started["turn_id"])

            assert [event.event for event in events] == ["turn.reset", "turn.interrupted"]
            assert (state["status"], state["text"]) == ("interrupted", "")
            retried = await server.client.post(TURNS, json={"retry_of": started["turn_id"]})
            end = (await server.all_events(retried.json()["turn_id"]))[-1]
            assert end.event == "turn.completed"


@pytest.mark.long
async def test_a_crash_loses_no_turn_that_had_ended(tmp_path: Path) -> None:
    async with running_simulator() as simulator:
        async with running_server(tmp_path, openai_base_url=simulator.base_url) as server:
            ended = [await server.run_turn(f"Question {number}") for number in range(5)]
            await kill(server)
        async with restarted(server, simulator) as server:
            states = [await server.state(state["turn_id"]) for state in ended]

    assert states == ended
    with sqlite3.connect(tmp_path / "chat.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@pytest.mark.long
async def test_five_crashes_in_a_row_leave_a_readable_record(tmp_path: Path) -> None:
    turns = []
    jar = httpx.Cookies()
    async with running_simulator() as simulator:
        settings = {"openai_base_url": simulator.base_url}
        for _ in range(5):
            model = "sim:tokens=2000,rate=200"
            async with running_server(tmp_path, openai_model=model, **settings) as server:
                server.client.cookies = jar
                started = await server.start("Again")
                jar = server.client.cookies
                await _read(server, started["turn_id"], count=20)
                turns.append(started["turn_id"])
                await kill(server)
        async with running_server(tmp_path, **settings) as server:
            server.client.cookies = jar
            statuses = {(await server.state(turn_id))["status"] for turn_id in turns}

    assert statuses == {"interrupted"}


@pytest.mark.fault(4)
@pytest.mark.long
async def test_a_drain_lets_a_turn_finish_and_its_reader_read_all_of_it(tmp_path: Path) -> None:
    async with told_server(tmp_path) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            server.signal(signal.SIGTERM)
            await _until_draining(server)

            refused = await server.client.post(TURNS, json={"message": "One more"})
            ready = await server.client.get("/health/ready")
            live = await server.client.get("/health/live")
            await telling.say("To the ")
            await telling.end("end.")
            rest = [event async for event in events]

        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) > 0
        assert (ready.status_code, live.status_code) == (503, 200)
        assert [event.event for event in rest][-1] == "turn.completed"
        assert text_of(rest) == "To the end."
        assert await server.exit_code() == 0
        assert "Traceback" not in log_of(server)


async def _until_draining(server: Server) -> None:
    with anyio.fail_after(5):
        while (await server.client.get("/health/ready")).is_success:  # noqa: ASYNC110  a process
            await anyio.sleep(0.01)


@pytest.mark.long
async def test_a_drain_that_takes_too_long_interrupts_and_stores(tmp_path: Path) -> None:
    async with told_server(tmp_path, drain_timeout_s=0.3) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("As far as")
            await next_event(events)
            server.signal(signal.SIGTERM)
            end = await next_event(events)
        await telling.until_closed()
        assert await server.exit_code() == 0

    assert (end.event, data_of(end)["text"]) == ("turn.interrupted", "As far as")
    assert data_of(end)["stored"] is True
    async with told_server(tmp_path) as (again, _):
        again.client.cookies = server.client.cookies
        state = await again.state(turn_id)
        rest = await again.all_events(turn_id, f"{turn_id}.1-1")
        assert (state["status"], state["text"]) == ("interrupted", "As far as")
        assert (rest[-1].id, rest[-1].data) == (end.id, end.data)


@pytest.mark.long
async def test_the_off_arm_gets_its_answer_from_a_drain_too(tmp_path: Path) -> None:
    settings = {"default_streaming_percentage": 0, "drain_timeout_s": 0.3}
    async with told_server(tmp_path, **settings) as (server, model):
        request = server.client.stream("POST", TURNS, json={"message": "Hello"})
        async with request as answer:
            telling = await model.asked()
            await telling.say("Not all")
            server.signal(signal.SIGTERM)
            with anyio.fail_after(10):
                state = httpx.Response(200, content=await answer.aread()).json()
        assert await server.exit_code() == 0

    assert (state["status"], state["stored"]) == ("interrupted", True)


@pytest.mark.long
async def test_a_second_signal_ends_at_once_and_the_turn_is_stored(tmp_path: Path) -> None:
    async with told_server(tmp_path, drain_timeout_s=600) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("So far")
            await next_event(events)
            server.signal(signal.SIGTERM)
            await _until_draining(server)
            server.signal(signal.SIGTERM)

            assert await server.exit_code() == 0
        assert "Traceback" not in log_of(server)
    async with told_server(tmp_path) as (again, _):
        again.client.cookies = server.client.cookies
        state = await again.state(turn_id)
        assert (state["status"], state["text"]) == ("interrupted", "So far")


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_server_ends_well_at_the_first_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with told_server(tmp_path) as (server, _):
        await server.client.get("/health")  # and keep the connection open
        server.signal(number)

        assert await server.exit_code() == 0
        assert "Traceback" not in log_of(server)


@pytest.mark.long
async def test_a_drain_with_a_reader_who_does_not_read_ends_too(tmp_path: Path) -> None:
    async with told_server(tmp_path, drain_timeout_s=0.2) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("word " * 100)
            server.signal(signal.SIGTERM)  # the reader stays where it is and reads no more

            assert await server.exit_code() == 0


@pytest.mark.long
async def test_a_guests_cookie_is_good_after_a_restart_and_with_another_secret_it_is_not(
    tmp_path: Path,
) -> None:
    async with running_simulator() as simulator:
        settings = {"openai_base_url": simulator.base_url}
        async with running_server(tmp_path, **settings) as server:
            state = await server.run_turn("Mine")
            jar = server.client.cookies
        path = f"{TURNS}/{state['turn_id']}"
        for secret, status in (({}, 200), ({"session_secret": "x" * 32}, 404)):
            async with running_server(tmp_path, **settings, **secret) as server:
                server.client.cookies = jar
                answer = await server.client.get(path)
                assert answer.status_code == status
