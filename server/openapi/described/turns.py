"""Turns."""

from server.openapi.answers.events import TURN_EVENTS
from server.openapi.answers.turns import StartedTurn, Turn
from server.openapi.describing import Answer, Doc, Parameter, Tag
from server.openapi.parameters import IDEMPOTENCY_KEY

_HISTORY = "history_unavailable"
_OF_START = ("X-Turn-ID", "X-Conversation-ID", "X-Streaming")
_EVENT_ID = {"type": "string", "maxLength": 128, "examples": ["turn_06gv7tq2x8.1-17"]}
_STATE = {
    "turn_id": "turn_06gv7tq2x8",
    "conversation_id": "conv_06gv7tq2wc",
    "status": "completed",
    "streaming": True,
    "message_id": "msg_06gv7tq2xg",
    "text": "Send the id of the last event you have.",
    "stored": True,
    "finish_reason": "stop",
    "usage": {"input_tokens": 31, "output_tokens": 9, "source": "exact"},
    "epoch": 1,
    "last_seq": 12,
    "started_at": "2026-01-31T09:30:00.000Z",
    "ended_at": "2026-01-31T09:30:01.250Z",
}

START = Doc(
    Tag.TURNS,
    summary="Start a turn",
    description="""\
What it answers depends on the flag `streaming`, decided once for the turn. On, with
`Accept: text/event-stream`: its events from the first. On, else: 201 and where its events are. Off:
200 with its state and the whole text, when it has ended; white space is sent meanwhile.

The same `Idempotency-Key` and body attach to the same turn. A disconnect never stops a turn.""",
    answers={
        200: Answer(
            "Its events (flag on, `Accept` names `text/event-stream`); its state, at its end (flag"
            " off).",
            (TURN_EVENTS, Turn),
            _OF_START,
            example=_STATE,
        ),
        201: Answer(
            "Started; where its events are.",
            StartedTurn,
            _OF_START,
            example={
                "turn_id": "turn_06gv7tq2x8",
                "conversation_id": "conv_06gv7tq2wc",
                "streaming": True,
                "events_url": "/api/v1/turns/turn_06gv7tq2x8/events",
            },
        ),
    },
    problems={
        404: ("conversation_not_found", "turn_not_found", "chatbot_not_found"),
        409: ("turn_running", "idempotency_conflict"),
        422: ("message_too_long", "message_blocked"),
        429: ("too_many_turns", "token_budget_spent"),
        503: (
            _HISTORY,
            "chatbots_unavailable",
            "moderation_unavailable",
            "draining",
            "server_busy",
        ),
    },
    parameters=(IDEMPOTENCY_KEY,),
    example={"message": "How do I resume a stream?"},
)
STATE = Doc(
    Tag.TURNS,
    answers={200: Answer("Its state.", Turn, example=_STATE)},
    problems={404: ("turn_not_found",), 503: (_HISTORY,)},
    summary="Tell a turn's state",
)
EVENTS = Doc(
    Tag.TURNS,
    summary="Read a turn's events",
    description="""\
Replays what came after the cursor, then follows live to the terminal event. Without a cursor it
begins at the first. An `EventSource` sends `Last-Event-ID` by itself when it connects again; after
a reload say where you were with `last_event_id`.

It answers no other statuses than an `EventSource` survives. A server that is full answers 200 with
`retry:` and `bye`.""",
    answers={
        200: Answer(
            "The events after the cursor, to the terminal one.", TURN_EVENTS, ("X-Turn-ID",)
        ),
        204: Answer(
            "The turn has ended and the cursor is at its end, or the caller's session has ended:"
            " there is nothing more to come.",
            headers=("X-Turn-ID",),
        ),
    },
    problems={400: ("cursor_malformed",), 404: ("turn_not_found",)},
    parameters=(
        Parameter("Last-Event-ID", "The last event you have.", _EVENT_ID, where="header"),
        Parameter("last_event_id", "The same, where a header cannot be sent.", _EVENT_ID),
        Parameter(
            "audio",
            "Whether chunks of speech carry their audio; as the turn was started where left out.",
            {"type": "string", "enum": ["inline", "url"]},
        ),
    ),
)
CANCEL = Doc(
    Tag.TURNS,
    summary="Stop a turn",
    description="On whichever worker it runs; a turn that has ended stays as it ended. With `seen`,"
    " the id of the last event you showed, the stored text ends there.",
    answers={200: Answer("Its state.", Turn, example={**_STATE, "status": "cancelled"})},
    problems={400: ("cursor_malformed",), 404: ("turn_not_found",), 503: (_HISTORY,)},
    example={"seen": "turn_06gv7tq2x8.1-17"},
)
PLAYBACK = Doc(
    Tag.TURNS,
    summary="Tell how far a turn's audio has been played",
    description="No more than about 25 s is made beyond what was heard.",
    answers={204: Answer("Noted.")},
    problems={404: ("turn_not_found",), 503: (_HISTORY,)},
    example={"played_s": 3.2, "buffered_s": 11.5},
)
