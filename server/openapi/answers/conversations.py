"""Conversations, their messages, and the chatbots they are had with."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from chatbots.model import Moderation, OnBreak
from history.model import TurnStatus
from server.openapi.answer import Maybe, Told
from server.openapi.answers.turns import TokenUsage


class Conversation(Told):
    """A thread of messages."""

    conversation_id: str
    title: str
    chatbot_id: str
    created_at: datetime
    updated_at: datetime
    active_turn_id: str | None = Field(description="The turn that writes in it now.")


class Conversations(Told):
    """A page of conversations, most recently used first."""

    conversations: list[Conversation]
    next: str | None


class FeedbackGiven(Told):
    """What the owner thought of an answer."""

    rating: Literal["up", "down"]
    comment: str | None
    at: datetime


class Message(Told):
    """One immutable utterance; an assistant's has the status of its turn."""

    message_id: str
    seq: int
    role: Literal["user", "assistant"]
    text: str
    status: TurnStatus
    created_at: datetime
    turn_id: str
    chatbot_id: str
    model: str | Maybe = None
    usage: TokenUsage | Maybe = None
    feedback: FeedbackGiven | Maybe = None


class Messages(Told):
    """A page of messages, newest last."""

    messages: list[Message]
    next: int | None = Field(description="The `before` of the page above.")


class Chatbot(Told):
    """An assistant that can be asked."""

    chatbot_id: str
    name: str
    on_break: OnBreak
    enabled: bool
    instructions: str | Maybe = Field(None, description="For admins only.")
    version: int | Maybe = Field(None, description="For admins only.")
    moderation: Moderation | Maybe = Field(None, description="For admins only.")
    model: str | Maybe = None
    temperature: float | Maybe = None
    voice: str | Maybe = None
    greeting: str | Maybe = None
    max_response_chars: int | Maybe = None


class ChatbotVersion(Chatbot):
    """A chatbot as it is, or was."""

    replaced_at: datetime | None = Field(description="null: it is served.")


class ChatbotVersions(Told):
    """A chatbot's versions, newest first: the one that is served, and the last 50 before it."""

    versions: list[ChatbotVersion]
    next: None


class Chatbots(Told):
    """The chatbots, by id."""

    chatbots: list[Chatbot]
    next: None
