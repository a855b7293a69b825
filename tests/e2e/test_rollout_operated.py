"""What operators do to a rollout over HTTP, and what is refused."""

from typing import Any

import httpx
import pytest

from tests.e2e.operators import ROLLOUT, STREAMING, Operator, operator_fixtures

shared_server, operator = operator_fixtures(rollout_bake_s=3600, rollout_stages="5,50,100")


async def act(operator: Operator, action: str, body: object = None, **headers: str) -> Any:
    """Do something to the rollout, and return the answer."""
    return await operator.http.post(f"{STREAMING}/rollout/{action}", json=body, headers=headers)


async def place(operator: Operator) -> str:
    """Return where streaming is."""
    state = await operator.state()
    return f"{state['state']} at {state['rolloutPercentage']} %"


@pytest.fixture(autouse=True)
async def idle(operator: Operator) -> None:
    """Begin each test at 0 %, with nothing killed and no rollout that is active."""
    await operator.http.delete(f"{STREAMING}/kill")
    await operator.roll_out(0)


async def test_a_start_takes_the_flag_to_the_first_stage_and_its_plan_is_shown(
    operator: Operator,
) -> None:
    answer = await act(operator, "start", {"stages": [10, 100], "reason": "first users"})
    state = await operator.state()
    history = (await operator.get(f"{STREAMING}/rollout/history", limit=1))["history"]

    assert answer.status_code == httpx.codes.OK
    assert answer.headers["etag"] == f'"{state["version"]}"'
    assert await place(operator) == "running at 10 %"
    assert state["rollout"]["stages"] == [10, 100]
    assert state["rollout"]["plan"]["bake_s"] == 3600
    assert "first users" in state["rollout"]["reason"]
    assert (history[0]["action"], history[0]["why"]) == ("start", "first users")


@pytest.mark.parametrize("path", [f"{STREAMING}/rollout", STREAMING])
async def test_a_rollout_is_paused_and_resumed_at_its_stage(operator: Operator, path: str) -> None:
    await act(operator, "start")
    paused = await operator.http.post(f"{path}/pause", json={"reason": "lunch"})
    at_pause = await place(operator)
    resumed = await operator.http.post(f"{path}/resume")

    assert (paused.status_code, resumed.status_code) == (200, 200)
    assert at_pause == "paused at 5 %"
    assert await place(operator) == "running at 5 %"


async def test_a_percentage_by_hand_pauses_and_a_resume_goes_on_from_there(
    operator: Operator,
) -> None:
    await act(operator, "start")
    await operator.roll_out(60)
    by_hand = await place(operator)
    await act(operator, "resume")

    assert by_hand == "paused at 60 %"
    assert await place(operator) == "running at 50 %"


async def test_a_kill_pauses_and_its_end_brings_nothing_back(operator: Operator) -> None:
    await act(operator, "start")
    await operator.http.post(f"{STREAMING}/kill", json={"reason": "smoke"})
    killed, refused = await place(operator), await act(operator, "resume")
    await operator.http.delete(f"{STREAMING}/kill")

    assert killed == "killed at 0 %"
    assert refused.status_code == httpx.codes.CONFLICT
    assert refused.json()["code"] == "rollout_refused"
    assert refused.json()["detail"] == "Streaming is killed; end the kill first."
    assert await place(operator) == "paused at 0 %"


async def test_what_a_rollout_cannot_do_is_refused_with_the_reason(operator: Operator) -> None:
    await act(operator, "start")
    answer = await act(operator, "approve")

    assert answer.status_code == httpx.codes.CONFLICT
    assert "asks for no approval" in answer.json()["detail"]


async def test_a_flag_that_nobody_counts_for_is_not_started(operator: Operator) -> None:
    await operator.http.put("/api/v1/flags/beta", json={"type": "bool"})
    answer = await operator.http.post("/api/v1/flags/beta/rollout/start")
    beta = await operator.get("/api/v1/flags/beta")
    await operator.http.delete("/api/v1/flags/beta")

    assert answer.status_code == httpx.codes.CONFLICT
    assert answer.json()["detail"].startswith("Nobody counts what becomes of beta")
    assert beta["rollout"]["percentage"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"stages": [50, 10]}, "stages.1"),
        ({"stages": []}, "stages"),
        ({"stages": [0]}, "stages.0"),
        ({"beta": 2}, "beta"),
        ({"bake_s": -1}, "bake_s"),
        ({"promote": {"error_rate": 0.5}}, "promote.error_rate"),
        ({"pace": 1}, "pace"),
    ],
)
async def test_a_plan_that_means_nothing_is_refused_with_its_place(
    operator: Operator, body: object, field: str
) -> None:
    answer = await act(operator, "start", body)

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["field"] == field


async def test_a_start_of_a_version_that_is_gone_is_refused(operator: Operator) -> None:
    version = (await operator.state())["version"]
    await operator.roll_out(1)
    answer = await act(operator, "start", {}, **{"If-Match": f'"{version}"'})

    assert answer.status_code == httpx.codes.PRECONDITION_FAILED


async def test_only_operators_move_a_rollout(operator: Operator) -> None:
    async with operator.server.guest() as guest:
        for action in ("start", "pause", "resume", "approve"):
            answer = await guest.post(f"{STREAMING}/rollout/{action}")
            assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert (await guest.post(ROLLOUT, json={})).status_code == httpx.codes.UNAUTHORIZED
