"""What the simulator saw, for tests: bounded, and empty again after a reset."""

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

_KEPT_RECORDS = 2_000
_KEPT_FAULTS = 10_000

State = Literal["open", "completed", "refused", "broken", "closed_early"]


@dataclass(slots=True)
class Record:
    """One request for a completion.

    `state` is `refused` for an error answer, `broken` where a fault ended the body, and
    `closed_early` where the client left before the end: `closed_after_ms` after token `tokens`
    (after the request where that is 0). `style` is how it was asked to go on with an answer.
    """

    number: int
    model: str
    stream: bool
    roles: list[str]
    prompt_tokens: int
    continued: bool
    style: str = ""
    tokens: int = 0
    state: State = "open"
    closed_early: bool = False
    closed_after_ms: float | None = None
    last_at: float = field(default=0.0, repr=False)

    @classmethod
    def unheard(cls) -> "Record":
        """Return a record that nobody looks at."""
        return cls(0, "", stream=False, roles=[], prompt_tokens=0, continued=False)


class Stats:
    """Counts requests and remembers the last of them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, also which faults have healed; open streams go on unseen."""
        self.requests = 0
        self.moderated = 0
        self.records: deque[Record] = deque(maxlen=_KEPT_RECORDS)
        self._met: Counter[tuple[str, str]] = Counter()

    def open(self, record: Record) -> None:
        """Remember a request."""
        self.requests += 1
        self.records.append(record)

    def meets_fault(self, model: str, prompt: str, times: int) -> bool:
        """Count a request for a faulty model; whether it meets the fault (`times` 0: always)."""
        if not times:
            return True
        if len(self._met) >= _KEPT_FAULTS:
            self._met.clear()
        self._met[model, prompt] += 1
        return self._met[model, prompt] <= times

    def view(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        streams = [asdict(record) for record in self.records]
        for stream in streams:
            del stream["last_at"]
        return {
            "requests": self.requests,
            "open": sum(record.state == "open" for record in self.records),
            "tokens": sum(record.tokens for record in self.records),
            "moderated": self.moderated,
            "cpu_s": time.process_time(),
            "streams": streams,
        }
