"""Defining, changing and explaining flags over HTTP, on a real server."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import anyio
import httpx
import pytest

from flags.bucketing import bucket
from tests.e2e.operators import FLAGS, SEGMENTS, STATE, WAIT_S, Operator, operator_fixtures

shared_server, operator = operator_fixtures()

WHOLE: dict[str, Any] = {
    "type": "string",
    "variants": {"red": "#f00", "blue": "#00f", "none": ""},
    "off_variant": "none",
    "default_variant": "blue",
    "rollout": {
        "percentage": 12.345,
        "salt": "colours-2",
        "serve": [{"variant": "red", "weight": 33.3}, {"variant": "blue", "weight": 66.7}],
    },
    "enabled": True,
    "in_flight": "drain",
    "allow": ["ann"],
    "deny": ["bob"],
    "rules": [
        {
            "name": "beta",
            "when": {"plan": {"$in": ["pro", "team"]}},
            "serve": "red",
            "percentage": 50,
        }
    ],
    "prerequisites": [],
    "schedule": {"starts_at": "2020-01-01T00:00:00Z", "ends_at": None},
    "description": "A colour for the button. \u2713",
}


async def test_a_flag_is_told_as_it_was_defined(operator: Operator) -> None:
    stored = await operator.put(f"{FLAGS}/colour", WHOLE)

    told = await operator.http.get(f"{FLAGS}/colour")
    assert told.json() == stored
    assert WHOLE.items() <= stored.items()
    assert (stored["key"], stored["kill"]) == ("colour", False)
    assert stored["version"] == stored["epoch"] > 0
    assert datetime.fromisoformat(stored["updated_at"]).tzinfo is not None
    assert told.headers["etag"] == f'"{stored["version"]}"'
    assert told.headers["cache-control"] == "no-store"


async def test_what_was_read_can_be_sent_back_and_changes_nothing(operator: Operator) -> None:
    stored = await operator.put(f"{FLAGS}/twice", WHOLE)

    # A flag that was read while the store was lost says so.
    answer = await operator.http.put(f"{FLAGS}/twice", json={**stored, "stale": True})

    assert (answer.status_code, answer.json()) == (200, stored)
    assert len((await operator.get(f"{FLAGS}/twice/history"))["history"]) == 1


async def test_a_flag_that_is_new_answers_201_and_one_that_is_replaced_200(
    operator: Operator,
) -> None:
    answers = [await operator.http.put(f"{FLAGS}/fresh", json=body) for body in ({}, WHOLE)]

    assert [answer.status_code for answer in answers] == [201, 200]


async def test_a_deleted_flag_is_gone_and_its_history_stays(operator: Operator) -> None:
    await operator.put(f"{FLAGS}/brief", {"reason": "to try it"})

    answer = await operator.http.delete(f"{FLAGS}/brief", params={"reason": "no longer needed"})

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await operator.http.get(f"{FLAGS}/brief")).status_code == 404
    assert (await operator.http.delete(f"{FLAGS}/brief")).status_code == 404
    history = (await operator.get(f"{FLAGS}/brief/history"))["history"]
    assert [(each["action"], each["why"]) for each in history] == [
        ("delete", "no longer needed"),
        ("put", "to try it"),
    ]
    older = await operator.get(f"{FLAGS}/brief/history", before=history[-1]["version"])
    assert older == {"history": [], "next": None}


async def test_every_change_is_kept_with_who_when_why_before_and_after(operator: Operator) -> None:
    first = await operator.put(f"{FLAGS}/kept", {}, x_request_id="the-first")
    second = await operator.put(f"{FLAGS}/kept", {"enabled": False, "reason": "  broken "})

    newest, oldest = (await operator.get(f"{FLAGS}/kept/history"))["history"]

    assert (oldest["who"], oldest["request_id"], oldest["why"]) == ("admin_token", "the-first", "")
    assert (oldest["before"], oldest["after"]) == (None, first)
    assert (newest["before"], newest["after"]) == (first, second)
    assert (newest["action"], newest["why"]) == ("put", "broken")
    assert newest["version"] == second["version"]
    assert newest["request_id"].startswith("req_")
    assert datetime.fromisoformat(oldest["at"]) <= datetime.fromisoformat(newest["at"])


async def test_a_history_is_read_page_by_page_newest_first(operator: Operator) -> None:
    for number in range(5):
        await operator.put(f"{FLAGS}/often", {"description": str(number)})

    seen: list[str] = []
    page: dict[str, Any] = {"next": 10**9}
    for _ in range(3):
        page = await operator.get(f"{FLAGS}/often/history", limit=2, before=page["next"])
        seen += [each["after"]["description"] for each in page["history"]]

    assert page["next"] is None
    assert seen == ["4", "3", "2", "1", "0"]


@pytest.fixture
async def paged(operator: Operator) -> AsyncIterator[list[str]]:
    """Have flags and segments of these names."""
    names = [f"page-{number}" for number in range(7)]
    for name in names:
        await operator.put(f"{FLAGS}/{name}", {})
        await operator.put(f"{SEGMENTS}/{name}", {})
    yield names
    for name in names:
        await operator.http.delete(f"{FLAGS}/{name}")
        await operator.http.delete(f"{SEGMENTS}/{name}")


@pytest.mark.parametrize("listed", [(FLAGS, "flags", "key"), (SEGMENTS, "segments", "name")])
@pytest.mark.parametrize("limit", [1, 3, 7, 200])
async def test_a_list_is_read_page_by_page_in_order(
    operator: Operator, paged: list[str], *, listed: tuple[str, str, str], limit: int
) -> None:
    path, key, name = listed
    seen: list[str] = []
    page: dict[str, Any] = {"next": ""}

    with anyio.fail_after(WAIT_S):
        while page["next"] is not None:
            page = await operator.get(path, limit=limit, cursor=page["next"])
            assert len(page[key]) <= limit
            seen += [each[name] for each in page[key]]

    assert seen == sorted(seen)
    assert Counter(seen).most_common(1)[0][1] == 1
    assert set(paged) <= set(seen)
    assert "stale" not in page


async def test_a_list_that_fits_into_its_page_names_no_next_one(operator: Operator) -> None:
    flags = (await operator.get(FLAGS))["flags"]

    page = await operator.get(FLAGS, limit=len(flags))

    assert page == {"flags": flags, "next": None}


@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"'])
async def test_a_change_holds_only_at_the_version_that_was_read(
    operator: Operator, form: str
) -> None:
    read = await operator.put(f"{FLAGS}/guarded", {"description": form})
    newer = await operator.put(f"{FLAGS}/guarded", {"description": f"{form}!"})

    late = await operator.http.put(
        f"{FLAGS}/guarded", json={}, headers={"If-Match": form.format(read["version"])}
    )
    right = await operator.http.put(
        f"{FLAGS}/guarded", json={}, headers={"If-Match": form.format(newer["version"])}
    )

    assert late.status_code == 412
    assert (late.json()["code"], late.json()["version"]) == ("version_conflict", newer["version"])
    assert late.headers["etag"] == f'"{newer["version"]}"'
    assert right.status_code == 200


async def test_what_must_not_exist_yet_is_created_once(operator: Operator) -> None:
    answers: list[httpx.Response] = []

    async def create(number: int) -> None:
        body, headers = {"description": str(number)}, {"If-None-Match": "*"}
        answers.append(await operator.http.put(f"{FLAGS}/once", json=body, headers=headers))

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(create, number)

    held = [answer for answer in answers if answer.status_code == 201]
    assert [answer.status_code for answer in answers].count(412) == 7
    assert len(held) == 1
    assert (await operator.get(f"{FLAGS}/once")) == held[0].json()


async def test_of_racing_writers_that_read_the_same_version_one_wins(operator: Operator) -> None:
    read = await operator.put(f"{FLAGS}/raced", {})
    headers = {"If-Match": str(read["version"])}
    statuses: list[int] = []

    async def write(number: int) -> None:
        body = {"description": str(number)}
        answer = await operator.http.put(f"{FLAGS}/raced", json=body, headers=headers)
        statuses.append(answer.status_code)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(write, number)

    assert sorted(statuses) == [200] + [412] * 7
    assert len((await operator.get(f"{FLAGS}/raced/history"))["history"]) == 2


async def test_writers_that_name_no_version_all_hold_one_after_the_other(
    operator: Operator,
) -> None:
    await operator.put(f"{FLAGS}/crowd", {})

    async def write(number: int) -> None:
        await operator.put(f"{FLAGS}/crowd", {"description": str(number)})

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(write, number)

    entries = (await operator.get(f"{FLAGS}/crowd/history"))["history"]
    assert {each["after"]["description"] for each in entries} == {"", *map(str, range(8))}
    for newer, older in pairwise(entries):
        assert newer["before"] == older["after"]


async def test_a_repeated_key_changes_nothing_again_and_answers_the_same(
    operator: Operator,
) -> None:
    path, key = f"{FLAGS}/repeated", {"Idempotency-Key": "deploy-42"}
    first = await operator.http.put(path, json={"description": "a"}, headers=key)
    await operator.put(path, {"description": "b"})

    again = await operator.http.put(path, json={"description": "a"}, headers=key)
    other = await operator.http.put(path, json={"description": "c"}, headers=key)

    assert again.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")
    assert (await operator.get(path))["description"] == "b"


async def test_the_rollout_path_sets_the_percentage_and_nothing_else(operator: Operator) -> None:
    before = await operator.put(f"{FLAGS}/colour-2", WHOLE)
    body = {"feature": "colour-2", "percentage": 50, "reason": "half of them"}

    answer = await operator.http.post(f"{STATE}/rollout", json=body)

    after = await operator.get(f"{FLAGS}/colour-2")
    assert answer.json() == {
        "feature": "colour-2",
        "percentage": 50,
        "kill": False,
        "version": after["version"],
        "epoch": after["epoch"],
    }
    assert '"percentage":50,' in answer.text
    assert answer.headers["etag"] == f'"{after["version"]}"'
    assert after["rollout"].pop("percentage") == 50
    before["rollout"].pop("percentage")
    for each in (before, after):
        each.pop("updated_at")
    assert after == {**before, "version": after["version"], "epoch": after["version"]}


@pytest.mark.parametrize(
    ("given", "shown"),
    [("0", "0"), ("5.0", "5"), ("0.001", "0.001"), ("99.999", "99.999"), ("1e1", "10")],
)
async def test_a_percentage_is_shown_as_a_person_writes_it(
    operator: Operator, given: str, shown: str
) -> None:
    await operator.put(f"{FLAGS}/plain", {})

    answer = await operator.http.post(
        f"{STATE}/rollout",
        content=f'{{"feature":"plain","percentage":{given}}}',
        headers={"Content-Type": "application/json"},
    )
    state = await operator.http.get(STATE)

    assert f'"percentage":{shown},' in answer.text
    assert f'"rolloutPercentage":{shown},' in state.text.partition('"plain"')[2]


async def test_the_state_tells_each_flag_and_how_well_it_is_known(operator: Operator) -> None:
    await operator.put(f"{FLAGS}/sleeping", {**WHOLE, "enabled": False})

    told = await operator.get(STATE)

    sleeping, streaming = told["flags"]["sleeping"], told["flags"]["streaming"]
    assert (sleeping["state"], sleeping["enabled"], sleeping["type"]) == (
        "disabled",
        False,
        "string",
    )
    assert sleeping["variants"] == WHOLE["variants"]
    assert (sleeping["salt"], sleeping["rolloutPercentage"]) == ("colours-2", 12.345)
    assert sleeping["sinceSeconds"] >= 0
    assert sleeping["evidence"] is None
    assert (streaming["state"], streaming["kill"], streaming["killedHere"]) == (
        "idle",
        False,
        False,
    )
    assert set(streaming["evidence"]) == {"windowSeconds", "on", "off"}
    store = told["store"]
    assert (store["kind"], store["source"], store["stale"]) == ("file", "store", False)
    assert store["fault"] is None
    assert store["version"] >= sleeping["version"]


async def test_an_explanation_tells_where_a_user_stands_and_from_which_percentage_on(
    operator: Operator,
) -> None:
    await operator.put(f"{FLAGS}/told", {"rollout": {"percentage": 30, "salt": "s"}})

    for user in ("ann", "bob", "kim \u2713", "x" * 256):
        told = await operator.get(f"{FLAGS}/told/explain", user_id=user)

        place = bucket("told", "s", user)
        is_in = place < 30_000
        assert (told["user_id"], told["bucket"], told["salt"]) == (user, place, "s")
        assert (told["percentage"], type(told["percentage"])) == (30, int)
        assert told["included_from"] == (place + 1) / 1000
        assert (told["value"], told["variant"]) == ((True, "on") if is_in else (False, "off"))
        assert told["reason"] == ("split" if is_in else "default")
        assert [step["step"] for step in told["steps"] if step["decided"]] == [
            "percentage" if is_in else "default"
        ]


async def test_the_percentage_that_an_explanation_names_is_the_first_that_includes(
    operator: Operator,
) -> None:
    await operator.put(f"{FLAGS}/entered", {})
    enters = (await operator.get(f"{FLAGS}/entered/explain", user_id="ann"))["included_from"]

    for percentage, value in [(enters, True), (round(enters - 0.001, 3), False)]:
        await operator.put(f"{FLAGS}/entered", {"rollout": {"percentage": percentage}})
        told = await operator.get(f"{FLAGS}/entered/explain", user_id="ann")
        assert told["value"] is value


async def test_an_explanation_follows_rules_by_attributes_and_segments(operator: Operator) -> None:
    await operator.put(f"{SEGMENTS}/friends", {"include": ["ann"], "when": {"plan": "pro"}})
    rule = {"name": "friends", "when": {"targetingKey": {"$inGroup": "friends"}}}
    plan = {"name": "pro", "when": {"plan": "pro"}}
    await operator.put(f"{FLAGS}/ruled", {"rules": [rule, plan]})

    told = {
        (user, attributes): await operator.get(
            f"{FLAGS}/ruled/explain", user_id=user, attributes=attributes
        )
        for user, attributes in [("ann", "{}"), ("bob", '{"plan":"pro"}'), ("bob", "{}")]
    }

    assert [each["value"] for each in told.values()] == [True, True, False]
    assert [each["steps"][-1]["step"] for each in told.values()] == ["rule", "rule", "default"]


async def test_a_segment_is_told_as_it_was_defined_and_stays_while_a_rule_needs_it(
    operator: Operator,
) -> None:
    whole = {
        "include": ["ann"],
        "exclude": ["bob"],
        "when": {"age": {"$gte": 18}},
        "description": "grown-ups",
    }
    stored = await operator.put(f"{SEGMENTS}/adults", {**whole, "reason": "for the beta"})
    needs = {"rules": [{"when": {"targetingKey": {"$inGroup": "adults"}}}]}
    await operator.put(f"{FLAGS}/for-adults", needs)

    refused = await operator.http.delete(f"{SEGMENTS}/adults")
    await operator.http.delete(f"{FLAGS}/for-adults")
    deleted = await operator.http.delete(f"{SEGMENTS}/adults", headers={"If-Match": "1"})
    gone = await operator.http.delete(
        f"{SEGMENTS}/adults", headers={"If-Match": str(stored["version"])}
    )

    assert whole.items() <= stored.items()
    assert refused.status_code == 422
    assert "for-adults" in refused.json()["errors"][0]["field"]
    assert (deleted.status_code, gone.status_code) == (412, 204)
    assert (await operator.http.get(f"{SEGMENTS}/adults")).status_code == 404


async def test_a_fault_names_its_place(operator: Operator) -> None:
    body = {"rules": [{"when": {}}, {"when": {"$or": [{"a": 1}, {"a": {"$regex": "("}}]}}]}

    problem = (await operator.http.put(f"{FLAGS}/wrong", json=body)).json()

    (error,) = problem["errors"]
    assert error["field"].startswith("rules.1.when.$or.1")
    assert error["message"]


async def test_reading_is_open_in_development_and_sets_no_guest_cookie(operator: Operator) -> None:
    async with operator.server.guest() as nobody:
        for path in (FLAGS, f"{FLAGS}/streaming", SEGMENTS, STATE, f"{FLAGS}/streaming/history"):
            answer = await nobody.get(path)

            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
        assert not nobody.cookies


@pytest.mark.parametrize("number", [10**15, 2**53, 2**63, 2**64, 10**30])
async def test_a_large_number_is_kept_or_refused_and_never_spoils_a_flag(
    operator: Operator, number: int
) -> None:
    body = {"type": "number", "variants": {"a": number, "b": 0}, "off_variant": "a"}
    path = f"{FLAGS}/large"

    answer = await operator.http.put(path, json=body)

    assert answer.status_code in {200, 201, 422}, answer.text
    if answer.status_code == 422:
        assert answer.json()["errors"][0]["field"].startswith("variants.a")
    else:
        told = await operator.http.get(path)
        assert json.loads(told.text)["variants"]["a"] == number
