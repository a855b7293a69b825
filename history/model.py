"""The record's values: plain, frozen, without behaviour beyond what follows from their fields.

Instants are aware UTC, truncated to milliseconds (what every store keeps). Ids are short ASCII
strings made by the caller, time-ordered, so that every write can be repeated safely.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Literal, TypeVar

RECORD_VERSION = 1
"""Written into every stored record: release N reads N-1's, and N-1 ignores what N adds."""


class TurnStatus(StrEnum):
    """Where a turn is; all but RUNNING are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


T = TypeVar("T")

Role = Literal["user", "assistant"]
Rating = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a turn cost in the model's own units; `source` says how well it is known."""

    input_tokens: int | None
    output_tokens: int | None
    source: Literal["exact", "estimated", "unknown"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the owner thought of an answer."""

    rating: Rating
    comment: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """A user's thread of messages; `last_seq` is the highest message number given out."""

    conversation_id: str
    owner_id: str
    title: str
    chatbot_id: str
    created_at: datetime
    updated_at: datetime
    last_seq: int = 0
    active_turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One immutable utterance. An assistant's message carries the status of its turn."""

    message_id: str
    conversation_id: str
    owner_id: str
    seq: int
    role: Role
    text: str
    status: TurnStatus
    created_at: datetime
    turn_id: str
    chatbot_id: str
    model: str | None = None
    usage: Usage | None = None
    feedback: Feedback | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's idempotency key, hashed with its owner, and the hash of the body it came with."""

    key_hash: str
    body_hash: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewTurn:
    """All that is needed to begin a turn in one (repeatable) step.

    `text` is the user's message, or None when the turn answers the message of `retry_of` again.
    `new_conversation` is stored with the turn when the caller named no conversation.
    `spec` is opaque JSON: what a takeover needs to produce the turn again.
    """

    turn_id: str
    owner_id: str
    conversation_id: str
    user_message_id: str
    message_id: str
    text: str | None
    chatbot_id: str
    model: str
    streaming: bool
    worker_id: str
    spec: Mapping[str, object]
    metadata: Mapping[str, object]
    started_at: datetime
    retry_of: str | None = None
    new_conversation: Conversation | None = None
    idempotency: Idempotency | None = None


@dataclass(frozen=True, slots=True)
class SpokenUnit:
    """One unit of speech; its place in the tuple is the `index` of its event.

    `sentence` is the index of the (first) sentence it speaks; `text`, normalised, and `language`
    are what the engine was given, so that the same audio can be made again.
    """

    sentence: int
    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """The durable state of a turn. While it runs, `text` and `last_seq` are its checkpoint.

    A spoken turn ends when its text is complete: only `TurnSeal` brings its last facts.
    """

    turn_id: str
    owner_id: str
    conversation_id: str
    user_message_id: str
    message_id: str
    chatbot_id: str
    model: str
    streaming: bool
    worker_id: str
    spec: Mapping[str, object]
    metadata: Mapping[str, object]
    status: TurnStatus
    epoch: int
    last_seq: int
    text: str
    started_at: datetime
    heartbeat_at: datetime
    retry_of: str | None = None
    ended_at: datetime | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    error: Mapping[str, object] | None = None
    end: Mapping[str, object] | None = None
    speech: tuple[SpokenUnit, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A running turn's partial text, which covers the log up to `last_seq`, and its heartbeat."""

    turn_id: str
    epoch: int
    last_seq: int
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended. Accepted once, by whoever still holds `expected_epoch`.

    `end` is the terminal event's data: what a reader is shown after the log has expired.
    """

    turn_id: str
    expected_epoch: int
    epoch: int
    last_seq: int
    status: TurnStatus
    text: str
    ended_at: datetime
    finish_reason: str | None
    usage: Usage
    error: Mapping[str, object] | None
    end: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TurnSeal:
    """What is known of a spoken turn only once its speech is out.

    `end` is the terminal event's data as written, `last_seq` its seq.
    """

    turn_id: str
    epoch: int
    last_seq: int
    end: Mapping[str, object]
    speech: tuple[SpokenUnit, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, and the cursor of the next (None at the end)."""

    items: tuple[T, ...]
    next: str | None


def question_of(turn: NewTurn, *, text: str, seq: int) -> Message:
    """Return the user's message of a turn that begins with one."""
    return Message(
        message_id=turn.user_message_id,
        conversation_id=turn.conversation_id,
        owner_id=turn.owner_id,
        seq=seq,
        role="user",
        text=text,
        status=TurnStatus.COMPLETED,
        created_at=turn.started_at,
        turn_id=turn.turn_id,
        chatbot_id=turn.chatbot_id,
    )


def answer_of(record: TurnRecord, *, seq: int) -> Message:
    """Return the assistant's message of a turn that has ended."""
    return Message(
        message_id=record.message_id,
        conversation_id=record.conversation_id,
        owner_id=record.owner_id,
        seq=seq,
        role="assistant",
        text=record.text,
        status=record.status,
        created_at=record.ended_at or record.heartbeat_at,
        turn_id=record.turn_id,
        chatbot_id=record.chatbot_id,
        model=record.model,
        usage=record.usage,
    )
