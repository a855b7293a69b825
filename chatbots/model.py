"""A chatbot's values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

DEFAULT_CHATBOT_ID = "default"

OnBreak = Literal["continue", "restart", "interrupt"]
"""What becomes of an answer that breaks off: it is gone on with, begun anew, or left as it is."""

Moderation = Literal["off", "flag", "block"]
"""What becomes of what may not be said: it is not looked for, it is noted, or it is kept back."""


@dataclass(frozen=True, slots=True)
class Chatbot:
    """How one assistant behaves. `instructions` and `moderation` are shown to admins only."""

    chatbot_id: str
    name: str
    instructions: str
    model: str | None = None
    temperature: float | None = None
    voice: str | None = None
    greeting: str | None = None
    max_response_chars: int | None = None
    on_break: OnBreak = "continue"
    moderation: Moderation = "off"
    enabled: bool = True
    version: int = 1


@dataclass(frozen=True, slots=True)
class FormerChatbot:
    """A chatbot as it was until it was replaced."""

    chatbot: Chatbot
    replaced_at: datetime


DEFAULT_CHATBOT = Chatbot(
    chatbot_id=DEFAULT_CHATBOT_ID,
    name="Assistant",
    instructions=(
        "You are a helpful assistant. Answer clearly and briefly, in the language of the question."
        " Say so when you do not know."
    ),
    greeting="Hello! What would you like to know?",
)
"""Stored at first start when there is no chatbot yet."""
