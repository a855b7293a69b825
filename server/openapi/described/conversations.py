"""Conversations, their messages, and feedback."""

from server.openapi.answers.conversations import Conversation, Conversations, Message, Messages
from server.openapi.describing import Answer, Doc, Parameter, Tag
from server.openapi.parameters import CURSOR, limit

_UNAVAILABLE = {503: ("history_unavailable",)}
_GONE = {404: ("conversation_not_found",), **_UNAVAILABLE}
_CONVERSATION = {
    "conversation_id": "conv_06gv7tq2wc",
    "title": "Resuming streams",
    "chatbot_id": "default",
    "created_at": "2026-01-31T09:30:00.000Z",
    "updated_at": "2026-01-31T09:30:01.250Z",
    "active_turn_id": None,
}
_MESSAGE = {
    "message_id": "msg_06gv7tq2xg",
    "seq": 2,
    "role": "assistant",
    "text": "Send the id of the last event you have.",
    "status": "completed",
    "created_at": "2026-01-31T09:30:01.250Z",
    "turn_id": "turn_06gv7tq2x8",
    "chatbot_id": "default",
}

LIST = Doc(
    Tag.CONVERSATIONS,
    answers={
        200: Answer(
            "A page.", Conversations, example={"conversations": [_CONVERSATION], "next": None}
        )
    },
    problems={422: ("invalid",), **_UNAVAILABLE},
    parameters=(limit(default=20, most=100), CURSOR),
)
CREATE = Doc(
    Tag.CONVERSATIONS,
    answers={201: Answer("Made.", Conversation, ("Location",), example=_CONVERSATION)},
    problems={
        404: ("chatbot_not_found",),
        503: ("history_unavailable", "chatbots_unavailable"),
    },
    example={"title": "Resuming streams"},
)
GET = Doc(
    Tag.CONVERSATIONS,
    answers={200: Answer("The conversation.", Conversation, example=_CONVERSATION)},
    problems=_GONE,
)
RENAME = Doc(
    Tag.CONVERSATIONS,
    answers={200: Answer("The conversation.", Conversation, example=_CONVERSATION)},
    problems=_GONE,
    example={"title": "Resuming streams"},
)
DELETE = Doc(
    Tag.CONVERSATIONS,
    answers={204: Answer("Deleted with all it held.")},
    problems=_GONE,
)
MESSAGES = Doc(
    Tag.CONVERSATIONS,
    answers={200: Answer("A page.", Messages, example={"messages": [_MESSAGE], "next": None})},
    problems={422: ("invalid",), **_GONE},
    parameters=(
        limit(default=50, most=200),
        Parameter(
            "before",
            "`next` of the page before: messages older than that.",
            {"type": "integer", "minimum": 1, "maximum": 2**53},
        ),
    ),
)
FEEDBACK = Doc(
    Tag.CONVERSATIONS,
    answers={
        200: Answer(
            "The message.",
            Message,
            example={
                **_MESSAGE,
                "feedback": {"rating": "up", "comment": None, "at": "2026-01-31T09:31:00.000Z"},
            },
        )
    },
    problems={404: ("message_not_found",), **_UNAVAILABLE},
    example={"rating": "up"},
)
