"""Logs in memory that other processes go on with."""

import tracemalloc

import pytest

from streaming.cursor import START
from streaming.event_log.memory import MemoryEventLog, MemoryLog
from streaming.events import TextDelta
from tests.streaming.event_log.workers import END


def test_a_turn_that_ends_here_twice_takes_the_room_of_one() -> None:
    logs = MemoryEventLog(replay_window_s=60, max_bytes=2_000, clock=lambda: 0.0)

    for turn_id in ["again"] * 20 + ["other"]:
        writer = logs.hold(MemoryLog(turn_id), 1)
        writer.append(END)
        writer.close()

    for turn_id in ("again", "other"):
        assert logs.attach(turn_id, START).take(1)


@pytest.mark.parametrize("entries", [1, 6, 75])
def test_what_is_counted_is_what_python_really_holds(entries: int) -> None:
    logs = MemoryEventLog(replay_window_s=60, max_bytes=1 << 30, clock=lambda: 0.0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            writer = logs.create(f"turn_{number:022d}")
            for _ in range(entries):
                writer.append(TextDelta("word "))
            writer.append(END)
            writer.close()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert held == pytest.approx(logs.size_bytes, rel=0.15)
