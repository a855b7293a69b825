"""The voices, and audio."""

from server.openapi.answer import Told
from server.openapi.describing import Media

AUDIO = (Media("audio/mpeg"), Media("audio/ogg"), Media("audio/wav"))
"""What engines make: binary, so that there is no schema."""


class Voice(Told):
    """A voice of the engine that speaks."""

    name: str
    language: str


class Voices(Told):
    """The voices of the engine that speaks."""

    engine: str
    voices: list[Voice]
