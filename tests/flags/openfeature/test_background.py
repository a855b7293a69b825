"""How a provider begins, keeps up, loses its store, and ends."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus

from flags.errors import FlagStoreError
from flags.model import Flag, Ruleset, Segment
from flags.openfeature import ChatstreamFlagProvider
from flags.openfeature.background import changed_flags
from tests.flags.openfeature.services import (
    REQUEST,
    WAIT_S,
    asking,
    change,
    descriptors,
    events,
    eventually,
    our_threads,
    percentage,
    put,
)
from tests.support.commits import a_flag
from tests.support.redis import RedisServer

pytestmark = pytest.mark.long

ADA = EvaluationContext("ada")
STALE, READY = ProviderEvent.PROVIDER_STALE, ProviderEvent.PROVIDER_READY
CHANGED = ProviderEvent.PROVIDER_CONFIGURATION_CHANGED


def test_before_the_start_and_after_the_end_it_is_not_ready(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    provider = ChatstreamFlagProvider(redis_url=redis.url)

    before = provider.resolve_boolean_details("new", False, ADA)
    provider.initialize(ADA)
    between = provider.resolve_boolean_details("new", False, ADA)
    provider.shutdown()
    after = provider.resolve_boolean_details("new", True, ADA)

    assert before.error_code is ErrorCode.PROVIDER_NOT_READY
    assert (between.value, between.error_code) == (True, None)
    assert (after.value, after.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)


def test_the_first_answer_after_the_start_is_the_stores(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))

    with asking(ChatstreamFlagProvider(redis_url=redis.url)) as client:
        details = client.get_boolean_details("new", False, ADA)

        assert (details.value, details.reason) == (True, Reason.SPLIT)
        assert client.get_provider_status() is ProviderStatus.READY


def test_a_change_is_served_and_told(redis: RedisServer) -> None:
    change(redis.url, put("new"), put("other"))
    with asking(ChatstreamFlagProvider(redis_url=redis.url)) as client:
        heard = events(client, CHANGED)

        change(redis.url, percentage("new", 100))

        eventually(lambda: client.get_boolean_value("new", False, ADA))
        _, details = heard.get(timeout=WAIT_S)
        assert details.flags_changed == ["new"]
        assert details.provider_name == "chatstream-flags"


def test_a_file_that_another_process_changes_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    change(path, put("new"))
    with asking(ChatstreamFlagProvider(file=path)) as client:
        assert client.get_boolean_value("new", True, ADA) is False

        change(path, percentage("new", 100))

        eventually(lambda: client.get_boolean_value("new", False, ADA))


def test_a_lost_store_changes_no_answer_but_the_reason(redis: RedisServer, tmp_path: Path) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    provider = ChatstreamFlagProvider(redis_url=redis.url, snapshot_path=tmp_path / "last.json")
    with asking(provider) as client:
        heard = events(client, STALE)

        redis.kill()

        assert heard.get(timeout=WAIT_S)[1].message
        details = client.get_boolean_details("new", False, ADA)
        assert (details.value, details.reason) == (True, Reason.STALE)
        assert client.get_provider_status() is ProviderStatus.STALE

        recovered = events(client, READY)
        redis.restart()
        change(redis.url, put("new", rollout={"percentage": 100}))

        recovered.get(timeout=WAIT_S)
        details = client.get_boolean_details("new", False, ADA)
        assert (details.value, details.reason) == (True, Reason.SPLIT)
        assert client.get_provider_status() is ProviderStatus.READY


def test_a_store_that_lost_its_flags_is_neither_believed_nor_written(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    with asking(ChatstreamFlagProvider(redis_url=redis.url)) as client:
        heard = events(client, STALE)

        redis.kill()
        redis.restart()

        heard.get(timeout=WAIT_S)
        eventually(lambda: _answers_of(redis) > 20)
        details = client.get_boolean_details("new", False, ADA)
        assert (details.value, details.reason) == (True, Reason.STALE)
        with redis.client() as beside:
            assert beside.dbsize() == 0


def test_the_last_flag_may_be_deleted(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    with asking(ChatstreamFlagProvider(redis_url=redis.url)) as client:
        assert client.get_boolean_value("new", False, ADA) is True

        change(redis.url, lambda editor: editor.delete_flag("new", REQUEST))

        eventually(lambda: client.get_boolean_details("new", False, ADA).error_code)
        details = client.get_boolean_details("new", False, ADA)
        assert details.error_code is ErrorCode.FLAG_NOT_FOUND


def test_without_its_store_it_starts_from_the_snapshot(redis: RedisServer, tmp_path: Path) -> None:
    kept = tmp_path / "last.json"
    change(redis.url, put("new", rollout={"percentage": 100}))
    with asking(ChatstreamFlagProvider(redis_url=redis.url, snapshot_path=kept)):
        eventually(kept.exists)
    redis.kill()

    again = ChatstreamFlagProvider(redis_url=redis.url, snapshot_path=kept)
    with asking(again) as client:
        heard = events(client, STALE)
        details = client.get_boolean_details("new", False, ADA)

        assert (details.value, details.reason) == (True, Reason.STALE)
        heard.get(timeout=WAIT_S)
        assert client.get_provider_status() is ProviderStatus.STALE


def test_without_store_and_snapshot_it_starts_from_the_bootstrap(tmp_path: Path) -> None:
    bootstrap = tmp_path / "flags.json"
    bootstrap.write_text(json.dumps({"flags": {"new": {"rollout": {"percentage": 100}}}}))
    provider = ChatstreamFlagProvider(redis_url=_nobodys_url(), bootstrap_path=bootstrap)

    with asking(provider) as client:
        details = client.get_boolean_details("new", False, ADA)

        assert (details.value, details.reason) == (True, Reason.STALE)


def test_the_bootstrap_is_not_written_into_an_empty_store(
    redis: RedisServer, tmp_path: Path
) -> None:
    bootstrap = tmp_path / "flags.json"
    bootstrap.write_text(json.dumps({"flags": {"new": {"rollout": {"percentage": 100}}}}))
    provider = ChatstreamFlagProvider(redis_url=redis.url, bootstrap_path=bootstrap)

    with asking(provider) as client:
        details = client.get_boolean_details("new", False, ADA)

        assert (details.value, details.reason) == (True, Reason.STALE)
        with redis.client() as beside:
            assert beside.dbsize() == 0


def test_a_bootstrap_that_is_needed_and_broken_is_fatal(tmp_path: Path) -> None:
    bootstrap = tmp_path / "flags.json"
    bootstrap.write_text('{"flags": {"new": {"percentage": 100}}}')
    provider = ChatstreamFlagProvider(redis_url=_nobodys_url(), bootstrap_path=bootstrap)

    with pytest.raises(ProviderFatalError) as raised, asking(provider):
        pass

    assert "flags.new.percentage" in str(raised.value.error_message)
    eventually(lambda: not our_threads())
    bootstrap.write_text('{"flags": {"new": {"rollout": {"percentage": 100}}}}')
    with asking(provider) as client:
        assert client.get_boolean_value("new", False, ADA) is True


def test_a_start_without_the_store_is_told_as_stale_once_and_after_ready(tmp_path: Path) -> None:
    bootstrap = tmp_path / "flags.json"
    bootstrap.write_text('{"flags": {"new": {"rollout": {"percentage": 100}}}}')
    told: list[ProviderEvent] = []
    third = threading.Event()
    api.add_handler(STALE, lambda _: told.append(STALE))
    api.add_handler(READY, lambda _: told.append(READY))
    provider = ChatstreamFlagProvider(redis_url=_nobodys_url(), bootstrap_path=bootstrap)

    with asking(provider) as client:
        eventually(lambda: client.get_provider_status() is ProviderStatus.STALE)
        third.wait(1.0)  # some more tries: nothing is to come of them

    assert told.count(STALE) == 1


def test_with_nothing_known_the_start_is_bounded_and_says_so() -> None:
    provider = ChatstreamFlagProvider(redis_url=_nobodys_url(), ready_timeout_s=0.1)

    with asking(provider) as client:
        details = client.get_boolean_details("new", True, ADA)

        assert (details.value, details.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)


def test_a_start_waits_for_a_store_that_comes_up(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    redis.pause()
    provider = ChatstreamFlagProvider(redis_url=redis.url, ready_timeout_s=WAIT_S)
    threading.Timer(0.3, redis.resume).start()

    with asking(provider) as client:
        assert client.get_boolean_value("new", False, ADA) is True


def test_a_store_that_hangs_holds_up_no_end(redis: RedisServer) -> None:
    change(redis.url, put("new"))
    provider = ChatstreamFlagProvider(redis_url=redis.url)
    with asking(provider) as client:
        heard = events(client, STALE)
        redis.pause()
        heard.get(timeout=WAIT_S)

        provider.shutdown()

        assert not our_threads()
        redis.resume()


def test_starting_and_ending_twice_is_once(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    provider = ChatstreamFlagProvider(redis_url=redis.url)

    provider.shutdown()
    provider.initialize(ADA)
    provider.initialize(ADA)
    followers = {thread for thread in our_threads() if thread.name == "chatstream-flags"}
    provider.shutdown()
    provider.shutdown()
    provider.initialize(ADA)
    again = provider.resolve_boolean_details("new", False, ADA)
    provider.shutdown()

    assert len(followers) == 1
    assert again.value is True
    eventually(lambda: not our_threads())


def test_a_hundred_starts_and_ends_leave_nothing_behind(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    threads, opened = threading.active_count(), descriptors()

    for _ in range(100):
        provider = ChatstreamFlagProvider(redis_url=redis.url)
        provider.initialize(ADA)
        assert provider.resolve_boolean_details("new", False, ADA).value is True
        provider.shutdown()

    eventually(lambda: threading.active_count() <= threads)
    assert descriptors() <= opened
    with redis.client() as beside:
        eventually(lambda: len(beside.client_list()) == 1)


def test_an_end_at_any_moment_of_the_start_leaves_nothing_behind(redis: RedisServer) -> None:
    change(redis.url, put("new"))
    opened = descriptors()

    for number in range(60):
        provider = ChatstreamFlagProvider(redis_url=redis.url, ready_timeout_s=number / 20_000)
        provider.initialize(ADA)
        provider.shutdown()

    eventually(lambda: not our_threads())
    assert descriptors() <= opened


def test_a_service_that_never_says_goodbye_ends_all_the_same(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    script = (
        "import sys; from openfeature import api\n"
        "from flags.openfeature import ChatstreamFlagProvider\n"
        "api.set_provider_and_wait(ChatstreamFlagProvider(redis_url=sys.argv[1]))\n"
        "print(api.get_client().get_boolean_value('new', False))\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, redis.url], capture_output=True, timeout=30, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.endswith(b"True\n")


def test_many_threads_ask_while_rules_change(redis: RedisServer) -> None:
    change(redis.url, put("new"))
    provider = ChatstreamFlagProvider(redis_url=redis.url)
    is_over = threading.Event()
    counts: list[int] = []
    wrong: list[object] = []

    def ask() -> None:
        count = 0
        while not (is_over.is_set() or wrong):
            details = provider.resolve_boolean_details("new", False, ADA)
            count += 1
            # One decision: value and variant are never of two different rules.
            if details.error_code or details.value is not (details.variant == "on"):
                wrong.append(details)
        counts.append(count)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    with asking(provider):
        try:
            for asker in askers:
                asker.start()
            change(redis.url, *(percentage("new", 100 * (number % 2)) for number in range(15)))
        finally:
            is_over.set()
            for asker in askers:
                asker.join(WAIT_S)

    assert not wrong
    assert len(counts) == len(askers)
    assert min(counts) > 100


def test_events_are_told_only_of_what_is_new(redis: RedisServer) -> None:
    change(redis.url, put("new"))
    with asking(ChatstreamFlagProvider(redis_url=redis.url)) as client:
        heard = events(client, CHANGED, STALE)

        eventually(lambda: _answers_of(redis) > 12)  # the first rules, and polls since

        with pytest.raises(Empty):
            heard.get_nowait()


def test_flags_that_depend_on_what_changed_have_changed() -> None:
    segment = Segment("staff", frozenset({"ada"}))
    rule = {"when": {"$segment": "staff"}}
    first = a_flag("first")
    second = a_flag("second", prerequisites=[{"flag": "first", "variants": ["on"]}])
    third = a_flag("third", prerequisites=[{"flag": "second", "variants": ["on"]}])
    with_rule, other = a_flag("with-rule", rules=[rule]), a_flag("other")
    before = _ruleset(first, second, third, with_rule, other)
    of_segment = Ruleset(2, before.flags, {"staff": segment})
    of_first = _ruleset(a_flag("first", 5), second, third, with_rule, other)
    gone = _ruleset(first, second, third)

    assert changed_flags(before, of_segment) == ("with-rule",)
    assert changed_flags(before, of_first) == ("first", "second", "third")
    assert changed_flags(before, gone) == ("other", "with-rule")
    assert changed_flags(before, _ruleset(*before.flags.values())) == ()


@pytest.mark.parametrize(
    "where", [{}, {"redis_url": "redis://127.0.0.1", "file": Path("flags.json")}]
)
def test_one_store_must_be_named(where: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="one of them"):
        ChatstreamFlagProvider(**where)  # type: ignore[arg-type]  # it is what is tried


def test_a_wrong_address_fails_at_once() -> None:
    with pytest.raises(FlagStoreError):
        ChatstreamFlagProvider(redis_url="http://127.0.0.1")


def test_replacing_a_provider_ends_the_old_one(redis: RedisServer) -> None:
    change(redis.url, put("new", rollout={"percentage": 100}))
    with asking(ChatstreamFlagProvider(redis_url=redis.url)) as client:
        old = our_threads()

        api.set_provider_and_wait(ChatstreamFlagProvider(redis_url=redis.url))

        eventually(lambda: not old & our_threads())
        assert client.get_boolean_value("new", False, ADA) is True


def _ruleset(*flags: Flag) -> Ruleset:
    return Ruleset(1, {flag.key: flag for flag in flags})


def _nobodys_url() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{listener.getsockname()[1]}"


def _answers_of(redis: RedisServer) -> int:
    with redis.client() as beside:
        return int(beside.info("stats")["total_commands_processed"])
