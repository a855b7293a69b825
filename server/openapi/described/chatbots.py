"""Chatbots."""

from server.openapi.answers.conversations import Chatbot, Chatbots, ChatbotVersions
from server.openapi.describing import Answer, Doc, Tag
from server.openapi.parameters import IF_MATCH, IF_NONE_MATCH, REASON

_UNAVAILABLE = {503: ("chatbots_unavailable",)}
_UNCHANGED = {503: ("chatbots_unavailable", "accounts_unavailable")}
_CHATBOT = {
    "chatbot_id": "default",
    "name": "Assistant",
    "on_break": "continue",
    "enabled": True,
    "greeting": "Hello! What would you like to know?",
}

LIST = Doc(
    Tag.CHATBOTS,
    answers={
        200: Answer("The chatbots.", Chatbots, example={"chatbots": [_CHATBOT], "next": None})
    },
    problems=_UNAVAILABLE,
)
GET = Doc(
    Tag.CHATBOTS,
    answers={200: Answer("The chatbot.", Chatbot, ("ETag",), example=_CHATBOT)},
    problems={404: ("chatbot_not_found",), **_UNAVAILABLE},
    description="`ETag`, `instructions` and `version` are for admins.",
)
_STORED = {**_CHATBOT, "instructions": "You are a helpful assistant.", "version": 2}
PUT = Doc(
    Tag.CHATBOTS,
    answers={
        200: Answer("Replaced.", Chatbot, ("ETag",), example=_STORED),
        201: Answer("Created.", Chatbot, ("ETag",), example={**_STORED, "version": 1}),
    },
    problems={412: ("version_conflict",), **_UNCHANGED},
    description="What is left out has its default. `chatbot_id` and `version` are taken so that"
    " what was read can be sent back. Turns that run are not changed.",
    parameters=(IF_MATCH, IF_NONE_MATCH),
    example={"name": "Assistant", "instructions": "You are a helpful assistant."},
)
DELETE = Doc(
    Tag.CHATBOTS,
    answers={204: Answer("Deleted.")},
    problems={
        404: ("chatbot_not_found",),
        409: ("chatbot_required",),
        412: ("version_conflict",),
        **_UNCHANGED,
    },
    parameters=(REASON, IF_MATCH, IF_NONE_MATCH),
)
VERSIONS = Doc(
    Tag.CHATBOTS,
    answers={200: Answer("The versions.", ChatbotVersions)},
    problems={404: ("chatbot_not_found",), **_UNAVAILABLE},
    description="To go back to one, `PUT` it again.",
)
