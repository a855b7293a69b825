"""Which flags a server has when it starts: first ones, kept ones, given ones, damaged ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.operators import FLAGS, SEGMENTS, STATE, STREAMING, operated_server
from tests.support import production
from tests.support.chat import log_of

pytestmark = pytest.mark.long

PRODUCTION = {**production.PRODUCTION, "allow_guests": "true"}


async def test_a_restart_keeps_flags_segments_versions_kills_and_history(tmp_path: Path) -> None:
    async with operated_server(tmp_path, default_streaming_percentage=7) as operator:
        assert (await operator.state())["rolloutPercentage"] == 7
        await operator.put(f"{SEGMENTS}/staff", {"include": ["ann"]})
        rule = {"when": {"targetingKey": {"$inGroup": "staff"}}}
        await operator.put(f"{FLAGS}/other", {"rules": [rule], "rollout": {"percentage": 33.333}})
        await operator.http.post(f"{FLAGS}/other/kill", json={"reason": "it burns"})
        before = [await operator.get(path) for path in (FLAGS, SEGMENTS)]
        history = await operator.get(f"{FLAGS}/other/history")

    # The default percentage is for the first start alone.
    async with operated_server(tmp_path, default_streaming_percentage=100) as operator:
        assert [await operator.get(path) for path in (FLAGS, SEGMENTS)] == before
        assert await operator.get(f"{FLAGS}/other/history") == history
        assert (await operator.get(STATE))["flags"]["other"]["state"] == "killed"


@pytest.mark.parametrize(
    ("settings", "percentage"),
    [
        pytest.param({}, 100, id="development", marks=pytest.mark.long),
        pytest.param(PRODUCTION, 1, id="production"),
        pytest.param(
            {**PRODUCTION, "default_streaming_percentage": 12.5},
            12.5,
            id="production-12.5",
            marks=pytest.mark.long,
        ),
    ],
)
async def test_the_first_start_makes_the_flag_at_the_default_percentage(
    tmp_path: Path, settings: dict[str, object], percentage: float
) -> None:
    async with operated_server(tmp_path, **settings) as operator:
        state = await operator.state()

        assert (state["rolloutPercentage"], state["enabled"]) == (percentage, True)
        entry = (await operator.get(f"{STREAMING}/history"))["history"][-1]
        assert (entry["action"], entry["who"]) == ("create", "system")


async def test_a_bootstrap_file_gives_an_empty_store_its_flags_once(tmp_path: Path) -> None:
    file, data_dir = tmp_path / "flags.json", tmp_path / "data"
    document = {
        "flags": {"streaming": {"rollout": {"percentage": 0}}, "mine": {"description": "mine"}},
        "segments": {"staff": {"include": ["ann"]}},
    }
    file.write_text(json.dumps(document), encoding="utf-8")
    async with operated_server(data_dir, flags_bootstrap_file=file) as operator:
        assert await operator.arm() == "off"
        assert (await operator.get(f"{FLAGS}/mine"))["description"] == "mine"
        assert (await operator.get(f"{SEGMENTS}/staff"))["include"] == ["ann"]
        await operator.http.delete(f"{FLAGS}/mine")
        await operator.roll_out(100)

    async with operated_server(data_dir, flags_bootstrap_file=file) as operator:
        assert (await operator.http.get(f"{FLAGS}/mine")).status_code == 404
        assert await operator.arm() == "on"


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="cut"),
        pytest.param(
            lambda text: text.replace("percentage", "percentagE", 1),
            id="changed",
            marks=pytest.mark.long,
        ),
        pytest.param(lambda _: "", id="empty", marks=pytest.mark.long),
        pytest.param(lambda _: "percentage: 100", id="words", marks=pytest.mark.long),
    ],
)
async def test_a_damaged_file_is_told_and_served_around_until_it_is_mended(
    tmp_path: Path, damage: Callable[[str], str]
) -> None:
    file = tmp_path / "flags.json"
    async with operated_server(tmp_path, default_streaming_percentage=0) as operator:
        assert await operator.arm() == "off"
    sound = file.read_text(encoding="utf-8")
    damaged = damage(sound)
    file.write_text(damaged, encoding="utf-8")

    async with operated_server(tmp_path) as operator:
        log = log_of(operator.server)
        told = await operator.get(STATE)
        refused = await operator.http.put(f"{FLAGS}/other", json={})
        listed = await operator.get(FLAGS)
        arm, kept = await operator.arm(), file.read_text(encoding="utf-8")
        file.write_text(sound, encoding="utf-8")
        await operator.until_streaming(rolloutPercentage=0)
        mended = (await operator.get(STATE))["store"]

    assert log.count("flags.started_without_store") == 1
    assert "flags.json" in log.partition("flags.started_without_store")[2].partition("\n")[0]
    assert (told["store"]["stale"], told["store"]["source"]) == (True, "defaults")
    assert "flags.json" in told["store"]["fault"]
    assert (refused.status_code, refused.json()["code"]) == (503, "flag_store_damaged")
    assert listed["stale"] is True
    assert (arm, kept) == ("on", damaged)
    assert (mended["stale"], mended["source"]) == (False, "store")


@pytest.mark.parametrize(
    "given", [pytest.param({}, marks=pytest.mark.long), {"flags": {"other": {}}}]
)
async def test_in_production_a_damaged_file_streams_to_nobody(
    tmp_path: Path, given: dict[str, object]
) -> None:
    (tmp_path / "flags.json").write_text("{}", encoding="utf-8")
    settings: dict[str, object] = {**PRODUCTION, "default_streaming_percentage": 100}
    if given:  # flags, but not the one that the server asks
        (tmp_path / "given.json").write_text(json.dumps(given), encoding="utf-8")
        settings["flags_bootstrap_file"] = tmp_path / "given.json"

    async with operated_server(tmp_path, **settings) as operator:
        assert await operator.arm() == "off"
        state = await operator.state()
        assert (state["state"], state["rolloutPercentage"]) == ("disabled", 0 if given else 100)
