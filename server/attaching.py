"""How a reader gets a turn's log: from this process's memory, or what is left from the record.

First connect, reconnect, second tab: the same call. Answers are those that an EventSource survives.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.responses import Response

from history.errors import HistoryUnavailableError, TurnNotFoundError
from history.model import TurnRecord, TurnStatus
from server.audio import (
    AudioOf,
    audio_reader,
    count_sentences,
    live_answer,
    lost_its_speech,
    recorded_answer,
)
from server.auth.caller import Owner
from server.limits.streams import Seat
from server.limits.subjects import Subject
from server.readers import Listener
from server.services import Services
from streaming.cursor import START, Cursor
from streaming.ending import last_covered, terminal_from_record
from streaming.errors import CursorLostError, LogNotFoundError, LogUnavailableError
from streaming.event_log.replay import snapshot
from streaming.events import TurnReset
from streaming.frames import FrameEncoder, reset_frame
from streaming.turn import LiveTurn


async def attach(
    services: Services,
    owner: Owner,
    turn_id: str,
    cursor: Cursor,
    *,
    headers: Mapping[str, str],
    inline: bool | None = None,
    subjects: Sequence[Subject] = (),
) -> Response:
    """Answer with the turn's events after the cursor, to the terminal one; 204 at the end.

    Args:
        services: What the process has.
        owner: Who asks.
        turn_id: The turn.
        cursor: The last entry the reader has.
        headers: Of the answer.
        inline: Whether audio comes in the events; None: as the turn was started.
        subjects: Whose streams it is counted among; of too many, one is told `bye`.

    Raises:
        TurnNotFoundError: no such turn, or another owner's.
    """
    seat = await services.limits.streams.seat(subjects, turn_id)
    if not isinstance(seat, Seat):
        return services.readers.bye("too_many_readers", headers=headers, wait_s=seat)
    wish = _Wish(headers, inline, Listener(owner.session_id, seat))
    try:
        return await _attach(services, owner, turn_id, cursor, wish=wish)
    finally:
        if not seat.is_used:  # it ended at once
            seat.leave()


async def _attach(
    services: Services, owner: Owner, turn_id: str, cursor: Cursor, *, wish: "_Wish"
) -> Response:
    headers, inline, listener = wish.headers, wish.inline, wish.listener
    live = services.runner.find(turn_id)
    if live is not None:
        if live.spec.owner_id != owner.owner_id:
            raise TurnNotFoundError(turn_id)
        audio_of = audio_reader(services, live_answer(live), inline=inline)
        return _attach_live(services, live, cursor, _Manner(headers, audio_of, listener))
    try:
        record = await services.history.turns.get(owner.owner_id, turn_id)
    except HistoryUnavailableError:
        return services.readers.bye("unavailable", headers=headers)
    audio_of = audio_reader(services, recorded_answer(record), inline=inline)
    with suppress(LogNotFoundError, LogUnavailableError):  # then the record has to do
        is_running = record.status is TurnStatus.RUNNING
        await services.event_log.reach(turn_id, cursor, is_running=is_running)
    manner = _Manner(headers, audio_of, listener, is_awaited_elsewhere(services, record))
    return await _attach_recorded(services, record, cursor, manner)


def is_awaited_elsewhere(services: Services, record: TurnRecord) -> bool:
    """Whether a worker that may run the turn wants to know that it is read."""
    is_spoken = bool(record.spec.get("speech"))  # which goes on when the record has ended
    is_running = record.status is TurnStatus.RUNNING
    return is_spoken or (is_running and services.settings.abandon_after_s > 0)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a reader asks for."""

    headers: Mapping[str, str]
    inline: bool | None
    listener: Listener


@dataclass(frozen=True, slots=True)
class _Manner:
    """How a reader is answered."""

    headers: Mapping[str, str]
    audio_of: AudioOf | None
    listener: Listener
    elsewhere: bool = False


def _attach_live(services: Services, live: LiveTurn, cursor: Cursor, manner: _Manner) -> Response:
    turn_id = live.spec.turn_id
    try:
        reader = services.event_log.attach(turn_id, cursor)
    except CursorLostError:
        # Invariant: text and cursor are read together, with no await until the reader stands.
        held = services.event_log.find(turn_id)
        # Not the writer's cursor: of a turn just taken over the last entry is of a former epoch.
        covers = None if held is None else held.before_end
        if covers is None:
            return services.readers.bye("unavailable", headers=manner.headers)
        return _follow_from(services, turn_id, covers, _reset(live), manner=manner)
    services.metrics.attached("follow" if cursor == START else "replay")
    return services.readers.follow(
        turn_id,
        reader,
        headers=manner.headers,
        audio_of=manner.audio_of,
        listener=manner.listener,
    )


def _reset(live: LiveTurn) -> TurnReset:
    speech = live.speech
    return TurnReset(
        text=live.draft.text,
        reason="cursor_lost",
        sentence=speech.sentence_count if speech else 0,
        speech=speech.next_index if speech else 0,
    )


async def _attach_recorded(
    services: Services, record: TurnRecord, cursor: Cursor, manner: _Manner
) -> Response:
    try:
        reader = services.event_log.attach(record.turn_id, cursor)
    except LogNotFoundError:
        return await _rest_of_record(services, record, cursor, manner.headers)
    except CursorLostError:
        if record.status is TurnStatus.RUNNING:
            return _reset_to_log(services, record, manner)
        return await _rest_of_record(services, record, cursor, manner.headers)
    if reader.at_end:
        services.metrics.attached("no_content")
        return Response(status_code=204, headers=dict(manner.headers))
    services.metrics.attached("replay")
    return services.readers.follow(
        record.turn_id,
        reader,
        headers=manner.headers,
        audio_of=manner.audio_of,
        elsewhere=manner.elsewhere,
        listener=manner.listener,
    )


def _reset_to_log(services: Services, record: TurnRecord, manner: _Manner) -> Response:
    """Answer a reader whose cursor the shared log does not know: what it holds, then live."""
    turn_id, held = record.turn_id, services.event_log.find(record.turn_id)
    # Invariant: text and cursor are read together, with no await until the reader stands.
    found = None if held is None else snapshot(held)
    if found is None:
        return services.readers.bye("unavailable", headers=manner.headers)
    covers, state = found
    reset = TurnReset(state.draft.text, "cursor_lost", state.sentence, state.speech)
    return _follow_from(services, turn_id, covers, reset, manner=manner)


def _follow_from(
    services: Services, turn_id: str, covers: Cursor, reset: TurnReset, *, manner: _Manner
) -> Response:
    services.metrics.reset_sent("cursor_lost")
    services.metrics.attached("reset")
    return services.readers.follow(
        turn_id,
        services.event_log.attach(turn_id, covers),
        headers=manner.headers,
        audio_of=manner.audio_of,
        prefix=reset_frame(turn_id, covers, reset),
        elsewhere=manner.elsewhere,
        listener=manner.listener,
    )


async def _rest_of_record(
    services: Services, record: TurnRecord, cursor: Cursor, headers: Mapping[str, str]
) -> Response:
    """Answer from the record alone: the log has expired, or went with the process that had it."""
    if record.status is TurnStatus.RUNNING:
        return services.readers.bye("unavailable", headers=headers)
    end = await _end_of(record)
    if cursor == end:
        services.metrics.attached("no_content")
        return Response(status_code=204, headers=dict(headers))
    reset = TurnReset(
        text=record.text,
        reason="log_expired",
        sentence=await count_sentences(record),
        speech=len(record.speech),
    )
    covers = last_covered(record)
    terminal = terminal_from_record(record)
    services.metrics.reset_sent("log_expired")
    services.metrics.attached("reset")
    return services.readers.once(
        reset_frame(record.turn_id, covers, reset)
        + FrameEncoder(record.turn_id).encode(end.epoch, end.seq, terminal),
        headers=headers,
    )


async def _end_of(record: TurnRecord) -> Cursor:
    """Return the terminal entry's place.

    Where the process was lost in mid-speech, the record's last seq may be that of a chunk that was
    told: its end has an epoch of its own, so that no reader takes the one for the other.
    """
    lost = record.status is TurnStatus.COMPLETED and await lost_its_speech(record)
    return Cursor(record.epoch + 1 if lost else record.epoch, record.last_seq)
