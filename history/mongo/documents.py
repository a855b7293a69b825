"""Documents and indexes of the record in MongoDB, and how documents become values.

Ids are strings. Maps that a caller shapes are JSON strings, because their keys may hold what the
store gives a meaning to. Instants are whole milliseconds since 1970 as integers: they compare and
update alike on every server that speaks the protocol, which dates do not. The one date is what
the server itself must understand, the instant at which it drops an idempotency key.
"""

from datetime import datetime
from typing import Final, NotRequired, TypedDict

from history import codec
from history.model import (
    RECORD_VERSION,
    Conversation,
    Message,
    NewTurn,
    Role,
    TurnRecord,
    TurnStatus,
)
from storage.mongo import Index

BEGINNING: Final = "beginning"
"""Status of a turn whose begin is half done; to readers it is not there yet."""

INDEXES = (
    Index("conversations", (("owner_id", 1), ("updated_at", -1), ("conversation_id", -1))),
    Index("conversations", (("active_turn_id", 1),)),
    Index("conversations", (("deleted_at", 1),)),
    Index("messages", (("conversation_id", 1), ("seq", 1)), unique=True),
    Index("turns", (("status", 1), ("heartbeat_at", 1))),
    Index("turns", (("conversation_id", 1),)),
    Index("idempotency_keys", (("expires_at", 1),), expires=True),
    Index("idempotency_keys", (("expires_ms", 1),)),
    Index("idempotency_keys", (("conversation_id", 1),)),
)


class ConversationDoc(TypedDict):
    """A conversation; `active_turn_id` is the slot that the one running turn holds.

    A deleted one keeps its `_id` with `deleted_at` and no owner for a while, so that a write that
    was under way finds it gone and cleans up.
    """

    _id: str
    conversation_id: str  # again, because an index over `_id` and others is not portable
    owner_id: str
    title: str
    chatbot_id: str
    created_at: int
    updated_at: int
    last_seq: int
    active_turn_id: str | None
    v: int


class MessageDoc(TypedDict):
    """A message."""

    _id: str
    conversation_id: str
    owner_id: str
    seq: int
    role: Role
    text: str
    status: str
    created_at: int
    turn_id: str
    chatbot_id: str
    model: str | None
    usage: str | None
    feedback: str | None
    v: int


class BeginningDoc(TypedDict):
    """What a begin still has to write: inside the turn's document until it is done."""

    text: str | None
    conversation: ConversationDoc | None  # to create where there is none of its id
    key_hash: str | None


class TurnDoc(TypedDict):
    """A turn; while it begins, `beginning` holds what is needed to finish that."""

    _id: str
    conversation_id: str
    owner_id: str
    user_message_id: str
    message_id: str
    answer_seq: int
    chatbot_id: str
    model: str
    streaming: bool
    worker_id: str
    spec: str
    metadata: str
    status: str
    epoch: int
    last_seq: int
    place: int  # of the checkpoint: see `place_of`
    text: str
    started_at: int
    heartbeat_at: int
    retry_of: str | None
    ended_at: int | None
    finish_reason: str | None
    usage: str | None
    error: str | None
    end: str | None
    v: int
    speech: NotRequired[str]  # from the seal on
    beginning: NotRequired[BeginningDoc]


class KeyDoc(TypedDict):
    """An idempotency key (its hash is `_id`) and the turn that has it."""

    _id: str
    body_hash: str
    turn_id: str
    conversation_id: str
    expires_at: datetime  # read by the server only
    expires_ms: int
    v: int


def place_of(*, epoch: int, last_seq: int) -> int:
    """Return epoch and seq as one number that orders checkpoints: a guard is then one range.

    An update guarded by alternatives would say the same, but not every server reads it alike.
    """
    return (epoch << 40) + last_seq


def conversation_doc(conversation: Conversation) -> ConversationDoc:
    """Return the document of a new, empty conversation."""
    return {
        "_id": conversation.conversation_id,
        "conversation_id": conversation.conversation_id,
        "owner_id": conversation.owner_id,
        "title": conversation.title,
        "chatbot_id": conversation.chatbot_id,
        "created_at": codec.to_ms(conversation.created_at),
        "updated_at": codec.to_ms(conversation.updated_at),
        "last_seq": 0,
        "active_turn_id": None,
        "v": RECORD_VERSION,
    }


def conversation_of(doc: ConversationDoc) -> Conversation:
    """Return the conversation of a document."""
    return Conversation(
        conversation_id=doc["_id"],
        owner_id=doc["owner_id"],
        title=doc["title"],
        chatbot_id=doc["chatbot_id"],
        created_at=codec.from_ms(doc["created_at"]),
        updated_at=codec.from_ms(doc["updated_at"]),
        last_seq=doc["last_seq"],
        active_turn_id=doc["active_turn_id"],
    )


def message_doc(message: Message) -> MessageDoc:
    """Return the document of a message."""
    return {
        "_id": message.message_id,
        "conversation_id": message.conversation_id,
        "owner_id": message.owner_id,
        "seq": message.seq,
        "role": message.role,
        "text": message.text,
        "status": message.status.value,
        "created_at": codec.to_ms(message.created_at),
        "turn_id": message.turn_id,
        "chatbot_id": message.chatbot_id,
        "model": message.model,
        "usage": codec.dump_usage(message.usage),
        "feedback": codec.dump_feedback(message.feedback),
        "v": RECORD_VERSION,
    }


def message_of(doc: MessageDoc) -> Message:
    """Return the message of a document."""
    return Message(
        message_id=doc["_id"],
        conversation_id=doc["conversation_id"],
        owner_id=doc["owner_id"],
        seq=doc["seq"],
        role=doc["role"],
        text=doc["text"],
        status=TurnStatus(doc["status"]),
        created_at=codec.from_ms(doc["created_at"]),
        turn_id=doc["turn_id"],
        chatbot_id=doc["chatbot_id"],
        model=doc["model"],
        usage=codec.load_usage(doc["usage"]),
        feedback=codec.load_feedback(doc["feedback"]),
    )


def beginning_doc(turn: NewTurn, *, user_message_id: str) -> TurnDoc:
    """Return the document of a turn that begins: it holds all that the rest of the begin needs."""
    conversation = turn.new_conversation
    beginning: BeginningDoc = {
        "text": turn.text,
        "conversation": None if conversation is None else conversation_doc(conversation),
        "key_hash": None if turn.idempotency is None else turn.idempotency.key_hash,
    }
    return {
        "_id": turn.turn_id,
        "conversation_id": turn.conversation_id,
        "owner_id": turn.owner_id,
        "user_message_id": user_message_id,
        "message_id": turn.message_id,
        "answer_seq": 0,
        "chatbot_id": turn.chatbot_id,
        "model": turn.model,
        "streaming": turn.streaming,
        "worker_id": turn.worker_id,
        "spec": codec.dump_map(turn.spec),
        "metadata": codec.dump_map(turn.metadata),
        "status": BEGINNING,
        "epoch": 1,
        "last_seq": 0,
        "place": place_of(epoch=1, last_seq=0),
        "text": "",
        "started_at": codec.to_ms(turn.started_at),
        "heartbeat_at": codec.to_ms(turn.started_at),
        "retry_of": turn.retry_of,
        "ended_at": None,
        "finish_reason": None,
        "usage": None,
        "error": None,
        "end": None,
        "v": RECORD_VERSION,
        "beginning": beginning,
    }


def turn_of(doc: TurnDoc) -> TurnRecord:
    """Return the record of a document that has begun."""
    ended_at = doc["ended_at"]
    return TurnRecord(
        turn_id=doc["_id"],
        owner_id=doc["owner_id"],
        conversation_id=doc["conversation_id"],
        user_message_id=doc["user_message_id"],
        message_id=doc["message_id"],
        chatbot_id=doc["chatbot_id"],
        model=doc["model"],
        streaming=doc["streaming"],
        worker_id=doc["worker_id"],
        spec=codec.load_map(doc["spec"]),
        metadata=codec.load_map(doc["metadata"]),
        status=TurnStatus(doc["status"]),
        epoch=doc["epoch"],
        last_seq=doc["last_seq"],
        text=doc["text"],
        started_at=codec.from_ms(doc["started_at"]),
        heartbeat_at=codec.from_ms(doc["heartbeat_at"]),
        retry_of=doc["retry_of"],
        ended_at=None if ended_at is None else codec.from_ms(ended_at),
        finish_reason=doc["finish_reason"],
        usage=codec.load_usage(doc["usage"]),
        error=codec.load_optional_map(doc["error"]),
        end=codec.load_optional_map(doc["end"]),
        speech=codec.load_speech(doc.get("speech")),
    )
