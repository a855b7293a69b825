"""The whole server on MongoDB: what the contract suite proves of the adapter, seen from outside."""

import signal
from pathlib import Path

import anyio
import pytest

from tests.support.mongo import running_mongo
from tests.support.server import Server, running_server, text_of

pytestmark = pytest.mark.services


@pytest.mark.long
async def test_a_turn_on_mongodb_is_streamed_stored_and_survives_a_restart(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as mongo:
        uri = f"{mongo.uri}/chatstream"
        async with running_server(tmp_path / "data", mongodb_uri=uri) as server:
            started = await server.start("What is a turn?")
            told = text_of(await server.all_events(started["turn_id"]))
            cookies = dict(server.client.cookies)
            server.signal(signal.SIGTERM)
            assert await server.exit_code() == 0
        async with running_server(tmp_path / "data", mongodb_uri=uri) as server:
            server.client.cookies.update(cookies)
            state = await server.state(started["turn_id"])
            messages = await server.client.get(
                f"/api/v1/conversations/{started['conversation_id']}/messages"
            )

    assert (state["status"], state["text"]) == ("completed", told)
    assert [message["text"] for message in messages.json()["messages"]] == ["What is a turn?", told]


@pytest.mark.fault(26, 27)
@pytest.mark.long
async def test_without_its_history_the_server_refuses_a_start_and_streams_what_runs(
    tmp_path: Path,
) -> None:
    with running_mongo(tmp_path) as mongo:
        settings = {"mongodb_uri": f"{mongo.uri}/chatstream", "offline_tokens_per_s": 100}
        async with running_server(tmp_path / "data", history_timeout_s=0.5, **settings) as server:
            started = await server.start("What is a turn?")
            mongo.pause()

            refused = await server.client.post("/api/v1/turns", json={"message": "Hello"})
            events = await server.all_events(started["turn_id"])
            mongo.resume()

    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert events[-1].event == "turn.completed"
    assert '"stored":false' in events[-1].data


@pytest.mark.long
async def test_without_its_history_a_turn_can_still_be_stopped(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as mongo:
        settings = {"mongodb_uri": f"{mongo.uri}/chatstream", "offline_tokens_per_s": 10}
        async with running_server(tmp_path / "data", history_timeout_s=0.5, **settings) as server:
            started = await server.start("What is a turn?")
            mongo.pause()

            answer = await server.client.post(f"/api/v1/turns/{started['turn_id']}/cancel")
            mongo.resume()

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["stored"]) == ("cancelled", False)
    assert answer.json()["turn_id"] == started["turn_id"]


@pytest.mark.long
@pytest.mark.fault(28)
async def test_a_history_that_answers_no_more_is_left_alone_and_found_again(tmp_path: Path) -> None:
    with running_mongo(tmp_path) as mongo:
        settings = {"mongodb_uri": f"{mongo.uri}/chatstream", "history_timeout_s": 0.5}
        async with running_server(tmp_path / "data", **settings) as server:
            assert await _breaker(server) == ("healthy", "closed", 0.0)
            mongo.pause()
            await _until_breaker(server, ("unhealthy", "open", 1.0))
            refused = await server.client.post("/api/v1/turns", json={"message": "Hello"})
            mongo.resume()
            await _until_breaker(server, ("healthy", "closed", 0.0))
            state = await server.run_turn()

    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert state["status"] == "completed"


async def _until_breaker(server: Server, told: tuple[str, str, float]) -> None:
    """Ask for health, which asks the history, until it tells this."""
    with anyio.fail_after(20):
        while await _breaker(server) != told:  # noqa: ASYNC110  it happens in another process
            await anyio.sleep(0.05)


async def _breaker(server: Server) -> tuple[str, str, float]:
    """Return what health and metrics tell of the history."""
    check = (await server.client.get("/health")).json()["checks"]["history"]
    metrics = (await server.client.get("/metrics")).text
    _, _, value = metrics.partition("\nchat_history_breaker_open ")
    return check["status"], check["breaker"], float(value.split()[0])
