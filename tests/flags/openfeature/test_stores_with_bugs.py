"""What no store should do to whoever follows it, and what a fork finds then."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from flags.client import Fallbacks
from flags.model import Ruleset
from flags.openfeature import background as module
from flags.openfeature.background import Background, News
from flags.openfeature.reading import ReadOnlyStore
from flags.store.base import FlagStore
from flags.store.file import FileFlagStore
from tests.flags.openfeature.services import (
    WAIT_S,
    change,
    eventually,
    our_threads,
    percentage,
    put,
)

pytestmark = pytest.mark.long


class _Unspeakable(int):
    """A version that cannot be compared."""

    def __ne__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = int.__hash__


class _Buggy(FileFlagStore):
    """A store that does, when told to, what it must not."""

    fault: Exception | None = None
    is_unspeakable = False
    holds_up: threading.Event | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_holding = threading.Event()

    async def next_version(self, seen: int, *, timeout_s: float) -> int:
        if self.fault:
            raise self.fault
        if self.holds_up:
            self.is_holding.set()
            self.holds_up.wait(WAIT_S)
        version = await super().next_version(seen, timeout_s=timeout_s)
        if not self.is_unspeakable:
            return version
        self.is_unspeakable = False
        return _Unspeakable(version)


def test_a_fault_that_it_does_not_declare_is_a_loss(path: Path) -> None:
    store = _Buggy(path)
    news: SimpleQueue[News] = SimpleQueue()
    with _following(lambda: store, news.put) as background:
        store.fault = ZeroDivisionError("a fault of its own")

        assert _next_turn(news).fault == "ZeroDivisionError: a fault of its own"
        assert _reason(background) == "stale"
        store.fault = None
        assert _next_turn(news).is_stale is False


def test_an_answer_that_breaks_the_client_is_got_over(path: Path) -> None:
    store = _Buggy(path)
    with _following(lambda: store) as background:
        store.is_unspeakable = True
        eventually(lambda: not store.is_unspeakable)
        change(path, percentage("new", 50))

        eventually(lambda: _version(background) == 2)


def test_news_that_nobody_can_be_told_stop_nothing(path: Path) -> None:
    def tell(_news: News) -> None:
        raise ZeroDivisionError

    with _following(lambda: FileFlagStore(path), tell) as background:
        change(path, percentage("new", 50), percentage("new", 0))

        eventually(lambda: _version(background) == 3)


def test_one_that_holds_its_thread_up_is_left_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.05)
    store = _Buggy(path)
    with _following(lambda: store) as background:
        held_up = store.holds_up = threading.Event()
        assert store.is_holding.wait(WAIT_S)
        (left,) = (each for each in our_threads() if each.name == "chatstream-flags")

        background.before_fork()
        store.is_holding.clear()
        background.after_fork_in_parent()

        assert store.is_holding.wait(WAIT_S)
        assert {each.name for each in our_threads() - {left}} >= {"chatstream-flags"}
        background.stop()
        assert background.client is None
        held_up.set()
        eventually(lambda: not our_threads())


def test_a_process_that_is_forked_has_no_thread_of_ours_and_its_child_has(path: Path) -> None:
    with _following(lambda: FileFlagStore(path)) as background:
        module._each(Background.before_fork)
        between = our_threads()
        module._each(Background.after_fork_in_child)
        born = _reason(background)

        assert not between
        assert born == "stale"
        eventually(lambda: _reason(background) == "split")


def test_a_child_of_a_start_that_was_under_way_tells_how_it_is(path: Path) -> None:
    news: SimpleQueue[News] = SimpleQueue()
    background = Background(lambda: FileFlagStore(path), Fallbacks(Ruleset()), news.put)
    background.start()
    try:
        background.before_fork()
        background.after_fork_in_child()

        assert _next_turn(news).is_stale is False
    finally:
        background.stop()


def test_a_fork_in_the_middle_of_another_threads_start_or_end_leaves_it_to_that(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.05)
    with _following(lambda: FileFlagStore(path)) as background, background._lifecycle:
        background.before_fork()
        threads = our_threads()
        background.after_fork_in_parent()

        assert our_threads() == threads


def test_a_fork_after_the_end_begins_nothing(path: Path) -> None:
    with _following(lambda: FileFlagStore(path)) as background:
        pass

    background.before_fork()
    background.after_fork_in_child()
    background.speak()

    assert background.client is None
    assert not our_threads()


async def test_it_reads_the_history_too(path: Path) -> None:
    store = ReadOnlyStore(lambda: FileFlagStore(path), least_version=lambda: 0, tell=lambda: None)

    assert [entry.action for entry in await store.history("flag:new", limit=5)] == ["put"]
    await store.close()
    await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    change(path, put("new", rollout={"percentage": 100}))
    return path


@contextmanager
def _following(
    open_store: Callable[[], FlagStore], tell: Callable[[News], None] = lambda _news: None
) -> Iterator[Background]:
    background = Background(open_store, Fallbacks(Ruleset()), tell)
    background.start()
    try:
        background.wait(WAIT_S)
        background.speak()
        yield background
    finally:
        background.stop()


def _reason(background: Background) -> str:
    assert background.client
    return background.client.decide("new", "ada", default=False).reason.value


def _version(background: Background) -> int:
    assert background.client
    return background.client.ruleset.version


def _next_turn(news: "SimpleQueue[News]") -> News:
    while (one := news.get(timeout=WAIT_S)).is_stale is None:
        pass
    return one
