"""Speech outside the event stream."""

from server.openapi.answers.speech import AUDIO, Voices
from server.openapi.describing import Answer, Doc, Parameter, Tag
from server.openapi.parameters import KNOWN_TAGS

_ENGINE = (
    "speech_error",
    "speech_off",
    "speech_refused",
    "speech_timeout",
    "speech_unavailable",
)
_OF_AUDIO = ("ETag", "Accept-Ranges", "X-Speech-Duration")
_OF_UNIT = (*_OF_AUDIO, "X-Speech-Sentence", "X-Speech-Range")

AGAIN = Doc(
    Tag.SPEECH,
    summary="Get a unit of a turn's speech again",
    description="Audio that is no longer kept is made again; an answer that was never spoken is,"
    " up to the first 404.",
    answers={
        200: Answer("The audio.", AUDIO, _OF_UNIT),
        206: Answer("The part that was asked for.", AUDIO, (*_OF_UNIT, "Content-Range")),
        304: Answer("The caller has it.", headers=_OF_UNIT),
    },
    problems={
        404: ("audio_not_found", "turn_not_found"),
        410: ("audio_gone",),
        416: ("range_not_satisfiable",),
        422: ("speech_too_long",),
        503: (*_ENGINE, "history_unavailable"),
    },
    parameters=(
        KNOWN_TAGS,
        Parameter(
            "Range",
            "One range of bytes; anything else is answered with the whole.",
            {"type": "string", "examples": ["bytes=0-1023"]},
            where="header",
        ),
    ),
)
VOICES = Doc(
    Tag.SPEECH,
    answers={
        200: Answer(
            "The voices.",
            Voices,
            example={"engine": "espeak", "voices": [{"name": "en-us", "language": "en-US"}]},
        )
    },
    problems={503: _ENGINE},
)
SPEAK = Doc(
    Tag.SPEECH,
    summary="Speak a given text",
    description="What is no speech, such as code and markup, is left out.",
    answers={200: Answer("The audio.", AUDIO, _OF_AUDIO)},
    problems={
        422: ("nothing_to_say", "speech_too_long"),
        429: ("speech_budget_spent",),
        503: _ENGINE,
    },
    example={"text": "Hello!"},
)
