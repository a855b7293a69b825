"""One person: arrives, asks, reads the answer in a manner of their own, thinks, asks again."""

import random
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from secrets import token_hex
from time import perf_counter
from typing import Any, Protocol

import msgspec

from loadtests.llm_simulator import prose
from loadtests.people.link import Link, LinkError, Stream
from loadtests.people.profiles import Answers, Habits
from loadtests.people.reader import TURNS, Manner, Notes, Reader
from loadtests.people.reading import Expected, Reading

_CREATED, _CONFLICT = 201, 409
_PASSWORD = "seven green boats"  # noqa: S105  # of accounts that exist for a run
_WORDS = (
    "streaming",
    "the tides",
    "old bridges",
    "bread",
    "comets",
    "chess",
    "rivers",
    "sleep",
)


class TurnNotes(Notes, Protocol):
    """Notes that also take whole turns."""

    def erred(self, code: str, number: int = 1) -> None:
        """Note what went wrong."""

    def turned(self, kind: str, took_s: float, code: str) -> None:
        """Note a turn that is over; `code` says what was wrong with it, if anything."""


@lru_cache(maxsize=4096)
def expected(message: str, answers: Answers) -> Expected:
    """Return what the simulated model answers to a message."""
    pieces = prose.answer(answers.seed, message, answers.tokens)
    return Expected.of([msgspec.json.decode(piece, type=str) for piece in pieces])


class Person:
    """Somebody who uses the service; what they do is drawn from a seed.

    Args:
        name: Theirs alone in this run, and the seed of what they do.
        link: Theirs.
        habits: How people behave in this run.
        notes: Gets all that they see.
        sleep: Waits so many seconds.
        answers: What the model answers; None where that is not known.
    """

    def __init__(
        self,
        name: str,
        link: Link,
        habits: Habits,
        *,
        notes: TurnNotes,
        sleep: Callable[[float], None],
        answers: Answers | None,
    ) -> None:
        self._name = name
        self._link = link
        self._habits = habits
        self._notes = notes
        self._sleep = sleep
        self._answers = answers
        self._rng = random.Random(name)
        self._is_user = self._happens(habits.signed_in)
        self._uses_event_source = self._happens(habits.event_source)
        self._is_slow = self._happens(habits.slow)
        self._asked = 0
        self._left_here = 0
        self._conversation_id = ""

    def arrive(self) -> None:
        """Become a guest, or register, and maybe sign in again, as on another day."""
        self._notes.counted("arrivals")
        try:
            if not self._is_user:
                self._link.call("POST", "/api/v1/auth/guest", body={})
                return
            account: dict[str, object] = {
                "email": f"{self._name.lower()}@people.example",
                "password": _PASSWORD,
            }
            self._register(account)
            if self._happens(0.5):
                self._link.call("POST", "/api/v1/auth/logout", body={})
                self._link.call("POST", "/api/v1/auth/login", body=account)
        except LinkError as error:
            self._notes.counted("bad_arrivals")
            self._notes.erred(error.code)

    def leave(self) -> None:
        """Close what is open."""
        self._link.close()

    def think_s(self) -> float:
        """Return how long this person thinks now."""
        return self._rng.uniform(*self._habits.think_s)

    def have_turn(self) -> None:
        """Ask, read the answer, and note how it went."""
        self._asked += 1
        self._choose_conversation()
        message = f"Tell me about {self._rng.choice(_WORDS)}, please ({self._name}, {self._asked})."
        known = None if self._answers is None else expected(message, self._answers)
        reading, began = Reading(expected=known), perf_counter()
        kind, codes = "refused", Counter[str]()
        try:
            kind = self._ask_and_read(message, reading, began)
        except LinkError as error:
            codes[error.code] += 1  # it was not even started
            self._left_here = 0
        codes.update(reading.faults)
        self._note(kind, perf_counter() - began, codes, reading)

    def _ask_and_read(self, message: str, reading: Reading, began: float) -> str:
        """Have the turn; return how it was answered.

        Raises:
            LinkError: It was not started.
        """
        manner = self._manner()
        stream = self._start(message, manner)
        reading.turn_id, self._conversation_id = stream.turn_id, stream.conversation_id
        reader = Reader(self._link, reading, manner, notes=self._notes, sleep=self._sleep)
        kind = "streamed"
        try:
            if stream.is_events:
                reader.read(stream, began)
            else:
                kind = self._take_document(stream, reading, reader, began)
            if reading.end and self._happens(self._habits.look):
                self._look(reading)
        except LinkError as error:
            reading.faults[error.code] += 1
        finally:
            stream.close()
        self._judge_end(reading, reader)
        return kind

    def _start(self, message: str, manner: Manner) -> Stream:
        body: dict[str, object] = {"message": message}
        if self._conversation_id:
            body["conversation_id"] = self._conversation_id
        if manner.listen_s is not None:
            # Who reads slowly fetches no audio beside the text: it would take minutes.
            body["speech"] = {"audio": "url" if self._is_slow else "inline"}
        accept = "application/json" if self._uses_event_source else "text/event-stream"
        # A run is never answered by another one's turns, though its people have the same names.
        headers = {"Accept": accept, "Idempotency-Key": token_hex(16)}
        return self._link.open(
            "POST", TURNS, name=TURNS, body=body, headers=headers, is_slow=self._is_slow
        )

    def _take_document(self, stream: Stream, reading: Reading, reader: Reader, began: float) -> str:
        """Read on where the answer says: at the turn's events, or in the answer itself."""
        is_streaming = stream.status == _CREATED
        told = stream.whole()
        if is_streaming or told.get("status") == "running":
            reader.read(None, began)
            return "streamed"
        reading.take_whole(told)
        self._notes.took("whole", perf_counter() - began)
        self._notes.counted("tokens", reading.tokens)
        return "whole"

    def _judge_end(self, reading: Reading, reader: Reader) -> None:
        """Note an end that nobody asked for."""
        told = reading.told
        match reading.end:
            case "turn.completed":
                pass
            case "turn.cancelled" if reader.is_cancelled:
                pass
            case "turn.failed":
                error: Any = told.get("error") or told
                reading.faults[str(error.get("code", "turn_failed"))] += 1
            case "":  # its reader has left, or found no end
                self._left_here = 0  # the turn goes on; the next question is another conversation
            case end:
                reading.faults[end.replace(".", "_")] += 1

    def _look(self, reading: Reading) -> None:
        """Ask for the state, which must be what was read."""
        path = f"{TURNS}/{reading.turn_id}"
        state = self._link.call("GET", path, name=f"{TURNS}/{{id}}").told
        if state.get("text") != reading.told.get("text"):
            reading.faults["state_differs"] += 1

    def _note(self, kind: str, took_s: float, codes: Counter[str], reading: Reading) -> None:
        notes = self._notes
        notes.counted("turns")
        ended = reading.end.rpartition(".")[2] or ("refused" if kind == "refused" else "left")
        notes.counted(f"turns_{ended}")
        notes.counted("lost_tokens", reading.lost_tokens())
        notes.counted("doubled_tokens", reading.doubled_tokens())
        notes.counted("broken_promises", reading.broken_promises())
        if codes:
            notes.counted("bad_turns")
        for code, number in codes.items():
            notes.erred(code, number)
        notes.turned(kind, took_s, next(iter(codes), ""))

    def _manner(self) -> Manner:
        """Draw how the next turn is read; whoever stops or leaves does so within the answer."""
        habits, happens = self._habits, self._happens
        tokens = self._answers.tokens if self._answers else 40
        is_spoken = happens(habits.speech)
        entry = self._rng.randint(2, max(2, tokens // 2))
        return Manner(
            cut_after=self._rng.randint(1, tokens) if happens(habits.cut) else 0,
            cancel_after=entry if not is_spoken and happens(habits.cancel) else 0,
            leave_after=entry if happens(habits.leave) else 0,
            away_s=self._rng.uniform(*habits.away_s),
            slow_bytes_per_s=habits.slow_bytes_per_s if self._is_slow else 0,
            storm_every_s=habits.storm_every_s,
            listen_s=habits.listen_s if is_spoken else None,
            waits_for_204=happens(habits.waits_for_204),
        )

    def _choose_conversation(self) -> None:
        if self._left_here > 0:
            self._left_here -= 1
            return
        self._conversation_id = ""
        self._left_here = self._rng.randint(*self._habits.turns_per_conversation) - 1

    def _register(self, account: dict[str, object]) -> None:
        try:
            self._link.call("POST", "/api/v1/auth/register", body=account)
        except LinkError as error:
            if error.status != _CONFLICT:
                raise
            self._link.call("POST", "/api/v1/auth/login", body=account)

    def _happens(self, chance: float) -> bool:
        return self._rng.random() < chance
