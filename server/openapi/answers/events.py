"""The events of streams: those of a turn's log are the log's own types."""

from datetime import datetime
from typing import Any

from server.openapi.answer import Told
from server.openapi.describing import Event, Events
from streaming import events

_AUDIO = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "The audio itself, unless it was asked for by url or is no longer kept.",
}


class Heartbeat(Told):
    """After 10 s without an event: the stream is alive."""

    turn_id: str
    last_seq: int
    at: datetime


class Bye(Told):
    """The server drains or is full: connect again, after the time that `retry:` says."""

    reason: str


class SessionEnded(Told):
    """Your sign-in has ended; the next attach answers 204."""

    reason: str


class Alive(Told):
    """The stream is alive, though making a state took too long."""


class OperatorsState(Told):
    """What each part's own address answers; null: it could not."""

    service: dict[str, Any] | None
    streaming: dict[str, Any] | None
    summary: dict[str, Any] | None
    health: dict[str, Any] | None
    streaming_health: dict[str, Any] | None
    flags: dict[str, Any] | None


TURN_EVENTS = Events(
    "TurnEvents",
    (
        *(
            Event(kind.name, kind, has_id=True)
            for kind in (
                events.TurnStarted,
                events.TextDelta,
                events.SentenceCompleted,
                events.TextDone,
            )
        ),
        Event(events.SpeechChunk.name, events.SpeechChunk, has_id=True, more={"data": _AUDIO}),
        *(
            Event(kind.name, kind, has_id=True)
            for kind in (
                events.SpeechFailed,
                events.TurnReset,
                events.TurnCompleted,
                events.TurnFailed,
                events.TurnCancelled,
                events.TurnInterrupted,
            )
        ),
        Event("heartbeat", Heartbeat),
        Event("bye", Bye),
        Event("session.ended", SessionEnded),
    ),
)
OPERATORS_EVENTS = Events(
    "OperatorsEvents",
    (
        Event("state", OperatorsState, about="At once, then each second."),
        Event("heartbeat", Alive),
        Event("bye", Bye),
        Event("session.ended", SessionEnded),
    ),
)
