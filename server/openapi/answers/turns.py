"""A turn's state, and where its events are."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from history.model import TurnStatus
from server.openapi.answer import Maybe, Told


class TokenUsage(Told):
    """Tokens counted by the model (`exact`), by us (`estimated`), or not at all."""

    input_tokens: int | None
    output_tokens: int | None
    source: Literal["exact", "estimated", "unknown"]


class TurnError(Told):
    """Why a turn failed."""

    code: str
    detail: str
    retryable: bool


class Turn(Told):
    """A turn's state. While it runs, `text` is what has been written up to `last_seq`."""

    turn_id: str
    conversation_id: str
    status: TurnStatus
    streaming: bool
    message_id: str
    text: str
    stored: bool | Maybe = Field(
        None, description="Of an ended one: whether history has it; if not, the write is retried."
    )
    finish_reason: Literal["stop", "length"] | Maybe = None
    usage: TokenUsage | Maybe = None
    error: TurnError | Maybe = None
    epoch: int
    last_seq: int
    started_at: datetime
    ended_at: datetime | Maybe = None


class StartedTurn(Told):
    """Where a started turn's events are."""

    turn_id: str
    conversation_id: str
    streaming: Literal[True]
    events_url: str
