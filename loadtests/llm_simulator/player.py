"""Plays a script onto a connection: when a piece is due it is written, with one write each."""

from typing import Protocol

from loadtests.llm_simulator.scripts import Ending, Script
from loadtests.llm_simulator.stats import Record
from loadtests.llm_simulator.wheel import Wheel

# Pieces written before the event loop turns again: a stream without pacing, or one that caught
# up after a pause of the process, must not keep the others waiting.
_BURST = 64


class Stage(Protocol):
    """Where a script is played: the connection."""

    def write_body(self, data: bytes) -> None:
        """Write a piece of the body."""
        ...

    def end_body(self, ending: Ending) -> None:
        """End the body."""
        ...


class Player:
    """One script on its way to one client.

    It sleeps in the wheel between pieces, or without any timer while the client does not read;
    what was not due when the client stopped reading is then late by as much as it did not read.
    """

    def __init__(
        self, script: Script, *, stage: Stage, wheel: Wheel, record: Record | None
    ) -> None:
        self._script = script
        self._stage = stage
        self._wheel = wheel
        self._record = record or Record.unheard()
        self._due = 0.0
        self._next = (0.0, b"", 0)
        self._in_wheel = False
        self._paused = False
        self._ended = False

    def start(self, now: float) -> None:
        """Begin; pieces that are due at once are written before this returns."""
        self._due = self._record.last_at = now
        self._take()
        self._play(now)

    def pause(self) -> None:
        """Write nothing until `resume`."""
        self._paused = True

    def resume(self, now: float) -> None:
        """Go on after a pause."""
        self._paused = False
        if not self._in_wheel and not self._ended:
            self._due = max(self._due, now)
            self._play(now)

    def stop(self) -> None:
        """Stop for good: the client is gone."""
        self._ended = True
        self._script.close()

    def _wake(self, now: float) -> None:
        self._in_wheel = False
        self._play(now)

    def _play(self, now: float) -> None:
        for _ in range(_BURST):
            if self._ended or self._paused:
                return
            if self._due > now:
                break
            _, data, tokens = self._next
            if tokens:
                self._record.tokens += tokens
                self._record.last_at = now
            self._stage.write_body(data)
            self._take()
        self._in_wheel = True
        self._wheel.at(self._due, self._wake)

    def _take(self) -> None:
        if self._ended:
            return
        try:
            self._next = next(self._script)
        except StopIteration as stop:
            self._ended = True
            self._stage.end_body(stop.value)
        else:
            self._due += self._next[0]
