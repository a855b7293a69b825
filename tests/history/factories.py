"""Values for tests of the record: all valid, each named field free to choose."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from history.model import (
    Checkpoint,
    Conversation,
    Idempotency,
    NewTurn,
    SpokenUnit,
    TurnEnd,
    TurnRecord,
    TurnSeal,
    TurnStatus,
    Usage,
)

NOW = datetime(2096, 5, 4, 12, 30, 15, 123000, tzinfo=UTC)
"""In the future: a server drops idempotency keys that have expired by its own clock."""
OWNER = "user-1"

_numbers = count(1)


def later(seconds: float) -> datetime:
    """Return an instant after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def a_conversation(conversation_id: str | None = None, **fields: Any) -> Conversation:
    """Return a new, empty conversation."""
    plain = Conversation(
        conversation_id=conversation_id or f"c-{next(_numbers):06}",
        owner_id=OWNER,
        title="A talk",
        chatbot_id="default",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(plain, **fields)


def a_turn(conversation_id: str, **fields: Any) -> NewTurn:
    """Return a new turn of a conversation that exists."""
    number = next(_numbers)
    plain = NewTurn(
        turn_id=f"t-{number:06}",
        owner_id=OWNER,
        conversation_id=conversation_id,
        user_message_id=f"u-{number:06}",
        message_id=f"a-{number:06}",
        text="How are you?",
        chatbot_id="default",
        model="offline",
        streaming=True,
        worker_id="worker-1",
        spec={"prompt": [{"role": "user", "text": "How are you?"}], "temperature": 0.5},
        metadata={"page.path": "/", "$set": {"a": None}},
        started_at=NOW,
    )
    return replace(plain, **fields)


def a_first_turn(**fields: Any) -> NewTurn:
    """Return a turn that brings its conversation along."""
    conversation = a_conversation(owner_id=fields.get("owner_id", OWNER))
    return a_turn(conversation.conversation_id, new_conversation=conversation, **fields)


def a_key(key: str = "key-1", *, body: str = "body-1", lasts_s: float = 86_400) -> Idempotency:
    """Return an idempotency key."""
    return Idempotency(key_hash=key, body_hash=body, expires_at=later(lasts_s))


def an_end(record: TurnRecord | NewTurn, **fields: Any) -> TurnEnd:
    """Return the normal end of a turn."""
    plain = TurnEnd(
        turn_id=record.turn_id,
        expected_epoch=1,
        epoch=1,
        last_seq=12,
        status=TurnStatus.COMPLETED,
        text="Fine, thank you.",
        ended_at=later(5),
        finish_reason="stop",
        usage=Usage(input_tokens=12, output_tokens=5, source="exact"),
        error=None,
        end={"text": "Fine, thank you.", "finish_reason": "stop", "timings": {"ttft_ms": 12.5}},
    )
    return replace(plain, **fields)


def a_seal(record: TurnRecord | NewTurn, **fields: Any) -> TurnSeal:
    """Return what follows the normal end of a turn that was spoken."""
    plain = TurnSeal(
        turn_id=record.turn_id,
        epoch=1,
        last_seq=15,
        end={"text": "Fine, thank you.", "finish_reason": "stop", "timings": {"ttfa_ms": 310.5}},
        speech=(SpokenUnit(0, "Fine, thank you."),),
    )
    return replace(plain, **fields)


def a_checkpoint(record: TurnRecord | NewTurn, **fields: Any) -> Checkpoint:
    """Return a checkpoint of a running turn."""
    plain = Checkpoint(turn_id=record.turn_id, epoch=1, last_seq=3, text="Fine", at=later(1))
    return replace(plain, **fields)
