"""What a reader is reset to, where the log does not know its cursor."""

from streaming.cursor import Cursor
from streaming.event_log.memory import MemoryLog
from streaming.event_log.replay import snapshot
from streaming.events import Event, TextDelta
from streaming.frames import FrameEncoder
from tests.streaming.event_log.workers import END, TURN


def a_log(*events: tuple[int, Event], base: int = 0) -> MemoryLog:
    """Return a log with these events, each with its epoch, as another process wrote it."""
    log = MemoryLog(TURN, base)
    encode = FrameEncoder(TURN).encode
    for epoch, event in events:
        log.append(encode(epoch, log.last_seq + 1, event), epoch)
        log.ended = event.is_terminal
    return log


def test_a_running_log_is_covered_to_its_last_entry_in_the_epoch_that_wrote_it() -> None:
    found = snapshot(a_log((1, TextDelta("one ")), (2, TextDelta("two"))))

    assert found is not None
    assert (found[0], found[1].draft.text) == (Cursor(2, 2), "one two")


def test_the_end_of_a_log_is_not_covered_so_that_every_reader_is_told_it() -> None:
    log = a_log((1, TextDelta("one ")), (1, TextDelta("two")), (2, END), base=5)

    found = snapshot(log)

    assert found is not None
    assert (found[0], found[1].draft.text) == (Cursor(1, 7), "one two")
    assert found[1].terminal is None
    assert log.holds(found[0])


def test_a_log_of_nothing_but_an_end_covers_nothing() -> None:
    assert snapshot(a_log((3, END), base=9)) is None
    assert snapshot(MemoryLog(TURN)) is None
