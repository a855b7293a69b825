"""What the simulator saw, for tests: bounded, and empty again after a reset."""

import json
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Literal

_KEPT_CALLS = 2_000
_KEPT_FAULTS = 10_000
_KEPT_CHARACTERS = 200

Method = Literal["synthesize", "stream", "voices"]
State = Literal["open", "completed", "refused", "cancelled"]


@dataclass(slots=True)
class Call:
    """One call.

    `state` is `refused` where it ended with an error, `cancelled` where the client left, let the
    deadline pass or hung up before the end.
    """

    number: int
    method: Method
    voice: str = ""
    language: str = ""
    model: str = ""
    encoding: str = ""
    rate: float = 0.0
    text: str = ""
    characters: int = 0
    duration_s: float = 0.0
    state: State = "open"
    code: str = ""

    def note_text(self, text: str) -> None:
        """Remember what is to be said, or its beginning."""
        self.text = text[:_KEPT_CHARACTERS]
        self.characters = len(text)


class Stats:
    """Counts calls and remembers the last of them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, also which faults have healed; open calls go on unseen."""
        self._numbers: Counter[Method] = Counter()
        self._states: Counter[State] = Counter()
        self._calls: deque[Call] = deque(maxlen=_KEPT_CALLS)
        self._met: Counter[str] = Counter()
        self._in_flight = self._max_in_flight = 0

    def open(self, method: Method) -> Call:
        """Remember a call."""
        self._numbers[method] += 1
        call = Call(self._numbers["synthesize"] + self._numbers["stream"], method)
        self._calls.append(call)
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        return call

    def close(self, call: Call) -> None:
        """Count how a call ended."""
        self._states[call.state] += 1
        self._in_flight = max(0, self._in_flight - 1)

    def meets_fault(self, text: str, times: int) -> bool:
        """Count a call for a fault; whether it meets it (`times` 0: always)."""
        if not times:
            return True
        if len(self._met) >= _KEPT_FAULTS:
            self._met.clear()
        self._met[text] += 1
        return self._met[text] <= times

    def view(self) -> bytes:
        """Return everything as JSON."""
        methods: tuple[Method, ...] = ("synthesize", "stream", "voices")
        states: tuple[State, ...] = ("completed", "refused", "cancelled")
        return json.dumps(
            {method: self._numbers[method] for method in methods}
            | {state: self._states[state] for state in states}
            | {
                "in_flight": self._in_flight,
                "max_in_flight": self._max_in_flight,
                "cpu_s": time.process_time(),
                "calls": [asdict(call) for call in self._calls],
            }
        ).encode()
