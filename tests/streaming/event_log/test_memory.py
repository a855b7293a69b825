"""Logs in memory that other processes go on with."""

from streaming.cursor import START
from streaming.event_log.memory import MemoryEventLog, MemoryLog
from tests.streaming.event_log.workers import END


def test_a_turn_that_ends_here_twice_takes_the_room_of_one() -> None:
    logs = MemoryEventLog(replay_window_s=60, max_bytes=1_000, clock=lambda: 0.0)

    for turn_id in ["again"] * 20 + ["other"]:
        writer = logs.hold(MemoryLog(turn_id), 1)
        writer.append(END)
        writer.close()

    for turn_id in ("again", "other"):
        assert logs.attach(turn_id, START).take(1)
