"""Every fault of a model, and a record that cannot be written: one honest end each."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import anyio
import pytest

from loadtests.llm_simulator.faults import catalogue
from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import (
    TERMINAL_EVENTS,
    Chat,
    chat_fixtures,
    data_of,
    log_of,
    open_sockets,
    running_chat,
    until,
)
from tests.support.server import Server, running_server, text_of
from tests.support.simulator import running_simulator


@dataclass(frozen=True)
class Expected:
    """How a turn ends that meets a fault: its code (None: completed), and whether text came."""

    code: str | None
    has_text: bool = True


FAULTS = {
    "cut": Expected("upstream_truncated"),
    "reset": Expected("upstream_truncated"),
    "truncate": Expected("upstream_truncated"),
    "stall-first": Expected("upstream_timeout", has_text=False),
    "stall": Expected("upstream_timeout"),
    "slowloris": Expected("upstream_timeout"),
    "bad-json": Expected("upstream_protocol"),
    "bad-utf8": Expected("upstream_protocol"),
    "error-frame": Expected("upstream_reported"),
    "huge-chunk": Expected("upstream_protocol"),
    "endless-line": Expected("upstream_protocol"),
    "empty-choices": Expected(None),
    "null-choices": Expected("upstream_protocol"),
    "after-done": Expected(None),
    "no-done": Expected(None),
    "odd-framing": Expected(None),
    "split-surrogate": Expected(None),
    "length": Expected(None),
    "content-filter": Expected("upstream_filtered"),
    "html": Expected("upstream_protocol", has_text=False),
    "error-json": Expected("upstream_reported", has_text=False),
    "rate-limit": Expected("upstream_rate_limited", has_text=False),
    "http-401": Expected("upstream_refused", has_text=False),
    "http-404": Expected("upstream_refused", has_text=False),
    "http-500": Expected("upstream_unavailable", has_text=False),
    "http-502": Expected("upstream_unavailable", has_text=False),
    "http-503": Expected("upstream_unavailable", has_text=False),
    "stall-headers": Expected("upstream_timeout", has_text=False),
    "wrong-type": Expected("upstream_protocol", has_text=False),
}
WAITED_FOR = {"stall-first", "stall-headers", "slowloris"}
"""As long as a deadline: `stall` is there for all of them in `make test`."""
NEVER_RETRYABLE = {"upstream_refused", "upstream_filtered"}

shared_chat, chat = chat_fixtures(
    models={name: f"fault:{name}" for name in FAULTS}
    | {
        "healed": "fault:http-503:times=1",
        "limited-long": "fault:rate-limit:retry_after=3600",
        "limited-once": "fault:rate-limit:retry_after=1,times=1",
        "limited-rubbish": "fault:rate-limit:retry_after=soon",
        "cut-late": "fault:cut:after=15",
        "unknown": "fault:no-such-fault",
        "refused-name": "sim:nonsense=1",
        "endless": "sim:tokens=100000,rate=20",
    },
    first_token_timeout_s=2.5,
    inter_token_timeout_s=1,
    turn_timeout_s=4,
    connect_timeout_s=1,
    openai_max_retries=1,
    max_takeovers=0,  # a fault that is gone on with is another test's
)


async def _begin_well(chat: Chat) -> None:
    """Let the model answer once, and count anew: a run of faults would open its breaker."""
    await chat.server.run_turn("Hello")
    await chat.simulator.reset()


def test_every_fault_of_the_simulator_has_its_line_here() -> None:
    assert set(FAULTS) == set(catalogue())


@pytest.mark.fault(32, 33, 34, 35, 37, 38, 39, 40)
@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, marks=pytest.mark.long) if each in WAITED_FOR else each for each in FAULTS],
)
async def test_a_fault_of_the_model_ends_in_one_honest_event(chat: Chat, fault: str) -> None:
    expected, logged = FAULTS[fault], len(log_of(chat.server))
    await _begin_well(chat)
    sockets = open_sockets(chat.server)
    started = await chat.server.start("Hello", chatbot_id=fault)

    with anyio.fail_after(10):
        events = await chat.server.all_events(started["turn_id"])

    end, state = data_of(events[-1]), await chat.server.state(started["turn_id"])
    assert [event.event for event in events if event.event in TERMINAL_EVENTS] == [events[-1].event]
    assert text_of(events) == end["text"] == state["text"]
    assert bool(end["text"]) == expected.has_text
    assert (await chat.messages(started["conversation_id"]))[-1]["text"] == end["text"]
    if expected.code is None:
        assert (events[-1].event, state["status"]) == ("turn.completed", "completed")
        assert end["finish_reason"] == ("length" if fault == "length" else "stop")
    else:
        assert (events[-1].event, state["status"]) == ("turn.failed", "failed")
        assert (end["code"], state["error"]["code"]) == (expected.code, expected.code)
        assert end["retryable"] == (expected.code not in NEVER_RETRYABLE)
        assert end["detail"].endswith(".")
        assert "hotel" not in end["detail"]  # nothing of the provider's own words
    stats = await chat.simulator.wait_for(lambda stats: stats["open"] == 0)
    assert stats["requests"] <= (1 if expected.has_text else 2)
    assert (await chat.server.client.get("/health")).json()["status"] == "healthy"
    assert "Traceback" not in log_of(chat.server)[logged:]
    # A healthy answer's connection to the model is kept for the next one.
    await until(lambda: open_sockets(chat.server) <= sockets + 1)


async def test_a_fault_that_heals_before_the_first_word_is_not_noticed(chat: Chat) -> None:
    await _begin_well(chat)

    state = await chat.server.run_turn("Hello", chatbot_id="healed")

    assert state["status"] == "completed"
    assert (await chat.simulator.stats())["requests"] == 2


@pytest.mark.fault(39)
async def test_a_model_that_asks_for_an_hours_patience_is_not_asked_again(chat: Chat) -> None:
    await _begin_well(chat)

    state = await chat.server.run_turn("Hello", chatbot_id="limited-long")

    assert state["error"]["code"] == "upstream_rate_limited"
    assert (await chat.simulator.stats())["requests"] == 1


@pytest.mark.fault(39)
async def test_a_short_pause_that_a_model_asks_for_is_kept(chat: Chat) -> None:
    await _begin_well(chat)
    began = monotonic()

    state = await chat.server.run_turn("Hello", chatbot_id="limited-once")

    assert state["status"] == "completed"
    assert monotonic() - began >= 1
    assert (await chat.simulator.stats())["requests"] == 2


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("limited-rubbish", "upstream_rate_limited"),
        ("unknown", "upstream_refused"),
        ("refused-name", "upstream_refused"),
        ("cut-late", "upstream_truncated"),
    ],
)
async def test_other_refusals_have_their_code(chat: Chat, model: str, code: str) -> None:
    state = await chat.server.run_turn("Hello", chatbot_id=model)

    assert state["error"]["code"] == code


@pytest.mark.fault(36)
@pytest.mark.long
async def test_an_answer_without_end_is_ended_by_the_turns_deadline(chat: Chat) -> None:
    started = await chat.server.start("Hello", chatbot_id="endless")

    with anyio.fail_after(15):
        events = await chat.server.all_events(started["turn_id"])

    assert data_of(events[-1])["code"] == "upstream_timeout"
    assert "end of the answer" in data_of(events[-1])["detail"]
    assert text_of(events) == data_of(events[-1])["text"] != ""


@pytest.mark.long
async def test_thirty_faults_at_once_leave_a_well_server(chat: Chat) -> None:
    states: list[dict[str, object]] = []

    async def meet(fault: str) -> None:
        states.append(await chat.server.run_turn("Hello", chatbot_id=fault))

    await chat.server.client.get("/api/v1/conversations")
    faults = [fault for fault in FAULTS if fault not in {"huge-chunk", "endless-line"}]
    async with anyio.create_task_group() as tasks:
        for fault in faults:
            tasks.start_soon(meet, fault)

    assert len(states) == len(faults)
    assert {state["status"] for state in states} == {"completed", "failed"}

    with anyio.fail_after(60):  # the model's breaker is open, and lets a probe through now and then
        while (await chat.server.run_turn("Well?"))["status"] != "completed":  # noqa: ASYNC110
            await anyio.sleep(0.2)
    streams = (await chat.server.client.get("/api/metrics/streaming")).json()["metrics"]["streams"]
    assert streams["active"] == 0


@pytest.mark.fault(41)
@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:1/v1", "http://name.invalid/v1", "http://127.0.0.1:{own}/v1"],
    ids=["refused", "no-such-name", "not-a-model"],
)
async def test_a_model_that_is_not_there_fails_the_turn(tmp_path: Path, base_url: str) -> None:
    async with running_simulator() as simulator:
        base_url = base_url.replace("{own}/v1", f"{simulator.port}/nothing/v1")
        settings = {"openai_base_url": base_url, "connect_timeout_s": 1, "openai_max_retries": 1}
        async with running_server(tmp_path, **settings) as server:
            state = await server.run_turn("Hello")

            assert state["status"] == "failed"
            assert state["error"]["code"] in {
                "upstream_unavailable", "upstream_refused", "upstream_timeout",
            }  # fmt: skip
            assert "Traceback" not in log_of(server)


@pytest.mark.fault(32)
async def test_a_model_that_dies_in_mid_answer_fails_the_turn(tmp_path: Path) -> None:
    async with running_chat(tmp_path, openai_model="sim:tokens=9999,rate=50") as chat:
        started = await chat.server.start()
        async with aclosing(chat.server.events(started["turn_id"])) as events:
            assert [(await next_event(events)).event for _ in range(5)][-1] == "text.delta"
            chat.simulator.process.kill()
            rest = [event async for event in events]

        # It was asked to go on, and could not be reached.
        assert data_of(rest[-1])["code"] == "upstream_unavailable"
        assert len(data_of(rest[-1])["text"]) > 0


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Hold the record's lock, as a stuck backup would: it can be read, not written."""
    connection = sqlite3.connect(server.data_dir / "chat.db", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@pytest.fixture
async def busy(tmp_path: Path) -> AsyncIterator[Chat]:
    """Run a server that gives its record half a second."""
    async with running_chat(tmp_path, history_timeout_s=0.5) as chat:
        yield chat


@pytest.mark.fault(26)
async def test_a_record_that_cannot_be_written_refuses_turns_and_asks_no_model(
    busy: Chat,
) -> None:
    before = await busy.server.run_turn("Before")
    await busy.simulator.reset()

    with locked(busy.server):
        answer = await busy.server.client.post("/api/v1/turns", json={"message": "Meanwhile"})
        health = (await busy.server.client.get("/health")).json()
        ready = await busy.server.client.get("/health/ready")

    assert (answer.status_code, answer.json()["code"]) == (503, "history_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert (health["status"], health["checks"]["history"]["status"]) == ("degraded", "unhealthy")
    assert ready.status_code == 200
    assert (await busy.simulator.stats())["requests"] == 0
    after = await busy.server.run_turn("After", conversation_id=before["conversation_id"])
    assert after["status"] == "completed"
    assert "Traceback" not in log_of(busy.server)


@pytest.mark.long
@pytest.mark.fault(27)
async def test_a_record_lost_in_mid_answer_is_said_so_and_made_up_for(tmp_path: Path) -> None:
    async with told_server(tmp_path, history_timeout_s=0.5) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            with locked(server):
                await telling.say("It goes ")
                assert data_of(await next_event(events)) == {"text": "It goes "}
                await telling.end("on.")
                rest = [event async for event in events]
                unstored = await server.state(turn_id)

        assert [event.event for event in rest] == ["text.delta", "text.done", "turn.completed"]
        assert [data_of(event)["stored"] for event in rest[1:]] == [False, False]
        assert (unstored["status"], unstored["stored"]) == ("completed", False)
        assert unstored["text"] == "It goes on."
        await until(lambda: "turn.stored_late" in log_of(server), within_s=10)
        state = await server.state(turn_id)
        assert (state["status"], state["stored"], state["text"]) == (
            "completed",
            True,
            "It goes on.",
        )
        where = f"/api/v1/conversations/{state['conversation_id']}/messages"
        messages = (await server.client.get(where)).json()["messages"]
        assert [message["text"] for message in messages] == ["Hello", "It goes on."]
        assert "Traceback" not in log_of(server)


@pytest.mark.long
async def test_a_turn_can_be_stopped_while_its_record_cannot_be_written(tmp_path: Path) -> None:
    async with told_server(tmp_path, history_timeout_s=0.5) as (server, model):
        turn_id, telling = await ask(server, model)
        async with aclosing(server.events(turn_id)) as events:
            await next_event(events)
            await telling.say("Stop me")
            await next_event(events)
            with locked(server):
                answer = await server.client.post(f"/api/v1/turns/{turn_id}/cancel", json={})
                end = await next_event(events)

        await telling.until_closed()
        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["stored"]) == ("cancelled", False)
        assert (end.event, data_of(end)["stored"]) == ("turn.cancelled", False)
        await until(lambda: "turn.stored_late" in log_of(server), within_s=10)
        assert (await server.state(turn_id))["stored"] is True
