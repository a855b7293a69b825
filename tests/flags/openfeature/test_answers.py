"""What the SDK's callers get for what they ask."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from time import tzset
from uuid import UUID

import pytest
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from openfeature.provider.in_memory_provider import InMemoryProvider

from flags.bucketing import includes
from flags.openfeature import ChatstreamFlagProvider
from flags.openfeature.answers import as_float, as_integer, asked
from tests.flags.openfeature.services import Change, asking, change, put

ADA = EvaluationContext("ada")


def _always(key: str, kind: str, value: object) -> Change:
    serve = {"percentage": 100, "serve": "only"}
    return put(key, type=kind, variants={"only": value}, off_variant="only", rollout=serve)


FLAGS = (
    put("on", rollout={"percentage": 100}),
    put("off"),
    put("disabled", enabled=False, rollout={"percentage": 100}),
    put("half", rollout={"percentage": 50}),
    put("listed", allow=["ada"]),
    put(
        "colour",
        type="string",
        variants={"red": "#f00", "blue": "#00f"},
        off_variant="red",
        rollout={"percentage": 100, "serve": "blue"},
    ),
    _always("three", "number", 3),
    _always("half-number", "number", 2.5),
    _always("whole-float", "number", 4.0),
    _always("limits", "object", {"a": [1, {"b": 2}]}),
    put(
        "targeted",
        rules=[
            {"when": {"since": {"$lt": "2026-06-01T00:00:00.000Z"}}},
            {"when": {"team": {"$in": ["blue"]}}},
        ],
    ),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenFeatureClient]:
    path = tmp_path_factory.mktemp("flags") / "flags.json"
    change(path, *FLAGS)
    with asking(ChatstreamFlagProvider(file=path)) as client:
        yield client


def test_a_boolean_comes_with_variant_reason_version_and_epoch(client: OpenFeatureClient) -> None:
    details = client.get_boolean_details("on", False, ADA)

    assert details.value is True
    assert (details.variant, details.reason) == ("on", Reason.SPLIT)
    assert details.flag_metadata == {"version": 1, "epoch": 1}
    assert details.error_code is None


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("off", False, Reason.DEFAULT),
        ("disabled", False, Reason.DISABLED),
        ("listed", True, Reason.TARGETING_MATCH),
    ],
)
def test_reasons_are_the_sdks(
    client: OpenFeatureClient, key: str, value: bool, reason: Reason
) -> None:
    details = client.get_boolean_details(key, not value, ADA)

    assert (details.value, details.reason) == (value, reason)
    assert isinstance(details.reason, Reason)


def test_the_targeting_key_is_what_is_bucketed(client: OpenFeatureClient) -> None:
    for number in range(200):
        unit = f"user-{number}"

        value = client.get_boolean_value("half", False, EvaluationContext(unit))

        assert value is includes(50, "half", "half", unit)


def test_each_type_is_given_in_the_type_that_is_asked_for(client: OpenFeatureClient) -> None:
    as_float_too = client.get_float_value("three", 0.0, ADA)

    assert client.get_string_value("colour", "", ADA) == "#00f"
    assert client.get_integer_value("three", 0, ADA) == 3
    assert (as_float_too, type(as_float_too)) == (3.0, float)
    assert client.get_float_value("half-number", 0.0, ADA) == 2.5
    assert client.get_integer_value("whole-float", 0, ADA) == 4
    assert client.get_object_value("limits", {}, ADA) == {"a": [1, {"b": 2}]}


async def test_the_async_variants_answer_the_same(client: OpenFeatureClient) -> None:
    assert await client.get_boolean_value_async("on", False, ADA) is True
    assert await client.get_string_value_async("colour", "", ADA) == "#00f"
    assert await client.get_integer_value_async("three", 0, ADA) == 3
    assert await client.get_float_value_async("three", 0.0, ADA) == 3.0
    assert await client.get_object_value_async("limits", {}, ADA) == {"a": [1, {"b": 2}]}
    assert await client.get_integer_value_async("half-number", 7, ADA) == 7


def test_an_object_may_be_changed_by_whoever_was_given_it(client: OpenFeatureClient) -> None:
    given = client.get_object_value("limits", {}, ADA)
    assert isinstance(given, dict)

    given["a"][1]["b"] = "changed"

    assert client.get_object_value("limits", {}, ADA) == {"a": [1, {"b": 2}]}


def test_a_value_of_another_type_is_a_mismatch_and_gives_the_default(
    client: OpenFeatureClient,
) -> None:
    wrong = [
        client.get_integer_details("on", 7, ADA),
        client.get_float_details("on", 7.5, ADA),
        client.get_string_details("three", "default", ADA),
        client.get_integer_details("half-number", 7, ADA),
        client.get_boolean_details("three", True, ADA),
        client.get_object_details("colour", {"default": True}, ADA),
        client.get_string_details("limits", "default", ADA),
    ]

    assert {details.error_code for details in wrong} == {ErrorCode.TYPE_MISMATCH}
    assert {details.reason for details in wrong} == {Reason.ERROR}
    defaults = [7, 7.5, "default", 7, True, {"default": True}, "default"]
    assert [details.value for details in wrong] == defaults


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 0.1])
def test_no_integer_is_made_of_what_is_none(number: float) -> None:
    assert as_integer(number) is None


def test_no_float_is_made_of_an_integer_that_is_too_large_for_one() -> None:
    assert as_float(10**400) is None


def test_an_unknown_flag_is_answered_as_the_sdks_own_provider_does(
    client: OpenFeatureClient,
) -> None:
    details = client.get_boolean_details("nobody-made-it", True, ADA)
    theirs = InMemoryProvider({}).resolve_boolean_details("nobody-made-it", True, ADA)

    assert (details.value, details.reason, details.error_code) == (
        theirs.value,
        theirs.reason,
        theirs.error_code,
    )


@pytest.mark.parametrize("context", [None, EvaluationContext(), EvaluationContext("")])
def test_a_share_cannot_be_dealt_to_nobody(
    client: OpenFeatureClient, context: EvaluationContext | None
) -> None:
    details = client.get_boolean_details("half", True, context)

    assert (details.value, details.error_code) == (True, ErrorCode.TARGETING_KEY_MISSING)
    assert client.get_boolean_value("on", False, context) is True


def test_instants_are_compared_as_text_in_utc(client: OpenFeatureClient) -> None:
    before = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
    after = datetime(2026, 6, 1, 0, 30, tzinfo=timezone(timedelta(minutes=20)))

    def is_in(since: datetime) -> bool:
        return client.get_boolean_value("targeted", False, EvaluationContext("a", {"since": since}))

    assert is_in(before)
    assert is_in(before.replace(tzinfo=None))
    assert not is_in(after)


def test_an_instant_without_a_zone_is_in_utc_wherever_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    tzset()

    _, attributes = asked(EvaluationContext("ada", {"at": datetime(2026, 1, 2, 3)}))  # noqa: DTZ001

    monkeypatch.undo()
    tzset()
    assert attributes == {"at": "2026-01-02T03:00:00.000Z"}


def test_attributes_become_json_values() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    given = {
        "at": at,
        "first": datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        "day": date(2026, 1, 2),
        "id": UUID(int=1),
        "nested": {"ats": (at,), "odd": object(), "more": [object(), None]},
        "odd": object(),
        "plain": 1,
    }

    _, attributes = asked(EvaluationContext("ada", given))  # type: ignore[arg-type]  # as callers do

    assert attributes == {
        "at": "2026-01-02T03:04:05.678Z",
        "first": "0001-01-01T00:00:00.000+01:00",
        "day": "2026-01-02",
        "id": "00000000-0000-0000-0000-000000000001",
        "nested": {"ats": ["2026-01-02T03:04:05.678Z"], "more": [None]},
        "plain": 1,
    }


def test_plain_attributes_are_passed_on_uncopied() -> None:
    attributes = {"team": "blue", "age": 3, "ok": True, "none": None, "share": 0.5}

    assert asked(EvaluationContext("ada", attributes))[1] is attributes  # type: ignore[arg-type]


def test_no_context_is_nobody_of_whom_nothing_is_known() -> None:
    assert asked(None) == ("", {})


def test_a_targeting_key_that_is_no_string_is_taken_as_its_text() -> None:
    assert asked(EvaluationContext(5))[0] == "5"  # type: ignore[arg-type]  # as callers do


def test_nothing_that_is_asked_makes_it_raise(tmp_path: Path) -> None:
    endless: list[object] = []
    endless.append(endless)
    change(tmp_path / "flags.json", *FLAGS)
    provider = ChatstreamFlagProvider(file=tmp_path / "flags.json")
    contexts = [
        EvaluationContext("a", {"team": endless}),  # type: ignore[dict-item]  # as callers do
        EvaluationContext("a", {"team": {1: 2}}),  # type: ignore[dict-item]
        EvaluationContext("a", None),  # type: ignore[arg-type]
        EvaluationContext("\ud800", {"\ud800": "\ud800"}),
        "no context",
    ]

    with asking(provider):
        for context in contexts:
            for key in ("targeted", "half", ["no", "key"], None, "\ud800"):
                details = provider.resolve_boolean_details(key, True, context)  # type: ignore[arg-type]

                assert isinstance(details.value, bool)
