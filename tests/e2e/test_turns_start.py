"""Starting a turn: once, one at a time; and whole where nothing is streamed."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from httpx_sse import aconnect_sse

from tests.e2e.told import ask, next_event, told_server
from tests.support.chat import Chat, chat_fixtures, data_of, log_of, running_chat
from tests.support.server import Server, running_server, text_of
from tests.support.simulator import running_simulator

shared_chat, chat = chat_fixtures(
    models={"fast": "sim:tokens=20,rate=0", "slow": "sim:tokens=400,rate=40"}
)
TURNS = "/api/v1/turns"


@pytest.mark.fault(14)
async def test_fifty_posts_with_one_key_are_one_turn_and_one_question_to_the_model(
    chat: Chat,
) -> None:
    await chat.simulator.reset()
    await chat.server.client.get("/api/v1/conversations")  # become one guest, not fifty
    body, headers = {"message": "Hello", "chatbot_id": "slow"}, {"Idempotency-Key": "once"}
    answers: list[httpx.Response] = []

    async def post() -> None:
        answers.append(await chat.server.client.post(TURNS, json=body, headers=headers))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(post)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    started = answers[0].json()
    assert (await chat.simulator.wait_for(lambda stats: stats["requests"] > 0))["requests"] == 1
    assert [m["text"] for m in await chat.messages(started["conversation_id"])] == ["Hello"]
    await chat.cancel(started["turn_id"])
    assert (await chat.simulator.stats())["requests"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"message": "Hello!"},
        {"metadata": {"a": 1}},
        {"chatbot_id": "default"},
        {"message": "Hello", "metadata": {"a": 1.0}},
    ],
    ids=str,
)
async def test_a_key_that_comes_with_another_body_is_refused(
    chat: Chat, change: dict[str, object]
) -> None:
    body: dict[str, object] = {"message": "Hello", "chatbot_id": "fast"}
    headers = {"Idempotency-Key": "k"}
    first = await chat.server.client.post(TURNS, json=body, headers=headers)

    other = await chat.server.client.post(TURNS, json={**body, **change}, headers=headers)
    again = await chat.server.client.post(TURNS, json=body, headers=headers)

    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert again.json() == first.json()


async def test_a_key_is_its_owners_own(chat: Chat) -> None:
    body, headers = {"message": "Hello", "chatbot_id": "fast"}, {"Idempotency-Key": "same"}
    mine = await chat.server.client.post(TURNS, json=body, headers=headers)

    async with chat.server.guest() as other:
        theirs = await other.post(TURNS, json={**body, "message": "Other"}, headers=headers)

    assert theirs.status_code == 201
    assert theirs.json()["turn_id"] != mine.json()["turn_id"]


async def test_a_key_that_comes_again_after_the_end_gets_the_turn_again(chat: Chat) -> None:
    await chat.simulator.reset()
    body, headers = {"message": "Hello", "chatbot_id": "fast"}, {"Idempotency-Key": "later"}
    started = (await chat.server.client.post(TURNS, json=body, headers=headers)).json()
    whole = await chat.server.all_events(started["turn_id"])

    streaming = {**headers, "Accept": "text/event-stream"}
    async with aconnect_sse(
        chat.server.client, "POST", TURNS, json=body, headers=streaming
    ) as source:
        again = [event async for event in source.aiter_sse()]

    assert [(e.id, e.data) for e in again] == [(e.id, e.data) for e in whole]
    assert (await chat.simulator.stats())["requests"] == 1


@pytest.mark.long
async def test_a_key_outlives_the_server(tmp_path: Path) -> None:
    body, headers = {"message": "Hello"}, {"Idempotency-Key": "kept"}
    async with running_simulator() as simulator:
        settings = {"openai_base_url": simulator.base_url}
        async with running_server(tmp_path, **settings) as server:
            first = (await server.client.post(TURNS, json=body, headers=headers)).json()
            await server.all_events(first["turn_id"])
            jar = server.client.cookies
        async with running_server(tmp_path, **settings) as server:
            server.client.cookies = jar

            again = (await server.client.post(TURNS, json=body, headers=headers)).json()
            other = await server.client.post(TURNS, json={"message": "x"}, headers=headers)

        assert again == first
        assert other.status_code == 409
        assert (await simulator.stats())["requests"] == 1


async def test_a_conversation_has_one_running_turn_at_a_time(chat: Chat) -> None:
    await chat.simulator.reset()
    running = await chat.server.start("First", chatbot_id="slow")
    body = {"message": "Second", "conversation_id": running["conversation_id"]}

    refused = await chat.server.client.post(TURNS, json=body)
    retried = await chat.server.client.post(TURNS, json={"retry_of": running["turn_id"]})

    for answer in (refused, retried):
        assert (answer.status_code, answer.json()["code"]) == (409, "turn_running")
        assert answer.json()["turn_id"] == running["turn_id"]
    assert [m["text"] for m in await chat.messages(running["conversation_id"])] == ["First"]
    await chat.cancel(running["turn_id"])
    assert (await chat.server.client.post(TURNS, json=body)).status_code == 201
    assert (await chat.simulator.stats())["requests"] <= 2


async def test_of_many_posts_into_one_conversation_one_wins(chat: Chat) -> None:
    empty = (await chat.server.client.post("/api/v1/conversations", json={})).json()
    body = {"conversation_id": empty["conversation_id"], "chatbot_id": "slow"}
    statuses: list[int] = []

    async def post(number: int) -> None:
        answer = await chat.server.client.post(TURNS, json={**body, "message": str(number)})
        statuses.append(answer.status_code)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(post, number)

    assert sorted(statuses) == [201, *[409] * 19]
    assert len(await chat.messages(empty["conversation_id"])) == 1


async def test_a_retry_answers_the_same_question_again(chat: Chat) -> None:
    first = await chat.server.run_turn("A question?", chatbot_id="fast")
    answer = await chat.server.client.post(
        TURNS, json={"retry_of": first["turn_id"], "chatbot_id": "fast"}
    )
    second = answer.json()
    assert second["conversation_id"] == first["conversation_id"]
    await chat.server.all_events(second["turn_id"])

    messages = await chat.messages(first["conversation_id"])

    assert [message["role"] for message in messages] == ["user", "assistant", "assistant"]
    assert [message["seq"] for message in messages] == [1, 2, 3]
    assert messages[1]["turn_id"] == first["turn_id"]
    assert messages[2]["turn_id"] == second["turn_id"]
    assert messages[1]["text"] == messages[2]["text"]  # the model got the same prompt


async def test_the_model_gets_the_conversation_and_a_retry_without_the_answer_it_replaces(
    chat: Chat,
) -> None:
    await chat.simulator.reset()
    first = await chat.server.run_turn("One?", chatbot_id="fast")
    where = {"conversation_id": first["conversation_id"]}
    second = await chat.server.run_turn("Two?", chatbot_id="fast", **where)
    retried = await chat.server.client.post(
        TURNS, json={"retry_of": second["turn_id"], "chatbot_id": "fast"}
    )
    await chat.server.all_events(retried.json()["turn_id"])

    asked = (await chat.simulator.stats())["streams"]

    def tokens(*texts: str) -> int:
        return sum(len(text) // 4 + 4 for text in texts)

    again = tokens("Answer.", "One?", first["text"], "Two?")
    assert [stream["roles"] for stream in asked] == [
        ["system", "user"],
        ["system", "user", "assistant", "user"],
        ["system", "user", "assistant", "user"],
    ]
    assert [stream["prompt_tokens"] for stream in asked] == [
        tokens("Answer.", "One?"),
        again,
        again,
    ]


async def test_metadata_of_any_shape_is_taken(chat: Chat) -> None:
    metadata = {"a": [1, {"b": None}], "": "empty", "$ne": 2**70, "a.b": "é😀", "f": 1.5}

    state = await chat.server.run_turn("Hello", chatbot_id="fast", metadata=metadata)

    assert state["status"] == "completed"


@pytest.mark.fault(15)
async def test_a_post_cut_off_before_its_answer_has_started_one_turn(tmp_path: Path) -> None:
    body, headers = {"message": "Hello"}, {"Idempotency-Key": "cut"}
    async with told_server(tmp_path) as (server, model):
        streaming = {**headers, "Accept": "text/event-stream"}
        await server.client.get("/api/v1/conversations")
        request = server.client.stream("POST", TURNS, json=body, headers=streaming)
        async with request as answer:
            turn_id = answer.headers["x-turn-id"]
        telling = await model.asked()
        again = await server.client.post(TURNS, json=body, headers=headers)
        await telling.end("Once.")

        events = await server.all_events(turn_id)

        assert again.json()["turn_id"] == turn_id
        assert text_of(events) == "Once."
        assert model.asked_nothing_more()


async def test_as_many_turns_run_as_may_and_one_more_is_told_when_to_come_back(
    tmp_path: Path,
) -> None:
    async with told_server(tmp_path, max_live_turns=2) as (server, model):
        turns = [await ask(server, model) for _ in range(2)]

        refused = await server.client.post(TURNS, json={"message": "Third"})

        assert (refused.status_code, refused.json()["code"]) == (503, "server_busy")
        assert int(refused.headers["retry-after"]) > 0
        for turn_id, telling in turns:
            await telling.end("Done.")
            await server.all_events(turn_id)
        turn_id, telling = await ask(server, model, "Third")
        await telling.end("Now.")
        assert text_of(await server.all_events(turn_id)) == "Now."


@pytest.fixture
async def off(tmp_path: Path) -> AsyncIterator[Chat]:
    """Run a server that streams to nobody."""
    models = {"fast": "sim:tokens=20,rate=0", "cut": "fault:cut:after=3,rate=0"}
    async with running_chat(tmp_path, models=models, default_streaming_percentage=0) as chat:
        yield chat


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "*/*"])
async def test_the_off_arm_answers_with_the_whole_turn(off: Chat, accept: str) -> None:
    body = {"message": "Hello", "chatbot_id": "fast"}

    answer = await off.server.client.post(TURNS, json=body, headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-streaming"] == "off"
    whole = answer.json()
    assert (whole["status"], whole["streaming"], whole["stored"]) == ("completed", False, True)
    assert answer.headers["x-turn-id"] == whole["turn_id"]
    assert whole == await off.server.state(whole["turn_id"])
    assert (await off.messages(whole["conversation_id"]))[-1]["text"] == whole["text"] != ""
    events = await off.server.all_events(whole["turn_id"])
    assert [(e.event, e.id) for e in events] == [
        ("turn.started", f"{whole['turn_id']}.1-1"),
        ("turn.completed", f"{whole['turn_id']}.1-2"),
    ]
    assert data_of(events[-1])["text"] == whole["text"]


async def test_the_off_arm_tells_a_failure_as_a_state(off: Chat) -> None:
    answer = await off.server.client.post(TURNS, json={"message": "Hello", "chatbot_id": "cut"})

    assert answer.status_code == 200
    state = answer.json()
    assert (state["status"], state["error"]["code"]) == ("failed", "upstream_truncated")
    assert state["text"]


async def test_the_off_arm_attaches_a_repeated_key_to_the_same_turn(off: Chat) -> None:
    body, headers = {"message": "Hello", "chatbot_id": "fast"}, {"Idempotency-Key": "k"}
    await off.server.client.get("/api/v1/conversations")
    answers: list[Any] = []

    async def post() -> None:
        answers.append((await off.server.client.post(TURNS, json=body, headers=headers)).json())

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(post)

    assert len({json.dumps(answer) for answer in answers}) == 1
    assert (await off.simulator.stats())["requests"] == 1


async def test_leaving_the_off_arm_cancels_nothing(tmp_path: Path) -> None:
    async with told_server(tmp_path, default_streaming_percentage=0) as (server, model):
        await server.client.get("/api/v1/conversations")
        request = server.client.stream("POST", TURNS, json={"message": "Hello"})
        async with request as answer:
            turn_id = answer.headers["x-turn-id"]
            telling = await model.asked()
        await telling.say("Nobody ")
        await telling.end("waits.")

        await server.all_events(turn_id)

        assert (await server.state(turn_id))["text"] == "Nobody waits."


async def test_deleting_a_conversation_ends_the_off_arms_wait(tmp_path: Path) -> None:
    async with told_server(tmp_path, default_streaming_percentage=0) as (server, model):
        await server.client.get("/api/v1/conversations")
        request = server.client.stream("POST", TURNS, json={"message": "Hello"})
        async with request as answer:
            telling = await model.asked()
            path = f"/api/v1/conversations/{answer.headers['x-conversation-id']}"
            assert (await server.client.delete(path)).status_code == 204
            with anyio.fail_after(5):
                state = json.loads(await answer.aread())

        await telling.until_closed()
        assert state["status"] == "cancelled"
        assert "Traceback" not in log_of(server)


async def test_an_off_arm_turn_can_be_followed_and_shows_its_end_alone(tmp_path: Path) -> None:
    async with told_server(tmp_path, default_streaming_percentage=0) as (server, model):
        await server.client.get("/api/v1/conversations")
        request = server.client.stream("POST", TURNS, json={"message": "Hello"})
        async with request as answer:
            turn_id = answer.headers["x-turn-id"]
            telling = await model.asked()
            async with aclosing(server.events(turn_id)) as events:
                assert (await next_event(events)).event == "turn.started"
                await telling.say("All ")
                await telling.end("at once.")
                rest = [event async for event in events]
            await answer.aread()

        assert [event.event for event in rest] == ["turn.completed"]
        assert data_of(rest[0])["text"] == "All at once."


async def _all_streaming(server: Server, count: int) -> list[str]:
    arms = []
    for _ in range(count):
        async with server.guest() as guest:
            answer = await guest.post(TURNS, json={"message": "Hello"})
            arms.append(answer.headers["x-streaming"])
    return arms


@pytest.mark.long
async def test_half_the_guests_are_streamed_to_and_each_stays_in_its_arm(tmp_path: Path) -> None:
    async with running_chat(tmp_path, default_streaming_percentage=50) as chat:
        arms = await _all_streaming(chat.server, 40)
        own = [
            (await chat.server.client.post(TURNS, json={"message": "Hi"})).headers["x-streaming"]
            for _ in range(5)
        ]

    assert 5 <= arms.count("on") <= 35
    assert len(set(own)) == 1
