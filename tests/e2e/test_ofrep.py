"""OpenFeature's remote evaluation: by its own client off the shelf, and by hand."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest
from anyio import to_thread
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from tests.e2e.operators import FLAGS, Operator, operator_fixtures, token_of
from tests.support.server import Server

BULK = "/ofrep/v1/evaluate/flags"
ANN = EvaluationContext("ann")
T = TypeVar("T")

shared_server, operator = operator_fixtures()


@pytest.fixture
def client(shared_server: Server) -> Iterator[OpenFeatureClient]:
    """Have OpenFeature's client ask the server."""
    token = token_of(shared_server.data_dir)
    provider = OFREPProvider(
        shared_server.url, headers_factory=lambda: {"Authorization": f"Bearer {token}"}
    )
    api.set_provider(provider)
    yield api.get_client()
    api.clear_providers()
    provider.session.close()


async def ask(call: Callable[..., T], *args: object) -> T:
    """Ask as the client does: it blocks."""
    return await to_thread.run_sync(partial(call, *args))


VALUES: dict[str, tuple[str, object]] = {
    "of-bool": ("bool", True),
    "of-string": ("string", "h\u00e9llo \u2713"),
    "of-integer": ("number", 42),
    "of-negative": ("number", -7),
    "of-float": ("number", 0.5),
    "of-whole-float": ("number", 5.0),
    "of-object": ("object", {"a": [1, {"b": None}], "c": "\u2713", "d": 1.5}),
    "of-empty-string": ("string", ""),
    "of-empty-object": ("object", {}),
    "of-zero": ("number", 0),
}


def _evaluated(client: OpenFeatureClient, key: str, value: object) -> Callable[..., Any]:
    if isinstance(value, bool):
        return partial(client.get_boolean_details, key, not value)
    if isinstance(value, str):
        return partial(client.get_string_details, key, "the caller's")
    if isinstance(value, int):
        return partial(client.get_integer_details, key, 1_000_000)
    if isinstance(value, float):
        return partial(client.get_float_details, key, 1e6)
    return partial(client.get_object_details, key, {"the": "caller's"})


@pytest.mark.parametrize("key", VALUES)
async def test_the_off_the_shelf_client_reads_every_kind_of_value(
    operator: Operator, client: OpenFeatureClient, key: str
) -> None:
    kind, value = VALUES[key]
    definition = {
        "type": kind,
        "variants": {"given": value, "none": {"bool": False, "string": "-"}.get(kind, value)},
        "off_variant": "none",
        "default_variant": "given",
    }
    stored = await operator.put(f"{FLAGS}/{key}", definition)

    details = await ask(_evaluated(client, key, value), ANN)

    assert (details.value, type(details.value)) == (value, type(value))
    assert (details.variant, details.reason, details.error_code) == ("given", Reason.DEFAULT, None)
    assert details.flag_metadata == {"version": stored["version"], "epoch": stored["epoch"]}


async def test_the_client_gets_what_is_explained_for_each_user(
    operator: Operator, client: OpenFeatureClient
) -> None:
    rule = {"when": {"plan": "pro"}, "percentage": 50}
    await operator.put(f"{FLAGS}/shared", {"rules": [rule], "rollout": {"percentage": 30}})
    reasons = set()

    for number in range(20):
        user, plan = f"user-{number}", "pro" if number % 2 else "free"
        context = EvaluationContext(user, {"plan": plan})
        details = await ask(client.get_boolean_details, "shared", False, context)
        told = await operator.get(
            f"{FLAGS}/shared/explain", user_id=user, attributes=f'{{"plan":"{plan}"}}'
        )
        assert (details.value, details.variant) == (told["value"], told["variant"])
        assert details.reason == told["reason"].upper()
        reasons.add(details.reason)

    assert reasons == {Reason.SPLIT, Reason.DEFAULT}


async def test_the_client_is_told_why(operator: Operator, client: OpenFeatureClient) -> None:
    listed = {"allow": ["ann"], "rollout": {"percentage": 100}}
    await operator.put(f"{FLAGS}/why", listed)

    async def reason_for(user: str) -> object:
        context = EvaluationContext(user)
        return (await ask(client.get_boolean_details, "why", False, context)).reason

    assert await reason_for("ann") == Reason.TARGETING_MATCH
    assert await reason_for("bob") == Reason.SPLIT
    await operator.http.post(f"{FLAGS}/why/kill")
    assert await reason_for("ann") == Reason.DISABLED
    await operator.http.delete(f"{FLAGS}/why/kill")
    assert await reason_for("bob") == Reason.DEFAULT


def _fails(details: FlagEvaluationDetails[bool], code: ErrorCode, *, message: str = "") -> None:
    assert (details.value, details.reason) == (True, Reason.ERROR)
    assert details.error_code == code
    assert message in (details.error_message or "")


async def test_every_error_reaches_the_client_as_its_own_and_gives_its_default(
    operator: Operator, client: OpenFeatureClient
) -> None:
    await operator.put(f"{FLAGS}/dealt", {"rollout": {"percentage": 50}})
    text = {"type": "string", "variants": {"a": "x", "b": "y"}, "off_variant": "a"}
    await operator.put(f"{FLAGS}/text", text)

    async def asked(key: str, context: EvaluationContext | None) -> FlagEvaluationDetails[bool]:
        return await ask(client.get_boolean_details, key, True, context)

    _fails(await asked("nope", ANN), ErrorCode.FLAG_NOT_FOUND, message="no such flag")
    _fails(await asked("dealt", None), ErrorCode.TARGETING_KEY_MISSING)
    _fails(await asked("dealt", EvaluationContext(None, {"a": 1})), ErrorCode.TARGETING_KEY_MISSING)
    numbered = EvaluationContext("ann", {"targetingKey": 5})
    _fails(await asked("dealt", numbered), ErrorCode.INVALID_CONTEXT, message="targetingKey")
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    _fails(
        await asked("dealt", EvaluationContext("ann", {"deep": deep})),
        ErrorCode.PARSE_ERROR,
        message="nested",
    )
    large = EvaluationContext("ann", {"large": "x" * 300_000})
    _fails(await asked("dealt", large), ErrorCode.GENERAL, message="262144 bytes")
    _fails(await asked("text", ANN), ErrorCode.TYPE_MISMATCH)


async def test_nobody_is_asked_for_a_token_in_development(operator: Operator) -> None:
    async with operator.server.guest() as nobody:
        answer = await nobody.post(f"{BULK}/streaming", json={"context": {}})

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


async def test_a_lone_flag_is_told_with_value_variant_reason_and_versions(
    operator: Operator,
) -> None:
    stored = await operator.put(f"{FLAGS}/lone", {"rollout": {"percentage": 100}})

    answer = await operator.http.post(f"{BULK}/lone", json={"context": {"targetingKey": "ann"}})

    assert answer.json() == {
        "key": "lone",
        "value": True,
        "variant": "on",
        "reason": "SPLIT",
        "metadata": {"version": stored["version"], "epoch": stored["epoch"]},
    }


async def test_all_flags_are_told_and_one_that_cannot_be_does_not_fail_the_others(
    operator: Operator,
) -> None:
    await operator.put(f"{FLAGS}/by-key", {"rollout": {"percentage": 50}})
    await operator.put(f"{FLAGS}/for-all", {"rollout": {"percentage": 100}})
    keys = [flag["key"] for flag in (await operator.get(FLAGS))["flags"]]

    with_key = await operator.http.post(BULK, json={"context": {"targetingKey": "ann"}})
    without = await operator.http.post(BULK)

    assert [flag["key"] for flag in with_key.json()["flags"]] == keys
    assert not any("errorCode" in flag for flag in with_key.json()["flags"])
    assert without.status_code == 200
    told = {flag["key"]: flag for flag in without.json()["flags"]}
    assert told["for-all"]["value"] is True
    assert told["by-key"]["errorCode"] == "TARGETING_KEY_MISSING"
    assert set(told["by-key"]) == {"key", "errorCode", "errorDetails"}


class Follower:
    """A page that asks for all flags again and again, and sends the tag of what it has."""

    def __init__(self, operator: Operator) -> None:
        self._http = operator.http
        self.tag = ""

    async def changed(self, form: str = "{}", **context: object) -> bool:
        """Ask, and return whether the answer was new."""
        answer = await self._http.post(
            BULK,
            json={"context": {"targetingKey": "ann", **context}},
            headers={"If-None-Match": form.format(self.tag)},
        )
        assert answer.status_code in {200, 304}
        assert (answer.content == b"") is (answer.status_code == 304)
        self.tag = answer.headers["etag"]
        return answer.status_code == 200


@pytest.fixture
async def page(operator: Operator) -> AsyncIterator[Follower]:
    """Have a page that knows the flags, one of which asks for the plan."""
    await operator.put(f"{FLAGS}/followed", {"rules": [{"when": {"plan": "pro"}}]})
    page = Follower(operator)
    assert await page.changed()
    yield page
    await operator.http.delete(f"{FLAGS}/followed")


async def test_what_has_not_changed_is_not_sent_again(page: Follower) -> None:
    assert not await page.changed()
    assert not await page.changed("W/{}")
    assert not await page.changed('"other", {} ,"another"')
    assert await page.changed('"other"')
    assert await page.changed("")


async def test_another_context_is_another_answer(page: Follower) -> None:
    assert await page.changed(plan="pro")
    assert not await page.changed(plan="pro")
    assert await page.changed(plan="free")
    assert not await page.changed(plan="none", more="that no rule asks for")


async def test_changed_rules_kills_and_new_flags_are_sent(
    page: Follower, operator: Operator
) -> None:
    await operator.put(f"{FLAGS}/followed", {"rollout": {"percentage": 100}})
    assert await page.changed()
    await operator.http.post(f"{FLAGS}/followed/kill")
    assert await page.changed()
    await operator.put(f"{FLAGS}/followed-too", {})
    assert await page.changed()
    await operator.http.delete(f"{FLAGS}/followed-too")
    assert await page.changed()
    assert not await page.changed()


@pytest.mark.long
async def test_a_kill_on_this_machine_and_a_lost_store_are_sent(
    page: Follower, operator: Operator
) -> None:
    file = operator.server.data_dir / "flags.json"
    kill = operator.server.data_dir / "killed-flags"
    sound = file.read_text(encoding="utf-8")

    kill.write_text("streaming", encoding="utf-8")
    await operator.until_streaming(killedHere=True)
    assert await page.changed()
    kill.unlink()
    await operator.until_streaming(killedHere=False)
    assert await page.changed()
    file.write_text("damaged", encoding="utf-8")
    await operator.until_store(stale=True)
    assert await page.changed()
    file.write_text(sound, encoding="utf-8")
    await operator.until_store(stale=False)
    assert await page.changed()
