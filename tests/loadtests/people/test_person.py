"""People read real HTTP, come back where they were cut, and notice what breaks a promise."""

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from loadtests.people import profiles
from loadtests.people.link import Call, Link, LinkError
from loadtests.people.person import Person
from loadtests.people.profiles import Answers, Habits
from loadtests.people.tally import Second, Tally
from tests.loadtests.people.served import FAULTS, TOKENS, Served, serving

_ANSWERS = Answers(tokens=TOKENS, tokens_per_s=0, ttft_s=0, seed=1)
_PLAIN: dict[str, Any] = dict.fromkeys(
    ("signed_in", "event_source", "slow", "speech", "cancel", "cut", "leave", "look"), 0.0
) | {"waits_for_204": 0.0, "away_s": (0.0, 0.01), "turns_per_conversation": (1, 1)}


class Notes(Tally):
    """A tally that keeps calls and turns as well."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: 0.0)
        self.calls: list[Call] = []
        self.turns: list[tuple[str, str]] = []

    def turned(self, kind: str, took_s: float, code: str) -> None:
        assert took_s > 0
        self.turns.append((kind, code))


def habits(**changes: Any) -> Habits:
    """Return the habits of somebody who does nothing that is not asked for here."""
    return replace(profiles.profile("smoke").people, **(_PLAIN | changes))


def sleep(seconds: float) -> None:
    """Wait, as gevent would have others go on."""
    threading.Event().wait(seconds)


def converse(
    served: Served, *, turns: int = 3, answers: Answers | None = _ANSWERS, **changes: Any
) -> tuple[Notes, Second]:
    """Have somebody ask so many times; return what they noted."""
    notes = Notes()
    link = Link(served.url, notes.calls.append, silence_s=5)
    person = Person(
        "somebody",
        link,
        habits(**changes),
        notes=notes,
        sleep=sleep,
        answers=answers,
    )
    try:
        person.arrive()
        for _ in range(turns):
            person.have_turn()
    finally:
        person.leave()
    return notes, notes.whole()


@pytest.mark.parametrize("event_source", [0.0, 1.0])
@pytest.mark.parametrize("answers", [_ANSWERS, None], ids=["known", "unknown"])
def test_somebody_reads_every_token_once(event_source: float, answers: Answers | None) -> None:
    with serving() as served:
        notes, seen = converse(served, event_source=event_source, answers=answers, look=1.0)

    assert seen.errors == {}
    assert notes.turns == [("streamed", "")] * 3
    assert seen.counts["tokens"] == 3 * TOKENS
    assert seen.counts["turns_completed"] == 3
    assert seen.times["ttft"].total() == 3
    assert seen.times["gap"].total() == 3 * (TOKENS - 1)


def test_somebody_sends_the_cookie_that_they_were_given() -> None:
    with serving() as served:
        converse(served, turns=1)

    first, second = served.requests[:2]
    assert "Cookie" not in first[2]
    assert second[2]["Cookie"] == "chat_guest=somebody"


@pytest.mark.parametrize("event_source", [0.0, 1.0])
def test_who_is_cut_comes_back_with_the_cursor_and_misses_nothing(event_source: float) -> None:
    with serving() as served:
        notes, seen = converse(served, turns=12, event_source=event_source, cut=1.0)

    cursors = [
        headers.get("Last-Event-ID") for _, path, headers in served.requests if "events" in path
    ]
    assert seen.errors == {}
    assert [code for _, code in notes.turns] == [""] * 12
    assert seen.counts["cuts"] == seen.counts["reconnects"] == 12
    assert seen.times["resume"].total() == 12
    assert sum(cursor is not None for cursor in cursors) == 12


def test_who_is_told_bye_and_who_is_dropped_reads_on() -> None:
    for fault, noted in (("leaves", "byes"), ("breaks", "breaks")):
        with serving(fault) as served:
            _, seen = converse(served, turns=2)

        assert seen.errors == {}, fault
        assert seen.counts[noted] == 2 * 3, fault
        assert seen.counts["turns_completed"] == 2, fault


def test_who_is_told_that_the_token_expired_renews_it_and_reads_on() -> None:
    with serving("lapses") as served:
        _, seen = converse(served, turns=1)

    renewals = [path for _, path, _ in served.requests if path == "/api/v1/auth/refresh"]
    assert seen.errors == {}
    assert (len(renewals), seen.counts["byes"], seen.counts["turns_completed"]) == (1, 1, 1)


def test_an_event_source_that_reads_on_behind_the_end_is_told_204() -> None:
    for fault, errors in (("none", {}), ("never-ends", {"no_204": 2})):
        with serving(fault) as served:
            _, seen = converse(served, turns=2, waits_for_204=1.0)

        assert seen.errors == errors, fault


def test_slow_readers_get_all_of_it_and_no_gap_is_taken_of_them() -> None:
    with serving() as served:
        _, seen = converse(served, turns=1, slow=1.0, slow_bytes_per_s=20_000)

    assert seen.errors == {}
    assert seen.counts["tokens"] == TOKENS
    assert "gap" not in seen.times


def test_who_leaves_is_no_error() -> None:
    with serving() as served:
        notes, seen = converse(served, turns=2, leave=1.0)

    assert seen.errors == {}
    assert [kind for kind, _ in notes.turns] == ["streamed"] * 2
    assert seen.counts["turns_left"] == seen.counts["leaves"] == 2


_EXPECTED: dict[str, dict[str, float]] = {
    "loses": {"lost_tokens": 4},
    "loses-unseen": {"lost_tokens": 4},
    "doubles": {"doubled_tokens": 4},
    "doubles-unseen": {"doubled_tokens": 4},
    "repeats": {"doubled_tokens": 4},
    "skips": {"lost_tokens": 4},
    "other-end": {"lost_tokens": 0},
    "other-state": {"broken_promises": 4},
    "whole-short": {"lost_tokens": 4},
}


@pytest.mark.parametrize("fault", _EXPECTED)
def test_a_server_that_breaks_a_promise_is_found(fault: str) -> None:
    with serving(fault) as served:
        notes, seen = converse(served, turns=4, cut=1.0, look=1.0)

    counts = {name: seen.counts[name] for name in _EXPECTED[fault]}
    assert counts == _EXPECTED[fault]
    assert seen.counts["broken_promises"] >= 4
    assert seen.counts["bad_turns"] == 4
    assert all(code for _, code in notes.turns)


@pytest.mark.parametrize("fault", ["loses", "doubles", "repeats", "skips", "other-end"])
def test_it_is_found_too_where_the_answer_is_not_known(fault: str) -> None:
    with serving(fault) as served:
        _, seen = converse(served, turns=4, cut=1.0, answers=None)

    assert seen.counts["broken_promises"] >= 4


def test_failures_are_counted_by_the_code_that_the_server_gives() -> None:
    for fault, code in (("fails", "upstream_timeout"), ("refuses", "server_busy")):
        with serving(fault) as served:
            notes, seen = converse(served, turns=2)

        assert seen.errors == Counter({code: 2}), fault
        assert [found for _, found in notes.turns] == [code] * 2, fault
        assert seen.counts["broken_promises"] == 0, fault


def test_tokens_that_have_expired_are_renewed_and_the_call_is_made_again() -> None:
    with serving("expires") as served:
        notes, seen = converse(served, turns=3, look=1.0)

    assert seen.errors == {}
    renewals = [call.name for call in notes.calls if call.name.endswith("/refresh")]
    assert len(renewals) == 3


def test_a_kept_connection_that_was_closed_meanwhile_is_no_error() -> None:
    with serving("drops") as served:
        _, seen = converse(served, turns=3, look=1.0)

    assert seen.errors == {}
    assert seen.counts["turns_completed"] == 3


def test_whole_answers_are_read_and_timed_as_such() -> None:
    with serving("whole") as served:
        notes, seen = converse(served, turns=2)

    assert seen.errors == {}
    assert notes.turns == [("whole", "")] * 2
    assert seen.times["whole"].total() == 2
    assert "ttft" not in seen.times


def test_where_nobody_listens_it_is_the_network_that_is_named() -> None:
    with serving() as served:
        url = served.url
    calls: list[Call] = []

    with pytest.raises(LinkError, match="connection_refused"):
        Link(url, calls.append).call("GET", "/")

    assert [call.code for call in calls] == ["connection_refused"]


def test_every_fault_of_the_server_is_tried() -> None:
    tried = {"none", "leaves", "breaks", "never-ends", "fails", "refuses", "whole", "expires"}
    assert tried | {"drops", "lapses", *_EXPECTED} == set(FAULTS)
