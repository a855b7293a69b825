"""A rollout as an operator has it: two workers on Redis, guests who chat, a model that may fail.

Stages are short and evidence is asked for at 5 % instead of 1 %, so that minutes become seconds;
everything else is as by default.
"""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.chaos.cluster import SETTINGS, Cluster, Worker, running_cluster
from tests.e2e.operators import STATE, STREAMING
from tests.e2e.rollout_traffic import Traffic, make_users
from tests.support.receiver import receiving

pytestmark = [pytest.mark.services, pytest.mark.long]

MODELS = {
    "whole": "sim:tokens=4,rate=0,ttft=0.02",
    "broken": "fault:cut:tokens=8,rate=0,after=3,ttft=0.02",
}
STAGES = (1, 5, 10, 25, 50, 75, 90, 100)
USERS = 150
RATE = 80.0
WAIT_S = 240.0
LOOK_S = 0.2


@dataclass
class Scene:
    """Workers, guests, and an operator who looks at one worker or the other."""

    cluster: Cluster
    traffic: Traffic
    http: httpx.AsyncClient
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def live(self) -> Sequence[Worker]:
        """Workers that run."""
        return [worker for worker in self.cluster.workers if worker.server is not None]

    async def act(self, action: str, **body: object) -> dict[str, Any]:
        """Do something to the rollout."""
        url = f"{self.live[0].url}{STREAMING}/rollout/{action}"
        answer = await self.http.post(url, json=body)
        assert answer.status_code == httpx.codes.OK, answer.text
        done: dict[str, Any] = answer.json()
        return done

    async def look(self) -> dict[str, Any]:
        """Return how streaming stands, and have guests follow its percentage."""
        answer = await self.http.get(f"{self.live[-1].url}{STATE}")
        state: dict[str, Any] = answer.json()["flags"]["streaming"]
        if state["rolloutPercentage"] != self.traffic.percentage:
            self.traffic.moved(state["rolloutPercentage"])
        if not self.seen or _place(state) != _place(self.seen[-1]):
            self.seen.append(state)
        return state

    async def until(self, claim: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Look until something is so."""
        with anyio.fail_after(WAIT_S):
            while True:
                try:
                    state = await self.look()
                except httpx.HTTPError:  # that worker has just died
                    await anyio.sleep(LOOK_S)
                    continue
                if claim(state):
                    return state
                await anyio.sleep(LOOK_S)

    async def leader(self) -> Worker:
        """Return the worker that decides."""
        with anyio.fail_after(WAIT_S):
            while not (found := [each for each in self.live if await self._leads(each)]):  # noqa: ASYNC110  # elsewhere
                await anyio.sleep(LOOK_S)
        return found[0]

    async def _leads(self, worker: Worker) -> bool:
        return "\nchat_rollout_leader 1.0\n" in (await self.http.get(f"{worker.url}/metrics")).text

    async def history(self) -> list[dict[str, Any]]:
        """Return what became of the rollout, oldest first."""
        url = f"{self.live[0].url}{STREAMING}/rollout/history"
        answer = await self.http.get(url, params={"limit": 200})
        history: list[dict[str, Any]] = answer.json()["history"]
        return history[::-1]


@asynccontextmanager
async def rolled_out(folder: Path, **settings: object) -> AsyncIterator[Scene]:
    """Run two workers, and have guests chat on them while the block runs."""
    led = {
        "default_streaming_percentage": 0,
        "max_takeovers": 0,
        "openai_max_retries": 0,
        "rollout_stages": ",".join(map(str, STAGES)),
        "rollout_bake_s": 1,
        "rollout_final_bake_s": 3,
        "rollout_beta": 0.05,
        "rollout_tick_s": 0.5,
        **settings,
    }
    users = make_users(USERS, str(SETTINGS["session_secret"]))
    bearer = {"Authorization": f"Bearer {SETTINGS['admin_token']}"}
    async with running_cluster(folder, workers=2, models=MODELS, **led) as cluster:
        ports = [worker.port for worker in cluster.workers]
        traffic = Traffic(ports, users, 0, RATE)
        async with (
            httpx.AsyncClient(headers=bearer, timeout=10) as http,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(traffic.run)
            yield Scene(cluster, traffic, http)
            tasks.cancel_scope.cancel()


async def test_it_climbs_through_all_stages_though_the_leader_is_killed(tmp_path: Path) -> None:
    async with rolled_out(tmp_path) as scene:
        await scene.act("start", reason="first users")
        await scene.until(lambda state: state["rolloutPercentage"] >= STAGES[3])
        killed = await scene.leader()
        assert killed.signal(signal.SIGKILL)
        state = await scene.until(lambda state: state["state"] == "completed")
        history = await scene.history()

    climbed = [each["after"]["stage"] for each in history if each["action"] == "promote"]
    assert climbed == list(range(1, len(STAGES)))
    assert {each["action"] for each in history} <= {
        "start",
        "promote",
        "hold",
        "release",
        "complete",
    }
    assert state["rolloutPercentage"] == STAGES[-1]


async def test_errors_of_the_streaming_arm_alone_roll_it_back_and_it_says_why(
    tmp_path: Path,
) -> None:
    async with (
        receiving() as receiver,
        rolled_out(tmp_path, alert_webhook_url=receiver.url) as scene,
    ):
        await scene.act("start", stages=[50, 100], reason="half of all")
        await scene.until(lambda state: state["evidence"].get("error", {}).get("n", 0) > 20)
        scene.traffic.is_failing = lambda streams, chance: streams and chance < 0.3
        state = await scene.until(lambda state: state["state"] == "rolled_back")
        refused = await scene.http.post(f"{scene.live[0].url}{STREAMING}/rollout/resume")
        history = await scene.history()
        told = await receiver.until(lambda texts: any("was rolled back" in each for each in texts))

    assert sum("was rolled back" in each for each in told) == 1
    assert state["rolloutPercentage"] == 0
    assert "error" in state["rollout"]["reason"]
    assert history[-1]["action"] == "roll_back"
    assert history[-1]["who"] == "rollout_controller"
    assert refused.status_code == httpx.codes.CONFLICT
    assert int(refused.headers["retry-after"]) > 1700
    assert "cools down" in refused.json()["detail"]


async def test_an_outage_of_both_arms_holds_it(tmp_path: Path) -> None:
    # Half of all for as long as this takes: at 100 % there is no other arm to compare with.
    async with rolled_out(tmp_path, rollout_bake_s=600) as scene:
        await scene.act("start", stages=[50, 100], reason="half of all")
        await scene.until(lambda state: state["evidence"].get("control", {}).get("n", 0) > 20)
        scene.traffic.is_failing = lambda _streams, chance: chance < 0.3
        state = await scene.until(lambda state: state["rollout"]["hold"] == "incident")
        errors = state["evidence"]["error"]["n"]
        later = await scene.until(lambda state: state["evidence"]["error"]["n"] > errors + 200)
        history = await scene.history()

    assert (later["state"], later["rolloutPercentage"]) == ("hold", 50)
    assert "roll_back" not in {each["action"] for each in history}


def _place(state: dict[str, Any]) -> tuple[object, ...]:
    return state["state"], state["rolloutPercentage"]
