"""What many routes take: ids in paths, pages of lists, versions, and repetitions that are safe."""

from collections.abc import Mapping

from server.openapi.describing import Parameter, Schema

ID_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
ID: Schema = {"type": "string", "pattern": ID_PATTERN}

IN_PATHS: Mapping[str, Parameter] = {
    each.name: each
    for each in (
        Parameter("turn_id", "The turn.", ID, where="path"),
        Parameter("conversation_id", "The conversation.", ID, where="path"),
        Parameter("message_id", "The message.", ID, where="path"),
        Parameter("chatbot_id", "The chatbot.", ID, where="path"),
        Parameter(
            "audio_id",
            "A unit of a turn's speech: `<turn_id>.<index>`.",
            {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}\\.[0-9]{1,6}$"},
            where="path",
        ),
        Parameter("key", "The flag.", {"type": "string", "maxLength": 100}, where="path"),
        Parameter("name", "The segment.", {"type": "string", "maxLength": 100}, where="path"),
        Parameter("user_id", "The user.", ID, where="path"),
        Parameter("session_id", "The sign-in.", ID, where="path"),
        Parameter("key_id", "The public part of an API key.", ID, where="path"),
    )
}
"""By the name in a route's path; the document says nothing of a parameter that is not here."""

CURSOR = Parameter("cursor", "`next` of the page before; without it the list begins.")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "Makes a repetition harmless for 24 h: the same key and request are answered as the first"
    " time, the same key with another request is 409.",
    {"type": "string", "pattern": "^[!-~]{1,255}$"},
    where="header",
)
IF_MATCH = Parameter(
    "If-Match",
    "The version that the change is meant for, as an `ETag`; at another one it is 412.",
    {
        "type": "string",
        "pattern": '^(W/)?"[1-9][0-9]{0,14}"$|^[1-9][0-9]{0,14}$',
        "examples": ['"7"'],
    },
    where="header",
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "`*`: only where nothing is yet, else 412.",
    {"type": "string", "const": "*"},
    where="header",
)
KNOWN_TAGS = Parameter(
    "If-None-Match",
    "`ETag`s of what the caller has: the same is answered with 304.",
    where="header",
)
REASON = Parameter("reason", "Why, for its history.", {"type": "string", "maxLength": 500})


def limit(*, default: int, most: int) -> Parameter:
    """Return the parameter for how many entries a page may have."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter("limit", "How many at most.", schema)
