"""Reads a turn as an EventSource does: to its end, over as many connections as that takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, Protocol

from loadtests.people.link import Link, LinkError, Stream
from loadtests.people.reading import Reading
from loadtests.people.sse import Event, EventStream

TURNS = "/api/v1/turns"
ATTACH = f"{TURNS}/{{id}}/events"

_NO_CONTENT = 204
_SLOW_READ_BYTES = 512
_FUTILE_ATTEMPTS = 20
_TURN_S = 120.0
_PLAYBACK_EVERY_S = 2.0

How = Literal["end", "left", "again"]


class Notes(Protocol):
    """Who is told what was seen."""

    def took(self, what: str, seconds: float) -> None:
        """Note a time."""

    def counted(self, what: str, number: int = 1) -> None:
        """Note that something happened."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How one turn is read. Numbers of entries; 0: it does not happen."""

    cut_after: int = 0
    cancel_after: int = 0
    leave_after: int = 0
    away_s: float = 0.2
    slow_bytes_per_s: int = 0
    storm_every_s: float = 0.0
    listen_s: float | None = None
    waits_for_204: bool = False


class Reader:
    """One person's reading of one turn.

    Times are taken where they mean something: no gap of who reads slowly on purpose, none across a
    reconnect (that is `resume`: from asking again to the first entry that is new).

    Args:
        link: The person's.
        reading: Judges what comes.
        manner: How it is read.
        notes: Gets times and counts.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        link: Link,
        reading: Reading,
        manner: Manner,
        *,
        notes: Notes,
        sleep: Callable[[float], None],
    ) -> None:
        self.is_cancelled = False
        self._link = link
        self._reading = reading
        self._manner = manner
        self._notes = notes
        self._sleep = sleep
        self._entries = 0
        self._asked_at = 0.0
        self._delta_at = 0.0
        self._resumes_since = 0.0
        self._is_first = True  # the first connection: times since the start are the server's
        self._has_text = self._has_audio = False
        self._retry_s = 0.0
        self._heard_s = 0.0
        self._reported_at = 0.0
        self._text_done_at = 0.0
        self._is_cut = False

    def read(self, stream: Stream | None, asked_at: float) -> None:
        """Read to the end of the turn, or until this person leaves.

        Args:
            stream: The answer to the start, where it is the event stream; else it is attached to.
            asked_at: When the turn was asked for, on `perf_counter`.

        Raises:
            LinkError: The stream was refused for good (what ends an EventSource), no attempt brings
                anything any more, or it takes longer than 120 s.
        """
        self._asked_at = asked_at
        futile = 0
        while True:
            before = self._entries
            how, stream = self._read_once(stream), None
            if how != "again":
                break
            futile = 0 if self._entries > before else futile + 1
            self._is_first = False
            if futile >= _FUTILE_ATTEMPTS or perf_counter() - asked_at > _TURN_S:
                raise LinkError("gave_up")
            self._sleep(max(self._manner.away_s, self._retry_s))
        if how == "end" and self._manner.waits_for_204:
            self._expect_no_content()

    def _read_once(self, stream: Stream | None) -> How:
        self._delta_at = 0.0
        if stream is None:
            stream = self._attach()
        if stream is None:
            return "again"
        if stream.status == _NO_CONTENT:
            self._reading.faults["end_unseen"] += 1
            return "end"
        try:
            return self._events(stream)
        except LinkError as error:
            if error.status:
                raise
            self._notes.counted("breaks")
            return "again"
        finally:
            stream.close()

    def _attach(self) -> Stream | None:
        """Return a new stream from the cursor; None where the network does not let it."""
        headers = {"Accept": "text/event-stream"}
        if self._reading.cursor:
            headers["Last-Event-ID"] = self._reading.cursor
        if not self._is_first:
            self._notes.counted("reconnects")
            self._resumes_since = self._resumes_since or perf_counter()
        path = f"{TURNS}/{self._reading.turn_id}/events"
        is_slow = self._manner.slow_bytes_per_s > 0
        try:
            return self._link.open("GET", path, name=ATTACH, headers=headers, is_slow=is_slow)
        except LinkError as error:
            if error.status:
                raise
            return None

    def _events(self, stream: Stream) -> How:
        manner, parser = self._manner, EventStream(self._reading.cursor)
        self._reading.left_for, self._retry_s = "", 0.0
        storm = self._storm()
        while True:
            data = stream.read(_SLOW_READ_BYTES if manner.slow_bytes_per_s else 65_536)
            if not data:
                return self._closed(parser)
            now = perf_counter()
            for event in parser.feed(data):
                self._take(event, now)
                if (how := self._decided(stream, event)) is not None:
                    return how
            if manner.slow_bytes_per_s:
                self._sleep(len(data) / manner.slow_bytes_per_s)
            if self._storm() != storm:
                return self._cut(stream)

    def _storm(self) -> int:
        """Return which storm was the last: everybody's clock says the same."""
        every_s = self._manner.storm_every_s
        return int(time.time() / every_s) if every_s else 0

    def _closed(self, parser: EventStream) -> How:
        if self._reading.left_for:
            self._notes.counted("byes")
            if self._reading.left_for == "token_expired":
                self._link.renew()
            self._retry_s = (parser.retry_ms or 0) / 1e3
        else:
            self._notes.counted("breaks")
        return "again"

    def _cut(self, stream: Stream) -> How:
        stream.cut()
        self._is_cut = True
        self._notes.counted("cuts")
        return "again"

    def _decided(self, stream: Stream, event: Event) -> How | None:
        """Do what the person does at this point; None: read on."""
        manner = self._manner
        if self._reading.end:
            return "end"
        if manner.leave_after and self._entries >= manner.leave_after:
            stream.cut()
            self._notes.counted("leaves")
            return "left"
        if manner.cut_after and self._entries >= manner.cut_after and not self._is_cut:
            return self._cut(stream)
        if self._wants_stop(event) and not self.is_cancelled:
            self._cancel()
        elif manner.listen_s is not None:
            self._report()
        return None

    def _wants_stop(self, event: Event) -> bool:
        manner = self._manner
        if event.name == "text.done":
            self._text_done_at = perf_counter()
        if self._text_done_at and manner.listen_s is not None:
            return perf_counter() - self._text_done_at > manner.listen_s
        return 0 < manner.cancel_after <= self._entries

    def _take(self, event: Event, now: float) -> None:
        reading, before = self._reading, self._reading.tokens
        if not reading.take(event):
            return
        self._entries += 1
        if self._resumes_since:
            self._notes.took("resume", now - self._resumes_since)
            self._resumes_since = 0.0
        if event.name == "text.delta":
            self._take_text(now, reading.tokens - before)
        elif event.name == "speech.chunk":
            self._take_audio(now)

    def _take_text(self, now: float, tokens: int) -> None:
        self._notes.counted("tokens", tokens)
        if not self._has_text and self._is_first:
            self._notes.took("ttft", now - self._asked_at)
        elif self._delta_at and not self._manner.slow_bytes_per_s:
            self._notes.took("gap", now - self._delta_at)
        self._has_text, self._delta_at = True, now

    def _take_audio(self, now: float) -> None:
        self._notes.counted("audio")
        if not self._has_audio and self._is_first and not self._manner.slow_bytes_per_s:
            self._notes.took("ttfa", now - self._asked_at)
        self._has_audio = True

    def _cancel(self) -> None:
        self.is_cancelled = True
        self._notes.counted("cancels")
        self._call("cancel", {"seen": self._reading.cursor} if self._reading.cursor else {})

    def _report(self) -> None:
        """Tell how far the audio was played, as a page does while it plays."""
        now = perf_counter()
        if not self._has_audio or now - self._reported_at < _PLAYBACK_EVERY_S:
            return
        if self._reported_at:
            self._heard_s += now - self._reported_at
        self._reported_at = now
        self._call("playback", {"played_s": self._heard_s, "buffered_s": 5.0})

    def _call(self, what: str, body: dict[str, object]) -> None:
        """Call beside the stream: what comes meanwhile waits, and no gap is taken of it."""
        path = f"{TURNS}/{self._reading.turn_id}/{what}"
        self._link.call("POST", path, name=f"{TURNS}/{{id}}/{what}", body=body)
        self._delta_at = 0.0

    def _expect_no_content(self) -> None:
        self._is_first = True  # this is no resume
        stream = self._attach()
        if stream is not None:
            if stream.status != _NO_CONTENT:
                self._reading.faults["no_204"] += 1
            stream.close()
