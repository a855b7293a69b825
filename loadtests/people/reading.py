"""What one reader of one turn was told, held against what the server promises.

Every entry comes once and in order; a reset is the only way to another text; one terminal event is
the last; the text of the end is the text that was read. Where the model's answer is known, every
token of it must come once, in its place.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from loadtests.people.sse import Event

TERMINAL = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted"})
_WITHOUT_PLACE = frozenset({"heartbeat", "bye", "session.ended"})
PROMISES = (
    "entry_lost",
    "entry_again",
    "token_lost",
    "token_again",
    "text_wrong",
    "text_differs",
    "state_differs",
    "id_wrong",
    "epoch_fell",
    "after_end",
    "data_broken",
    "end_unseen",
    "no_204",
    "audio_out_of_order",
    "audio_broken",
)
"""Faults that are not failures but lies: what came is not what is promised."""

_WINDOW_CHARS = 2000  # how far ahead a text is looked for after a loss


@dataclass(frozen=True, slots=True)
class Expected:
    """An answer that is known before it comes: its text, and where each token of it ends."""

    text: str
    ends: tuple[int, ...]

    @classmethod
    def of(cls, tokens: Sequence[str]) -> "Expected":
        """Return the answer that consists of these tokens."""
        return cls("".join(tokens), tuple(accumulate(map(len, tokens))))

    def tokens_within(self, begin: int, end: int) -> int:
        """Return how many tokens end between two places of the text."""
        return bisect_right(self.ends, end) - bisect_right(self.ends, begin)

    def place_of(self, text: str, begin: int) -> int:
        """Return where a text comes next, at a token's beginning if possible; -1: nowhere near."""
        first = place = self.text.find(text, begin, begin + _WINDOW_CHARS)
        while place > 0 and self.ends[bisect_right(self.ends, place) - 1] != place:
            place = self.text.find(text, place + 1, begin + _WINDOW_CHARS)
        return first if place < 0 else place


class Reading:
    """One reader's view of a turn, over as many connections as it takes.

    Args:
        turn_id: Whose events they must be; empty: the first one says.
        expected: The answer, where it is known.

    Attributes:
        text: What a page would show.
        cursor: The id of the last entry, for `Last-Event-ID`.
        end: Name of the terminal event; empty before it.
        told: Data of the terminal event.
        tokens: How many have come; deltas where the answer is not known.
        faults: Broken promises by code, and how often.
        left_for: Why the server said `bye` on this connection; empty where it did not.
    """

    def __init__(self, turn_id: str = "", expected: Expected | None = None) -> None:
        self.turn_id = turn_id
        self.text = ""
        self.cursor = ""
        self.end = ""
        self.told: dict[str, Any] = {}
        self.tokens = 0
        self.faults: Counter[str] = Counter()
        self.left_for = ""
        self._expected = expected
        self._at = 0  # in the expected text
        self._epoch = self._seq = 0
        self._units = 0
        self._is_behind_gap = False

    def take(self, event: Event) -> bool:
        """Take an event; return whether it was a new entry of the log."""
        if event.name in _WITHOUT_PLACE:
            if event.name == "bye":
                self._take_leave(event)
            return False
        try:
            data = json.loads(event.data)
        except ValueError:
            self.faults["data_broken"] += 1
            return False
        if not self._is_next(event):
            return False
        self._apply(event.name, data)
        return True

    def _take_leave(self, event: Event) -> None:
        try:
            self.left_for = str(json.loads(event.data)["reason"])
        except (ValueError, LookupError, TypeError):
            self.left_for = "unknown"
            self.faults["data_broken"] += 1

    def take_whole(self, state: dict[str, Any]) -> None:
        """Take the state of a turn that was answered in one piece."""
        self.turn_id = self.turn_id or str(state.get("turn_id", ""))
        self.end = f"turn.{state.get('status')}"
        self.told = state
        self.text = str(state.get("text", ""))
        if self._expected is not None:
            self.tokens = self._expected.tokens_within(0, len(self.text))
        if self.end == "turn.completed":
            self._judge_completed(state)

    def lost_tokens(self) -> int:
        """Return how many tokens or entries never came; an entry that is a token counts once."""
        return max(self.faults["entry_lost"], self.faults["token_lost"])

    def doubled_tokens(self) -> int:
        """Return how many tokens or entries came again."""
        return self.faults["entry_again"] + self.faults["token_again"]

    def broken_promises(self) -> int:
        """Return how many of the faults are broken promises."""
        return sum(self.faults[code] for code in PROMISES)

    def _is_next(self, event: Event) -> bool:
        """Note the entry's place; return whether its content counts."""
        if self.end:
            self.faults["after_end"] += 1
            return False
        turn_id, _, place = event.last_id.rpartition(".")
        epoch, _, seq = place.partition("-")
        if event.name == "turn.reset":
            has_place = event.last_id != "" and seq.isdecimal()
            self.cursor = event.last_id if has_place else ""
            self._epoch, self._seq = (int(epoch), int(seq)) if has_place else (0, 0)
            return True
        self.turn_id = self.turn_id or turn_id
        if turn_id != self.turn_id or not (epoch.isdecimal() and seq.isdecimal()):
            self.faults["id_wrong"] += 1
            return False
        if int(seq) <= self._seq:
            self.faults["entry_again"] += 1
            return False
        if int(seq) > self._seq + 1:
            self.faults["entry_lost"] += int(seq) - self._seq - 1
            self._is_behind_gap = True
        if int(epoch) < self._epoch:
            self.faults["epoch_fell"] += 1
        self.cursor, self._epoch, self._seq = event.last_id, int(epoch), int(seq)
        return True

    def _apply(self, name: str, data: dict[str, Any]) -> None:
        match name:
            case "text.delta":
                self._follow(str(data["text"]))
            case "turn.reset":
                self._restart(data)
            case "text.done" if data["text"] != self.text:
                self.faults["text_differs"] += 1
            case "speech.chunk" | "speech.failed":
                self._hear(data)
            case _ if name in TERMINAL:
                self.end, self.told = name, data
                self._judge_end(name, data)
            case _:
                pass

    def _follow(self, delta: str) -> None:
        self.text += delta
        if self._expected is None:
            self.tokens += 1
            return
        known, at = self._expected, self._at
        if known.text.startswith(delta, at):
            self._move(known, at + len(delta))
        elif known.text.endswith(delta, 0, at) and not self._is_behind_gap:
            self.faults["token_again"] += max(1, known.tokens_within(at - len(delta), at))
        else:
            self._miss(known, delta)
        self._is_behind_gap = False

    def _miss(self, known: Expected, delta: str) -> None:
        """Find out what was left out before a delta."""
        found = known.place_of(delta, self._at)
        if found < 0:
            self.faults["text_wrong"] += 1
            self._expected = None  # all that follows would be wrong as well
            return
        self.faults["token_lost"] += max(1, known.tokens_within(self._at, found))
        self._at = found
        self._move(known, found + len(delta))

    def _move(self, known: Expected, to: int) -> None:
        self.tokens += known.tokens_within(self._at, to)
        self._at = to

    def _restart(self, data: dict[str, Any]) -> None:
        self.text = str(data["text"])
        self._units = int(data.get("speech", self._units))
        if self._expected is None:
            return
        if not self._expected.text.startswith(self.text):
            self.faults["text_wrong"] += 1
            self._expected = None
        self._at = len(self.text)

    def _hear(self, data: dict[str, Any]) -> None:
        if data["index"] != self._units:
            self.faults["audio_out_of_order"] += 1
        self._units = int(data["index"]) + 1
        audio = data.get("data")
        if audio is not None and len(audio) * 3 // 4 - audio[-2:].count("=") != data["bytes"]:
            self.faults["audio_broken"] += 1

    def _judge_end(self, name: str, data: dict[str, Any]) -> None:
        end = str(data.get("text", ""))
        if name == "turn.cancelled":  # what was on the way may be left out, or come with the end
            is_same = self.text.startswith(end) or end.startswith(self.text)
        else:
            is_same = end == self.text
        if not is_same:
            self.faults["text_differs"] += 1
        if name == "turn.completed":
            self._judge_completed(data)

    def _judge_completed(self, data: dict[str, Any]) -> None:
        if data.get("stored") is False:
            self.faults["not_stored"] += 1
        known = self._expected
        if known is None or self.text == known.text:
            return
        if not known.text.startswith(self.text):
            # Told apart already where it was read delta by delta.
            if not (self.lost_tokens() or self.doubled_tokens()):
                self.faults["text_wrong"] += 1
        elif data.get("finish_reason") != "length":
            missing = known.tokens_within(len(self.text), len(known.text))
            self.faults["token_lost"] += max(1, missing)
