"""The vocabulary of a turn's log: what can happen, and the data each event carries on the wire.

Events are values. Their fields, in order, are the JSON of the `data:` line; there is no second
serialisation format. Heartbeats, `bye` and `session.ended` are not here: they have no place in the
log and are made while framing (`streaming.sse`).
"""

from typing import ClassVar, Literal

import msgspec

UsageSource = Literal["exact", "estimated", "unknown"]
CancelledBy = Literal["user", "operator", "abandoned"]


class UsageData(msgspec.Struct, frozen=True):
    """Tokens counted by the model (`exact`), by us (`estimated`), or not at all."""

    input_tokens: int | None
    output_tokens: int | None
    source: UsageSource


class Timings(msgspec.Struct, frozen=True):
    """Seconds since the request was received; `ttft_s` is None where no text came."""

    ttft_s: float | None
    total_s: float


class Event(msgspec.Struct, frozen=True):
    """One record in a turn's log."""

    name: ClassVar[str] = ""
    is_terminal: ClassVar[bool] = False


class TurnStarted(Event, frozen=True):
    """Always seq 1."""

    name = "turn.started"

    turn_id: str
    conversation_id: str
    message_id: str
    chatbot_id: str
    model: str
    streaming: bool


class TextDelta(Event, frozen=True):
    """The next piece of text."""

    name = "text.delta"

    text: str


class TextDone(Event, frozen=True):
    """The text is complete; only speech may follow before the terminal event."""

    name = "text.done"

    text: str
    message_id: str
    stored: bool


class SentenceCompleted(Event, frozen=True):
    """A sentence of the text is complete; only of a turn that is spoken."""

    name = "sentence.completed"

    index: int
    text: str
    kind: Literal["text", "code", "table", "math", "rule"]
    start: int
    end: int


class SpeechChunk(Event, frozen=True):
    """The next audio. Its bytes are not here: a reader's framing adds them (`speech.inline`)."""

    name = "speech.chunk"

    index: int
    sentence: int
    media_type: str
    duration_s: float
    size_bytes: int = msgspec.field(name="bytes")
    audio_id: str
    url: str


class SpeechFailed(Event, frozen=True):
    """This unit of speech will not come; text and later audio go on."""

    name = "speech.failed"

    index: int
    sentence: int
    code: str


class TurnReset(Event, frozen=True):
    """Replace what you show with `text`; then come the sentence and speech of these indexes."""

    name = "turn.reset"

    text: str
    reason: str
    sentence: int = 0
    speech: int = 0


class TurnCompleted(Event, frozen=True):
    """The model finished, or a length limit was reached."""

    name = "turn.completed"
    is_terminal = True

    message_id: str
    stored: bool
    text: str
    finish_reason: Literal["stop", "length"]
    usage: UsageData
    timings: Timings


class TurnFailed(Event, frozen=True):
    """The token source failed; `text` is the partial kept in history."""

    name = "turn.failed"
    is_terminal = True

    message_id: str
    stored: bool
    text: str
    usage: UsageData
    code: str
    detail: str
    retryable: bool


class TurnCancelled(Event, frozen=True):
    """Somebody stopped it; `text` replaces what every reader shows."""

    name = "turn.cancelled"
    is_terminal = True

    message_id: str
    stored: bool
    text: str
    usage: UsageData
    by: CancelledBy


class TurnInterrupted(Event, frozen=True):
    """The server lost it and could not go on."""

    name = "turn.interrupted"
    is_terminal = True

    message_id: str
    stored: bool
    text: str
    usage: UsageData
    reason: str


TerminalEvent = TurnCompleted | TurnFailed | TurnCancelled | TurnInterrupted
