"""The checker itself: it accepts every good history, and each invariant catches its mutants."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.chaos.factories import changed, good_history, places
from tests.chaos.invariants import INVARIANTS, judge
from tests.chaos.records import (
    LOST,
    TERMINAL,
    Operation,
    Recorder,
    digest_of,
    read_operations,
    write_operations,
)
from tests.chaos.view import BREAKS_OFF, Bounds, View

History = list[Operation]
Mutant = Callable[[History, random.Random], History]
GOOD = 300
SPOILED = 12
"""Seeds for each mutant."""


def _is_delta(each: Operation) -> bool:
    return each.op == "event" and each.name == "text.delta"


def _is_end(each: Operation) -> bool:
    return each.op == "event" and each.name in TERMINAL


def _is(op: str) -> Callable[[Operation], bool]:
    return lambda each: each.op == op


def _one(history: History, rng: random.Random, claim: Callable[[Operation], bool]) -> int:
    return rng.choice(places(history, claim))


def _followed_delta(history: History, rng: random.Random) -> int:
    """Return the place of a delta after which the same reader gets another event at once."""
    found = [
        place
        for place in places(history, _is_delta)
        if (after := _later(history, place)[:1])
        and _is_delta(after[0])
        and after[0].epoch == history[place].epoch
    ]
    return rng.choice(found)


def drop_an_event(history: History, rng: random.Random) -> History:
    place = _followed_delta(history, rng)
    return history[:place] + history[place + 1 :]


def repeat_an_event(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is_delta)
    return [*history[: place + 1], history[place], *history[place + 1 :]]


def swap_two(history: History, rng: random.Random) -> History:
    place = _followed_delta(history, rng)
    mine = history[place]
    other = next(n for n in range(place + 1, len(history)) if history[n].process == mine.process)
    spoiled = list(history)
    spoiled[place], spoiled[other] = history[other], mine
    return spoiled


def go_back_an_epoch(history: History, rng: random.Random) -> History:
    place = _followed_delta(history, rng)
    return changed(history, place, epoch=history[place].epoch + 1)


def open_elsewhere(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is("open"))
    return changed(history, place, seq=history[place].seq + 1)


def change_a_delta(history: History, rng: random.Random) -> History:
    seen: dict[tuple[str, int, int], list[int]] = {}
    for place in places(history, _is_delta):
        each = history[place]
        seen.setdefault((each.turn, each.epoch, each.seq), []).append(place)
    place = rng.choice(rng.choice([many for many in seen.values() if len(many) > 1]))
    return changed(history, place, digest=digest_of("text.delta", '{"text":"other"}'))


def show_other_text(history: History, rng: random.Random) -> History:
    lasting = [
        place
        for place in places(history, _is_delta)
        if _status(history, history[place].turn) != "cancelled"
        and not any(e.name == "turn.reset" for e in _later(history, place))
    ]
    place = rng.choice(lasting)
    return changed(history, place, text=history[place].text + "?")


def reset_to_other_text(history: History, rng: random.Random) -> History:
    # The text of a cancelled turn's end replaces what is shown.
    place = _one(history, rng, lambda e: _is_end(e) and e.name != "turn.cancelled")
    end = history[place]
    reset = msgspec.structs.replace(end, name="turn.reset", seq=end.seq - 1, text=end.text + "?")
    return [*history[:place], reset, *history[place:]]


def store_other_text(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is("turn"))
    return changed(history, place, text=history[place].text + "?")


def tell_other_text_at_the_end(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is_end)
    return changed(history, place, text=history[place].text + "?")


def end_otherwise(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is_end)
    other = rng.choice(sorted(TERMINAL - {history[place].name}))
    return changed(history, place, name=other)


def end_twice(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is_end)
    second = msgspec.structs.replace(history[place], seq=history[place].seq + 1)
    return [*history[: place + 1], second, *history[place + 1 :]]


def go_on_after_the_end(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is_end)
    end = history[place]
    late = msgspec.structs.replace(end, name="text.delta", seq=end.seq + 1, text="more")
    return [*history[: place + 1], late, *history[place + 1 :]]


def never_end(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is_end)
    return history[:place] + history[place + 1 :]


def leave_it_running(history: History, rng: random.Random) -> History:
    return changed(history, _one(history, rng, _is("turn")), name="running")


def lose_an_acknowledged_turn(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is("turn"))
    return history[:place] + history[place + 1 :]


def lose_an_acknowledged_message(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is("message"))
    return history[:place] + history[place + 1 :]


def make_two_turns_of_one_key(history: History, rng: random.Random) -> History:
    place = _one(history, rng, lambda each: each.op == "post" and each.result == "ok")
    post = history[place]
    record = history[_stored(history, post.turn)]
    double = msgspec.structs.replace(post, turn="turn_double")
    return [*history, double, msgspec.structs.replace(record, turn="turn_double")]


def store_a_message_twice(history: History, rng: random.Random) -> History:
    return [*history, history[_one(history, rng, _is("message"))]]


def store_what_was_refused(history: History, rng: random.Random) -> History:
    del rng
    refused = Operation(t_mono=5, process="c", op="post", result="fail", key="no", status=422)
    return [*history, refused, Operation(t_mono=900, process="store", op="message", key="no")]


def ask_once_more(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is("calls"))
    breaking = {each.turn for each in history if each.name.startswith(BREAKS_OFF)}
    allowed = sum(
        each.epoch * (2 if each.turn in breaking else 1) for each in history if each.op == "turn"
    )
    return changed(history, place, seq=allowed + 1)


def write_beside_the_holder(history: History, rng: random.Random) -> History:
    place = _one(history, rng, lambda e: e.op == "lease" and bool(e.turn))
    return [*history, msgspec.structs.replace(history[place], worker="a paused worker")]


def write_after_a_takeover(history: History, rng: random.Random) -> History:
    leases = [e for e in history if e.op == "lease" and e.turn]
    late = rng.choice([e for e in leases if any(_follows(history, e, f) for f in leases)])
    return [*history, late]


def _follows(history: History, lease: Operation, later: Operation) -> bool:
    """Whether a later epoch began after a lease, and Redis still knows at the end."""
    rest = history[history.index(later) :]
    is_known = not any(each.name == LOST for each in rest)
    return later.turn == lease.turn and later.epoch > lease.epoch and is_known


def reset_for_no_reason(history: History, rng: random.Random) -> History:
    calm = [
        place
        for place in places(history, _is_delta)
        if not _faults(history, history[place])
        and not any(e.name == "turn.reset" for e in _later(history, place))
    ]
    place = rng.choice(calm)
    mine = [e for e in history[: place + 1] if e.process == history[place].process]
    text = "".join(each.text for each in mine if _is_delta(each))
    reset = msgspec.structs.replace(history[place], name="turn.reset", text=text)
    return [*history[: place + 1], reset, *history[place + 1 :]]


def answer_500(history: History, rng: random.Random) -> History:
    place = _one(history, rng, lambda each: each.op in {"post", "state"})
    return changed(history, place, status=500)


def forget_a_turn(history: History, rng: random.Random) -> History:
    return changed(history, _one(history, rng, _is("open")), status=404)


def take_an_end_back(history: History, rng: random.Random) -> History:
    place = _one(history, rng, lambda each: each.op == "state")
    return changed(
        history, place, name="interrupted" if history[place].name == "failed" else "failed"
    )


def answer_late(history: History, rng: random.Random) -> History:
    return changed(history, _one(history, rng, _is("post")), took_s=60.0)


def fall_silent(history: History, rng: random.Random) -> History:
    place = _one(history, rng, _is_delta)
    late = [
        msgspec.structs.replace(e, t_mono=e.t_mono + 60.0)
        if n >= place and e.process == history[place].process
        else e
        for n, e in enumerate(history)
    ]
    return late


def lose_words_at_a_joint(history: History, rng: random.Random) -> History:
    place = _one(history, rng, lambda e: e.op == "post" and _has_expectation(history, e))
    return changed(history, place, text=history[place].text + " and these words")


def _later(history: History, place: int) -> History:
    """Return what the same reader did after that."""
    return [each for each in history[place + 1 :] if each.process == history[place].process]


def _has_expectation(history: History, post: Operation) -> bool:
    return bool(post.text) and bool(post.turn) and _status(history, post.turn) == "completed"


def _stored(history: History, turn: str) -> int:
    return next(n for n, each in enumerate(history) if each.op == "turn" and each.turn == turn)


def _status(history: History, turn: str) -> str:
    return history[_stored(history, turn)].name


def _faults(history: History, event: Operation) -> list[Operation]:
    began = next(e.t_mono for e in history if e.process == event.process)
    return View(history).faults_within(began, event.t_mono)


CAUGHT_BY: dict[Mutant, str] = {
    drop_an_event: "no_gap_no_repeat",
    repeat_an_event: "no_gap_no_repeat",
    swap_two: "no_gap_no_repeat",
    go_back_an_epoch: "no_gap_no_repeat",
    open_elsewhere: "opens_where_it_was",
    change_a_delta: "readers_agree",
    show_other_text: "shown_is_stored",
    reset_to_other_text: "shown_is_stored",
    store_other_text: "one_end",
    tell_other_text_at_the_end: "one_end",
    end_otherwise: "one_end",
    end_twice: "one_end",
    go_on_after_the_end: "nothing_after_the_end",
    never_end: "everybody_is_told",
    leave_it_running: "one_end",
    lose_an_acknowledged_turn: "acknowledged_is_stored",
    lose_an_acknowledged_message: "acknowledged_is_stored",
    make_two_turns_of_one_key: "acknowledged_is_stored",
    store_a_message_twice: "no_message_twice",
    store_what_was_refused: "refused_is_not_stored",
    ask_once_more: "upstream_calls",
    write_beside_the_holder: "one_producer",
    write_after_a_takeover: "fenced_off",
    reset_for_no_reason: "few_resets",
    answer_500: "answers_are_honest",
    forget_a_turn: "answers_are_honest",
    take_an_end_back: "ends_are_final",
    answer_late: "in_time",
    fall_silent: "in_time",
    lose_words_at_a_joint: "whole_answers",
}


@pytest.mark.parametrize("mutant", CAUGHT_BY, ids=lambda mutant: mutant.__name__)
def test_what_spoils_a_history_is_caught_by_its_invariant(mutant: Mutant) -> None:
    caught = 0
    for seed in range(SPOILED):
        history = good_history(seed)
        try:
            spoiled = mutant(history, random.Random(seed))  # noqa: S311  # where it is spoiled
        except IndexError:  # this history has nothing that could be spoiled so
            continue

        found = {finding.invariant for finding in judge(View(spoiled))}

        assert CAUGHT_BY[mutant] in found, f"seed {seed}"
        caught += 1
    assert caught >= SPOILED // 2


def test_every_invariant_has_a_mutant() -> None:
    assert set(CAUGHT_BY.values()) == set(INVARIANTS)


def test_good_histories_are_accepted() -> None:
    for seed in range(GOOD):
        assert judge(View(good_history(seed))) == [], f"seed {seed}"


def test_good_histories_hold_what_could_go_wrong() -> None:
    histories = [each for seed in range(20) for each in good_history(seed)]

    kinds = {(each.op, each.name) for each in histories}
    assert {("event", "turn.reset"), ("fault", "kill"), ("close", "cut")} <= kinds
    assert {each.epoch for each in histories if each.op == "event"} == {1, 2, 3}
    assert {("event", name) for name in TERMINAL} <= kinds


def test_a_pause_is_excused_for_as_long_as_a_fault_is_at_work() -> None:
    history = good_history(1)
    place = places(history, _is_delta)[0]
    silent = fall_silent(history, random.Random(1))  # noqa: S311  # where it is spoiled
    at = history[place].t_mono
    stalled = Operation(t_mono=at + 80, process="n", op="fault", name="stop", took_s=90.0)

    found = [each.invariant for each in judge(View([*silent, stalled], Bounds()))]

    assert "in_time" not in found


def test_a_recorded_history_reads_as_it_was_written(tmp_path: Path) -> None:
    history = good_history(7)
    with Recorder(tmp_path / "recorded") as recorder:
        recorder.add("client", "post", key="k", text="„Größe“\n\n🙂", took_s=0.5)
    write_operations(tmp_path / "written", history)

    assert read_operations(tmp_path / "recorded") == recorder.operations
    assert read_operations(tmp_path / "written") == history


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    history = good_history(7)
    path = tmp_path / "history"
    write_operations(path, history)
    path.write_bytes(path.read_bytes()[:-5])

    assert read_operations(path) == history[:-1]


def test_whether_an_end_was_stored_does_not_make_it_another_entry() -> None:
    one = digest_of("turn.completed", '{"text":"a","stored":true,"usage":{}}')
    other = digest_of("turn.completed", '{"usage":{},"text":"a","stored":false}')

    assert one == other
    assert one != digest_of("turn.completed", '{"text":"b","stored":true,"usage":{}}')
    assert one != digest_of("turn.failed", '{"text":"a","stored":true,"usage":{}}')
