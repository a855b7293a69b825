"""The event streams that are open in this process: opened, counted, and asked to leave."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from metrics.turns import TurnMetrics
from server.event_stream import CloseReason, EventStreamResponse, OnClose
from server.limits.streams import Seat
from streaming.event_log.base import EventReader, Wake
from streaming.frames import bye_frame, session_ended_frame
from streaming.readership import Readership
from streaming.speech.base import Audio
from streaming.speech.inline import with_audio
from streaming.sse import Outlet, frames


@dataclass(frozen=True, slots=True)
class Listener:
    """Who reads a stream.

    Args:
        session_id: The sign-in that lets them; None: guests and API keys have none.
        seat: Left when the stream ends.
    """

    session_id: str | None = None
    seat: Seat | None = None


SOMEBODY = Listener()


class Readers:
    """Opens event streams. Bound: `max_open` at once; one more is told `bye` and comes back.

    Args:
        readership: Told of readers, so that turns nobody reads can be abandoned.
        metrics: Told of readers.
        max_open: Streams at once.
        heartbeat_s: Seconds of silence before a heartbeat.
        send_timeout_s: Seconds one write may take.
    """

    def __init__(
        self,
        *,
        readership: Readership,
        metrics: TurnMetrics,
        max_open: int,
        heartbeat_s: float,
        send_timeout_s: float,
    ) -> None:
        self._readership = readership
        self._metrics = metrics
        self._max_open = max_open
        self._heartbeat_s = heartbeat_s
        self._send_timeout_s = send_timeout_s
        self._open: dict[EventReader, str] = {}
        self._of_session: dict[str, dict[EventReader, None]] = {}
        self._farewells: dict[EventReader, bytes] = {}
        self._is_leaving = False

    def follow(
        self,
        turn_id: str,
        reader: EventReader,
        *,
        headers: Mapping[str, str],
        audio_of: Callable[[int], Awaitable[Audio | None]] | None = None,
        prefix: bytes = b"",
        elsewhere: bool = False,
        listener: Listener = SOMEBODY,
    ) -> Response:
        """Answer with the log after the reader's cursor, to its end.

        Args:
            turn_id: Whose log it is.
            reader: Where to start.
            headers: Of the answer.
            audio_of: Gives the audio that chunks of speech carry; None: they carry none.
            prefix: Sent first.
            elsewhere: Whether another worker that may run the turn is to know of its readers.
            listener: Who reads.
        """
        if self._is_leaving or len(self._open) >= self._max_open:
            reader.close()
            return self.bye("restarting" if self._is_leaving else "full", headers=headers)
        self._open[reader] = turn_id
        if listener.session_id is not None:
            self._of_session.setdefault(listener.session_id, {})[reader] = None
        self._readership.joined(turn_id, elsewhere=elsewhere)
        self._metrics.reader_opened()
        outlet = Outlet() if audio_of is None else None
        batches = frames(
            turn_id,
            reader,
            prefix=prefix,
            heartbeat_s=self._heartbeat_s,
            farewell=partial(self._farewell, reader),
            outlet=outlet,
        )
        if audio_of is not None:
            batches = with_audio(batches, audio_of)
        answer = self._response(
            batches, headers, partial(self._closed, turn_id, reader, listener), outlet
        )
        if listener.seat is not None:
            listener.seat.keep_for(answer)
        return answer

    def once(self, batch: bytes, *, headers: Mapping[str, str]) -> Response:
        """Answer with these frames and end."""
        return self._response(_one(batch), headers, lambda _: None)

    def bye(
        self, reason: str, *, headers: Mapping[str, str], wait_s: float | None = None
    ) -> Response:
        """Answer with a request to come back: any other status would end an EventSource for good.

        Args:
            reason: Why.
            headers: Of the answer.
            wait_s: Seconds after which to come; None: soon, spread by chance.

        Source: WHATWG HTML 9.2, «fail the connection».
        """
        self._metrics.attached("bye")
        return self.once(bye_frame(reason, wait_s), headers=headers)

    def leave_all(self) -> None:
        """Ask every reader to come back elsewhere, or later; so is whoever comes from now on."""
        self._is_leaving = True
        for reader in self._open:
            reader.wake(Wake.LEAVE)

    def end_session(self, session_id: str, reason: str) -> None:
        """Tell a session's readers that it is over, and end their streams; the turns go on."""
        for reader in self._of_session.get(session_id, ()):
            self._farewells[reader] = session_ended_frame(reason)
            reader.wake(Wake.LEAVE)

    @property
    def sessions(self) -> Sequence[str]:
        """Sessions that read streams now."""
        return list(self._of_session)

    @property
    def open_count(self) -> int:
        """Streams that are open now."""
        return len(self._open)

    def _farewell(self, reader: EventReader) -> bytes:
        return self._farewells.get(reader) or bye_frame("restarting")

    def _closed(
        self, turn_id: str, reader: EventReader, listener: Listener, reason: CloseReason
    ) -> None:
        left = reason == "end" and not reader.at_end
        self._open.pop(reader, None)
        self._farewells.pop(reader, None)
        self._forget(listener.session_id, reader)
        self._readership.left(turn_id)
        self._metrics.reader_closed("bye" if left else reason)
        if listener.seat is not None:
            listener.seat.leave()

    def _forget(self, session_id: str | None, reader: EventReader) -> None:
        if session_id is None or (readers := self._of_session.get(session_id)) is None:
            return
        readers.pop(reader, None)
        if not readers:
            del self._of_session[session_id]

    def _response(
        self,
        batches: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        closed: OnClose,
        outlet: Outlet | None = None,
    ) -> Response:
        return EventStreamResponse(
            batches,
            headers=headers,
            send_timeout_s=self._send_timeout_s,
            on_close=closed,
            outlet=outlet,
        )


async def _one(batch: bytes) -> AsyncGenerator[bytes, None]:
    yield batch
