"""How values are written down in any store: instants, maps, cursors. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from history.model import Conversation, Feedback, Message, Page, Rating, SpokenUnit, Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CURSOR = re.compile(r"([0-9]{1,15})\.([\x21-\x7e]{1,128})", re.ASCII)


def to_ms(at: datetime) -> int:
    """Return whole milliseconds since 1970; what is finer is cut off."""
    return (at - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """Return the instant of `to_ms`, aware, UTC."""
    return _EPOCH + ms * _MILLISECOND


def dump_map(value: Mapping[str, object]) -> str:
    """Return a map as JSON; ASCII, so that a caller's lone surrogate cannot break a store."""
    return json.dumps(dict(value), separators=(",", ":"))


def dump_optional_map(value: Mapping[str, object] | None) -> str | None:
    """Return a map as JSON, or None."""
    return None if value is None else dump_map(value)


def load_map(text: str) -> Mapping[str, object]:
    """Return the map that `dump_map` wrote."""
    loaded: dict[str, object] = json.loads(text)
    return loaded


def load_optional_map(text: str | None) -> Mapping[str, object] | None:
    """Return the map that `dump_optional_map` wrote, or None."""
    return None if text is None else load_map(text)


def dump_usage(usage: Usage | None) -> str | None:
    """Return usage as JSON, or None."""
    if usage is None:
        return None
    return dump_map(
        {"input": usage.input_tokens, "output": usage.output_tokens, "source": usage.source}
    )


def load_usage(text: str | None) -> Usage | None:
    """Return the usage that `dump_usage` wrote, or None; unknown fields are ignored."""
    if text is None:
        return None
    stored = json.loads(text)
    return Usage(stored["input"], stored["output"], stored["source"])


def dump_feedback(feedback: Feedback | None) -> str | None:
    """Return feedback as JSON, or None."""
    if feedback is None:
        return None
    return dump_map(
        {"rating": feedback.rating, "comment": feedback.comment, "at": to_ms(feedback.at)}
    )


def load_feedback(text: str | None) -> Feedback | None:
    """Return the feedback that `dump_feedback` wrote, or None; unknown fields are ignored."""
    if text is None:
        return None
    stored = json.loads(text)
    rating: Rating = stored["rating"]
    return Feedback(rating, stored["comment"], from_ms(stored["at"]))


def dump_speech(speech: Sequence[SpokenUnit]) -> str:
    """Return units of speech as JSON, in order; ASCII, as in `dump_map`."""
    units = [
        {"sentence": unit.sentence, "text": unit.text, "language": unit.language} for unit in speech
    ]
    return json.dumps(units, separators=(",", ":"))


def load_speech(text: str | None) -> tuple[SpokenUnit, ...]:
    """Return the units that `dump_speech` wrote, none for None; unknown fields are ignored."""
    if text is None:
        return ()
    return tuple(
        SpokenUnit(unit["sentence"], unit["text"], unit["language"]) for unit in json.loads(text)
    )


def format_cursor(conversation: Conversation) -> str:
    """Return the cursor of the page that follows `conversation`."""
    return f"{to_ms(conversation.updated_at)}.{conversation.conversation_id}"


def parse_cursor(cursor: str) -> tuple[int, str]:
    """Return milliseconds and id of a cursor.

    Raises:
        ValueError: it is not one of ours.
    """
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ValueError("The cursor is not one of this list's.")
    return int(match[1]), match[2]


def conversation_page(found: Sequence[Conversation], limit: int) -> Page[Conversation]:
    """Return a page of at most `limit`; one item more than that says that another follows."""
    items = tuple(found[:limit])
    return Page(items, format_cursor(items[-1]) if len(found) > limit else None)


def message_page(newest_first: Sequence[Message], limit: int) -> Page[Message]:
    """Return the newest `limit` messages, oldest first; one more says that others precede."""
    items = tuple(reversed(newest_first[:limit]))
    return Page(items, str(items[0].seq) if len(newest_first) > limit else None)
