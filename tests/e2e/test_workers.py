"""Several workers on one Redis and one MongoDB: whoever is asked, and whoever is lost.

Everything that readers see here is judged by the invariants of `tests.chaos` as well.
"""

import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.chaos.cluster import Worker, free_port
from tests.chaos.guests import Model, Turn
from tests.chaos.scene import WAIT_S, Scene, played
from tests.support.fault_proxy import FaultProxy, running_proxy
from tests.support.mongo import running_mongo
from tests.support.server import running_server

pytestmark = pytest.mark.services

SHORT = Model("short", "sim:tokens=60,rate=20,ttft=0.1", 60)
LONG = Model("long", "sim:tokens=240,rate=20,ttft=0.1", 240)
QUESTION = "guest asks for the 1. time"
PAUSE_S = 8.0
"""Longer than a lease: another worker has taken the turn when this one wakes."""

STORM = 100


@asynccontextmanager
async def followed(scene: Scene, turn: Turn, *workers: Worker) -> AsyncIterator[None]:
    """Read a turn on some workers while the block runs, and on to its end."""
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as readers:
            for worker in workers:
                readers.start_soon(partial(scene.guest.follow, turn, worker=worker))
            await scene.until_shown(turn, 20, readers=len(workers))
            yield


@pytest.mark.long
@pytest.mark.fault(1)
async def test_a_worker_killed_in_mid_answer_costs_no_reader_a_word(tmp_path: Path) -> None:
    async with played(tmp_path, SHORT) as (scene, judged):
        turn = await scene.start(SHORT, scene.a)
        async with followed(scene, turn, scene.a, scene.b):
            scene.a.signal(signal.SIGKILL)
            scene.fault("kill", scene.a)

        stored = judged().stored(turn)
        assert (stored.name, stored.epoch) == ("completed", 2)
        assert stored.text == SHORT.answer(QUESTION)
        assert await scene.calls() == 2


@pytest.mark.long
async def test_a_reader_with_a_lost_cursor_finds_a_turn_that_was_just_taken_over(
    tmp_path: Path,
) -> None:
    slow = Model("slow", "sim:tokens=60,rate=20,ttft=3", 60)
    async with played(tmp_path, slow) as (scene, judged):
        turn = await scene.start(slow, scene.a)
        async with followed(scene, turn, scene.b):
            scene.a.signal(signal.SIGKILL)
            scene.fault("kill", scene.a)
            await scene.until(lambda: "turn.taken_over" in scene.b.log())
            headers = {"Last-Event-ID": f"{turn.turn_id}.1-9999"}
            path = f"{scene.b.url}/api/v1/turns/{turn.turn_id}/events"
            async with scene.guest.http.stream("GET", path, headers=headers) as answer:
                told = [line async for line in answer.aiter_lines() if line.startswith("event:")]

        assert answer.status_code == 200
        assert (told[0], told[-1]) == ("event: turn.reset", "event: turn.completed")
        assert judged().stored(turn).epoch == 2


@pytest.mark.fault(3)
@pytest.mark.long
async def test_a_worker_that_was_paused_finds_its_turn_taken_and_writes_no_more(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, LONG) as (scene, judged):
        turn = await scene.start(LONG, scene.a)
        async with followed(scene, turn, scene.a, scene.b):
            scene.a.signal(signal.SIGSTOP)
            await anyio.sleep(PAUSE_S)
            scene.a.signal(signal.SIGCONT)
            scene.fault("pause", scene.a, took_s=PAUSE_S)
            await scene.until(lambda: "turn.left" in scene.a.log())

        stored = judged().stored(turn)
        assert (stored.name, stored.epoch) == ("completed", 2)
        assert stored.text == LONG.answer(QUESTION)
        assert scene.a.exits == []


@pytest.mark.fault(4)
@pytest.mark.long
async def test_a_worker_that_is_asked_to_stop_hands_its_turns_over_without_a_reset(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, LONG, SHORT) as (scene, judged):
        turn = await scene.start(LONG, scene.a)
        async with followed(scene, turn, scene.a, scene.b):
            scene.a.signal(signal.SIGTERM)
            for _ in range(3):
                await scene.start(SHORT, scene.b)
            await scene.until(lambda: bool(scene.a.exits))
            scene.fault("drain", scene.a)
        await _read_all(scene)

        judgement = judged()
        assert judgement.stored(turn).epoch == 2
        assert judgement.stored(turn).text == LONG.answer(QUESTION)
        assert {each.name for each in judgement.view.stored.values()} == {"completed"}
        assert {each.result for each in judgement.view.posts} == {"ok"}
        assert judgement.resets() == 0
        assert scene.a.exits == [0]


async def _read_all(scene: Scene) -> None:
    turns = [each.turn for each in scene.recorder.operations if each.op == "post"]
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as readers:
            for turn_id in turns:
                readers.start_soon(scene.guest.follow, Turn(turn_id, ""))


@pytest.mark.long
async def test_any_worker_tells_the_state_and_passes_on_what_is_asked_of_the_holder(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, LONG) as (scene, judged):
        turn = await scene.start(LONG, scene.a)
        async with followed(scene, turn, scene.a, scene.b):
            http, path = scene.guest.http, f"{scene.b.url}/api/v1/turns/{turn.turn_id}"
            state = (await http.get(path)).json()
            played_back = await http.post(f"{path}/playback", json={"played_s": 1, "buffered_s": 2})
            stopped = await http.post(f"{path}/cancel", json={"seen": turn.last_id})

        assert (state["status"], state["epoch"]) == ("running", 1)
        assert LONG.answer(QUESTION).startswith(state["text"])
        assert played_back.status_code == 204
        assert stopped.json()["status"] == "cancelled"
        stored = judged().stored(turn)
        assert (stored.name, stored.epoch) == ("cancelled", 1)
        assert stored.text == stopped.json()["text"]
        with scene.cluster.redis.client() as client:
            assert list(client.scan_iter("chat:*:commands")) == []


@pytest.mark.fault(14)
@pytest.mark.long
@pytest.mark.parametrize("percentage", [100, 0])
async def test_one_key_on_two_workers_at_once_is_one_turn(tmp_path: Path, percentage: int) -> None:
    settings = {"default_streaming_percentage": percentage}
    async with played(tmp_path, SHORT, **settings) as (scene, judged):
        body = {"message": QUESTION, "chatbot_id": SHORT.chatbot_id}
        answers = await _posted_everywhere(scene, body, "a-key", times=4)

        turns = {answer["turn_id"] for answer in answers}
        assert len(turns) == 1
        turn = Turn(turns.pop(), answers[0]["conversation_id"])
        if percentage == 0:
            assert {answer["text"] for answer in answers} == {SHORT.answer(QUESTION)}
        with anyio.fail_after(WAIT_S):
            await scene.guest.follow(turn)
        judgement = judged()
        assert len(judgement.view.stored) == len(judgement.view.messages) == 1
        assert judgement.stored(turn).text == SHORT.answer(QUESTION)
        assert await scene.calls() == 1


@pytest.mark.fault(14)
@pytest.mark.long
async def test_who_asks_again_elsewhere_for_a_whole_answer_has_it_however_long_it_takes(
    tmp_path: Path,
) -> None:
    settings = {"default_streaming_percentage": 0, "request_timeout_s": 1}
    async with played(tmp_path, SHORT, **settings) as (scene, judged):
        body = {"message": QUESTION, "chatbot_id": SHORT.chatbot_id}
        answers = await _posted_everywhere(scene, body, "a-key", times=1)

        assert {answer["text"] for answer in answers} == {SHORT.answer(QUESTION)}
        assert len(judged().view.stored) == 1


async def _posted_everywhere(
    scene: Scene, body: dict[str, str], key: str, *, times: int
) -> Sequence[dict[str, str]]:
    """Return the answers to one request, sent so often to each worker at once."""
    answers: list[dict[str, str]] = []

    async def post(worker: Worker) -> None:
        headers = {"Idempotency-Key": key}
        answer = await scene.guest.http.post(
            f"{worker.url}/api/v1/turns", json=body, headers=headers, timeout=WAIT_S
        )
        assert answer.status_code in {200, 201}, answer.text
        answers.append(answer.json())

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            for worker in [*scene.cluster.workers] * times:
                tasks.start_soon(post, worker)
    return answers


@pytest.mark.fault(10)
@pytest.mark.long
async def test_a_storm_of_readers_from_a_lost_worker_asks_the_model_for_nothing(
    tmp_path: Path,
) -> None:
    async with played(tmp_path, LONG) as (scene, judged):
        turn = await scene.start(LONG, scene.b)
        async with followed(scene, turn, *[scene.a] * STORM):
            scene.a.signal(signal.SIGKILL)
            scene.fault("kill", scene.a)

        judgement = judged()
        came_back = [each for each in judgement.view.opens if each.seq and each.status == 200]
        assert len({each.process for each in came_back}) == STORM
        assert {each.worker for each in came_back} >= {scene.b.name}
        assert judgement.resets() == 0
        assert judgement.stored(turn).epoch == 1
        assert await scene.calls() == 1


@pytest.mark.long
async def test_a_second_worker_without_redis_is_refused_in_one_clear_line(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as mongo:
        settings = {"mongodb_uri": f"{mongo.uri}/chat"}
        async with running_server(tmp_path / "data", **settings), AsyncExitStack() as stack:
            with pytest.raises(AssertionError, match="did not start") as refused:
                await stack.enter_async_context(running_server(tmp_path / "data", **settings))

    told = [line for line in str(refused.value).splitlines() if "DATA_DIR" in line]
    assert len(told) == 1
    assert "MONGODB_URI and REDIS_URL" in told[0]
    assert "Traceback" not in str(refused.value)


@pytest.mark.long
async def test_a_worker_that_starts_refuses_callers_until_it_can_serve_them(tmp_path: Path) -> None:
    async with _starting(tmp_path) as (port, link, up):
        with pytest.raises(OSError, match="failed"):
            await anyio.connect_tcp("127.0.0.1", port)

        await link.heal()

        with anyio.fail_after(WAIT_S):
            await up.wait()
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()


@asynccontextmanager
async def _starting(folder: Path) -> AsyncIterator[tuple[int, FaultProxy, anyio.Event]]:
    """Start a server whose MongoDB does not answer yet; return once it has asked."""
    up, port = anyio.Event(), free_port()
    async with AsyncExitStack() as stack:
        mongo = stack.enter_context(running_mongo(folder))
        link = await stack.enter_async_context(running_proxy(mongo.port))
        link.stall()
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        uri = f"mongodb://127.0.0.1:{link.port}/chat"
        settings = {"mongodb_uri": uri, "history_timeout_s": 20, "port": port}
        tasks.start_soon(_serve, folder / "data", settings, up)
        await _until_reached(link)
        yield port, link, up


async def _serve(folder: Path, settings: Mapping[str, object], up: anyio.Event) -> None:
    async with running_server(folder, **settings):
        up.set()
        await anyio.sleep_forever()


async def _until_reached(link: FaultProxy) -> None:
    with anyio.fail_after(WAIT_S):
        while not link.counts.connections:  # noqa: ASYNC110  another process connects
            await anyio.sleep(0.02)
