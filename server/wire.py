"""How stored values look in JSON answers (contract §1, §2), and how paths and queries are read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from starlette.requests import Request

from accounts.model import User
from chatbots.model import Chatbot
from history.model import Conversation, Message, TurnEnd, TurnRecord, TurnStatus, Usage
from server.auth.caller import Caller, Owner
from server.errors import ProblemError
from server.services import Services
from streaming.turn import LiveTurn

Json = dict[str, object]


def services_of(request: Request) -> Services:
    """Return the services that the application was made with."""
    services: Services = request.app.state.services
    return services


def owner_of(request: Request) -> Owner:
    """Return whose request it is; only routes of `Access.OWNER` or `USER` may ask.

    Raises:
        ProblemError: 401, nobody's: the route's rule is wrong.
    """
    caller: Caller = request.state.caller
    if caller.owner is None:
        raise ProblemError(401, "unauthenticated", "Sign in first.")
    return caller.owner


def whole_number(request: Request, name: str, *, default: int, low: int, high: int) -> int:
    """Return a query parameter.

    Raises:
        ProblemError: 422, not a whole number within the bounds.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 16 and low <= int(text) <= high:  # noqa: PLR2004  # fits 64 bits
        return int(text)
    message = f"must be a whole number from {low} to {high}"
    raise ProblemError(
        422, "invalid", f"{name} {message}.", errors=[{"field": name, "message": message}]
    )


def instant(at: datetime) -> str:
    """Return an instant as RFC 3339 in UTC, with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def account_json(user: User) -> Json:
    """Return an account as its user sees it; of a password only whether there is one."""
    return {
        "user_id": user.user_id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "created_at": instant(user.created_at),
        "has_password": user.password_hash is not None,
    }


def conversation_json(conversation: Conversation) -> Json:
    """Return a conversation as the contract shows it."""
    return {
        "conversation_id": conversation.conversation_id,
        "title": conversation.title,
        "chatbot_id": conversation.chatbot_id,
        "created_at": instant(conversation.created_at),
        "updated_at": instant(conversation.updated_at),
        "active_turn_id": conversation.active_turn_id,
    }


def message_json(message: Message) -> Json:
    """Return a message as the contract shows it."""
    answer: Json = {
        "message_id": message.message_id,
        "seq": message.seq,
        "role": message.role,
        "text": message.text,
        "status": message.status.value,
        "created_at": instant(message.created_at),
        "turn_id": message.turn_id,
        "chatbot_id": message.chatbot_id,
    }
    if message.model is not None:
        answer["model"] = message.model
    if message.usage is not None:
        answer["usage"] = usage_json(message.usage)
    if message.feedback is not None:
        answer["feedback"] = {
            "rating": message.feedback.rating,
            "comment": message.feedback.comment,
            "at": instant(message.feedback.at),
        }
    return answer


def chatbot_json(chatbot: Chatbot, *, is_admin: bool = False) -> Json:
    """Return a chatbot; `instructions`, `moderation`, `version` only for admins."""
    answer: Json = {
        "chatbot_id": chatbot.chatbot_id,
        "name": chatbot.name,
        "on_break": chatbot.on_break,
        "enabled": chatbot.enabled,
    }
    if is_admin:
        answer |= {
            "instructions": chatbot.instructions,
            "moderation": chatbot.moderation,
            "version": chatbot.version,
        }
    for name in ("model", "temperature", "voice", "greeting", "max_response_chars"):
        if (value := getattr(chatbot, name)) is not None:
            answer[name] = value
    return answer


def usage_json(usage: Usage) -> Json:
    """Return token counts and how well they are known."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "source": usage.source,
    }


def turn_json(record: TurnRecord) -> Json:
    """Return a turn's state as its record has it; of a running one that is the checkpoint."""
    answer: Json = {
        "turn_id": record.turn_id,
        "conversation_id": record.conversation_id,
        "status": record.status.value,
        "streaming": record.streaming,
        "message_id": record.message_id,
        "text": record.text,
        "epoch": record.epoch,
        "last_seq": record.last_seq,
        "started_at": instant(record.started_at),
    }
    if record.status is not TurnStatus.RUNNING:
        answer["stored"] = True
        _add_end(answer, record)
    return answer


def live_turn_json(record: TurnRecord, turn: LiveTurn) -> Json:
    """Return the state of a turn that runs here: newer than its checkpoint, text and seq agree.

    It runs until its log ends, though its record ends with its text, before its speech.
    """
    cursor = turn.writer.cursor
    answer = turn_json(replace(record, status=TurnStatus.RUNNING))
    return answer | {
        "text": turn.draft.text,
        "epoch": cursor.epoch,
        "last_seq": cursor.seq,
    }


def unstored_turn_json(record: TurnRecord, end: TurnEnd) -> Json:
    """Return the state of a turn that has ended while history could not be told."""
    answer = turn_json(record) | {
        "status": end.status.value,
        "text": end.text,
        "stored": False,
        "epoch": end.epoch,
        "last_seq": end.last_seq,
    }
    _add_end(answer, end)
    return answer


def ended_turn_json(turn: LiveTurn, end: TurnEnd) -> Json:
    """Return the state of a turn that ended here, without its record: history cannot be read."""
    spec = turn.spec
    answer: Json = {
        "turn_id": spec.turn_id,
        "conversation_id": spec.conversation_id,
        "status": end.status.value,
        "streaming": spec.streaming,
        "message_id": spec.message_id,
        "text": end.text,
        "stored": False,
        "epoch": end.epoch,
        "last_seq": end.last_seq,
        "started_at": instant(
            datetime.now(UTC) - timedelta(seconds=monotonic() - spec.received_at)
        ),
    }
    _add_end(answer, end)
    return answer


def _add_end(answer: Json, end: TurnRecord | TurnEnd) -> None:
    if end.ended_at is not None:
        answer["ended_at"] = instant(end.ended_at)
    if end.finish_reason is not None:
        answer["finish_reason"] = end.finish_reason
    if end.usage is not None:
        answer["usage"] = usage_json(end.usage)
    if end.error is not None:
        answer["error"] = dict(end.error)


def state_json(services: Services, record: TurnRecord) -> Json:
    """Return a turn's state, as whoever knows most of it here tells it."""
    live, end = services.runner.find(record.turn_id), services.keeper.unstored(record.turn_id)
    if live is not None:  # also where only its speech goes on: its log has not ended
        return live_turn_json(record, live)
    if end is not None:
        return unstored_turn_json(record, end)
    return turn_json(record)
