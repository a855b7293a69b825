"""From a request to a turn that can begin: history, chatbot, flag and limits become values.

Past the plan nothing is asked any more: `streaming` sees a `TurnSpec`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import get_args

import msgspec

from chatbots.errors import ChatbotNotFoundError, ChatbotsError
from chatbots.model import Chatbot
from history.errors import ConversationNotFoundError, HistoryError, MessageNotFoundError
from history.model import Conversation, Idempotency, Message, NewTurn, TurnRecord, TurnStatus
from server.audio import check_voice
from server.auth.caller import Owner
from server.errors import ProblemError
from server.holders import last_turn_id
from server.ids import new_id
from server.services import Services
from server.services.rollouts import dealt_epoch, is_dealt
from server.turnstile import Arrival
from streaming.errors import SpecificationError, SpecificationLostError
from streaming.llm.base import Prompt, PromptMessage
from streaming.moderation.base import Policy
from streaming.speech.turn_speech import SpeechSpec
from streaming.turn import OnBreak, TurnSpec

IDEMPOTENCY_TTL = timedelta(hours=24)
CONTEXT_MESSAGES = 100
"""Messages read for the model's context; the budget in characters cuts further."""
TITLE_CHARS = 60


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asked for, parsed."""

    message: str | None
    conversation_id: str | None
    chatbot_id: str | None
    retry_of: str | None
    speech: Mapping[str, object]
    metadata: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is stored, and what is produced."""

    new_turn: NewTurn
    spec: TurnSpec
    question: str
    needs_title: bool


async def plan_turn(
    services: Services,
    owner: Owner,
    wanted: Wanted,
    *,
    idempotency: Idempotency | None,
    arrived: Arrival,
    counted_for: Sequence[str] = (),
) -> Plan:
    """Return the plan of a turn. Nothing is stored yet.

    Raises:
        HistoryError, ChatbotsError: not found, or not reachable.
        ProblemError: the request contradicts itself.
    """
    asked = await _asked(services, owner, wanted)
    chatbot = await _chatbot(services, wanted.chatbot_id or asked.conversation.chatbot_id)
    model = chatbot.model or services.sources.default_model
    context = _context(asked.messages, asked.text, services.settings.max_context_chars)
    turn_id, message_id = new_id("turn"), new_id("msg")
    decision = services.flags.decide_streaming(
        owner.owner_id, {"chatbot_id": chatbot.chatbot_id, "role": owner.role}
    )
    streaming = decision.value is True
    speech = await _speech(services, chatbot, wanted) if streaming else None
    spec = TurnSpec(
        turn_id=turn_id,
        owner_id=owner.owner_id,
        conversation_id=asked.conversation.conversation_id,
        message_id=message_id,
        chatbot_id=chatbot.chatbot_id,
        model=model,
        prompt=Prompt(
            messages=(PromptMessage("system", chatbot.instructions), *context),
            model=model,
            temperature=chatbot.temperature,
        ),
        streaming=streaming,
        max_response_chars=chatbot.max_response_chars or services.settings.max_response_chars,
        received_at=arrived.came_at,
        speech=speech,
        on_break=chatbot.on_break,
        former_turn_id=asked.former_turn_id,
        flag_epoch=decision.epoch if is_dealt(decision) else None,
        queued_s=arrived.waited_s,
        traceparent=arrived.traceparent,
        counted_for=counted_for,
        moderation=chatbot.moderation,
    )
    new_turn = NewTurn(
        turn_id=turn_id,
        owner_id=owner.owner_id,
        conversation_id=spec.conversation_id,
        user_message_id=asked.user_message_id,
        message_id=message_id,
        text=wanted.message,
        chatbot_id=spec.chatbot_id,
        model=model,
        streaming=streaming,
        worker_id=services.worker_id,
        spec={
            "max_response_chars": spec.max_response_chars,
            "temperature": chatbot.temperature,
            "speech": None if speech is None else asdict(speech),
            "on_break": spec.on_break,
            "counted_for": list(counted_for),
            "moderation": spec.moderation,
            "flag": {
                "key": decision.key,
                "variant": decision.variant,
                "reason": decision.reason.value,
                "version": decision.version,
                "epoch": decision.epoch,
                "dealt": is_dealt(decision),
            },
        },
        metadata=wanted.metadata,
        started_at=datetime.now(UTC),
        retry_of=wanted.retry_of,
        new_conversation=asked.conversation if asked.is_new else None,
        idempotency=idempotency,
    )
    services.flags.exposures.record(decision, owner.owner_id)
    services.rollouts.assigned(decision, owner.owner_id)
    needs_title = not asked.is_new and not asked.conversation.title
    return Plan(new_turn, spec, asked.text, needs_title=needs_title)


async def specify_again(services: Services, record: TurnRecord) -> TurnSpec:
    """Return the specification of a turn that another worker began, to go on with it here.

    What the turn began with counts; only the chatbot's instructions, which no record holds, are
    those of now.

    Raises:
        SpecificationLostError: the chatbot or the question is gone; under other instructions than
            its own no answer is gone on with.
        SpecificationError: a store does not answer.
    """
    try:
        asked = await _asked_again_by(services, record)
        chatbot = await services.chatbots.get(record.chatbot_id)
    except (ChatbotNotFoundError, ConversationNotFoundError, MessageNotFoundError) as error:
        raise SpecificationLostError(error.code) from error
    except (HistoryError, ChatbotsError) as error:
        raise SpecificationError(error.code) from error
    context = _context(asked.messages, asked.text, services.settings.max_context_chars)
    kept = record.spec
    return TurnSpec(
        turn_id=record.turn_id,
        owner_id=record.owner_id,
        conversation_id=record.conversation_id,
        message_id=record.message_id,
        chatbot_id=record.chatbot_id,
        model=record.model,
        prompt=Prompt(
            messages=(PromptMessage("system", chatbot.instructions), *context),
            model=record.model,
            temperature=_number(kept.get("temperature")),
        ),
        streaming=record.streaming,
        max_response_chars=_whole(
            kept.get("max_response_chars"), services.settings.max_response_chars
        ),
        received_at=monotonic(),
        speech=speech_of(kept),
        on_break=_on_break(kept.get("on_break")),
        flag_epoch=dealt_epoch(kept),
        counted_for=_names(kept.get("counted_for")),
        moderation=moderation_of(kept),
    )


def idempotency_of(owner: Owner, key: str, wanted: Wanted) -> Idempotency:
    """Return the claim that a key and a body make; keys of different owners never meet."""
    body = json.dumps(
        [
            wanted.message,
            wanted.conversation_id,
            wanted.chatbot_id,
            wanted.retry_of,
            wanted.speech,
            wanted.metadata,
        ],
        sort_keys=True,
    )
    return Idempotency(
        key_hash=_hash(f"{owner.owner_id}\n{key}"),
        body_hash=_hash(body),
        expires_at=datetime.now(UTC) + IDEMPOTENCY_TTL,
    )


def speech_of(kept: Mapping[str, object]) -> SpeechSpec | None:
    """Return how the answer of a record is spoken; what a later release says of it is ignored."""
    speech = kept.get("speech")
    return msgspec.convert(speech, SpeechSpec) if isinstance(speech, dict) else None


def moderation_of(kept: Mapping[str, object]) -> Policy:
    """Return the policy of a record; of one that has none, from 0.1.0, that is `off`.

    What a later release may have written is taken for the strictest.
    """
    policies: tuple[Policy, ...] = get_args(Policy)
    unknown: Policy = "off" if kept.get("moderation") is None else "block"
    return next((policy for policy in policies if policy == kept.get("moderation")), unknown)


def title_of(message: str) -> str:
    """Return a conversation's first title: the beginning of its first message, cut at a word."""
    line = " ".join(message.split())
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[:TITLE_CHARS].rsplit(" ", 1)[0]
    return f"{cut}…"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question: where it stands, what came before it, and its text."""

    conversation: Conversation
    is_new: bool
    messages: Sequence[Message]
    user_message_id: str
    text: str
    former_turn_id: str | None = None


async def _asked(services: Services, owner: Owner, wanted: Wanted) -> _Asked:
    if wanted.retry_of is not None:
        return await _asked_again(services, owner, wanted.retry_of, wanted.conversation_id)
    text = wanted.message or ""
    if wanted.conversation_id is None:
        now = datetime.now(UTC)
        conversation = Conversation(
            conversation_id=new_id("conv"),
            owner_id=owner.owner_id,
            title=title_of(text),
            chatbot_id=wanted.chatbot_id or "default",
            created_at=now,
            updated_at=now,
        )
        return _Asked(conversation, True, (), new_id("msg"), text)
    conversation = await services.history.conversations.get(owner.owner_id, wanted.conversation_id)
    page = await services.history.messages.list(
        owner.owner_id, conversation.conversation_id, limit=CONTEXT_MESSAGES, before=None
    )
    former = page.items[-1].turn_id if page.items else None
    return _Asked(conversation, False, page.items, new_id("msg"), text, former)


async def _asked_again(
    services: Services, owner: Owner, retry_of: str, conversation_id: str | None
) -> _Asked:
    record = await services.history.turns.get(owner.owner_id, retry_of)
    if conversation_id not in (None, record.conversation_id):
        raise ProblemError(
            422,
            "invalid",
            "The turn in retry_of belongs to another conversation; leave conversation_id out.",
        )
    asked = await _asked_again_by(services, record)
    if services.leases is None:  # then only this process may speak there: it knows
        return asked
    former = await last_turn_id(services, owner.owner_id, record.conversation_id)
    return replace(asked, former_turn_id=former)


async def _asked_again_by(services: Services, record: TurnRecord) -> _Asked:
    """Return the question that a turn answers, and what came before it."""
    owner_id = record.owner_id
    question = await services.history.messages.get(owner_id, record.user_message_id)
    conversation = await services.history.conversations.get(owner_id, record.conversation_id)
    page = await services.history.messages.list(
        owner_id, record.conversation_id, limit=CONTEXT_MESSAGES, before=question.seq
    )
    return _Asked(conversation, False, page.items, question.message_id, question.text)


async def _chatbot(services: Services, chatbot_id: str) -> Chatbot:
    chatbot = await services.chatbots.get(chatbot_id)
    if not chatbot.enabled:
        raise ChatbotNotFoundError(chatbot_id)
    return chatbot


async def _speech(services: Services, chatbot: Chatbot, wanted: Wanted) -> SpeechSpec | None:
    """Return how the answer is spoken, None where nobody asked for it.

    Raises:
        ProblemError: there is no such voice.
    """
    asked = wanted.speech["speech"]
    if not asked:
        return None
    wish: Mapping[str, object] = asked if isinstance(asked, Mapping) else {}
    voice = str(wish.get("voice") or "")
    if voice:
        await check_voice(services, voice)
    return SpeechSpec(
        voice=voice or chatbot.voice or services.settings.tts_voice,
        language=str(wish.get("language") or ""),
        inline=wish.get("audio") != "url",
    )


def _context(messages: Sequence[Message], question: str, budget: int) -> list[PromptMessage]:
    """Return as much recent history as fits, oldest dropped first, ending with the question.

    Roles alternate, as many models' templates demand: of answers to one question the last counts,
    and questions without an answer join the next.
    """
    context: list[PromptMessage] = []
    for message in messages:
        if not message.text or message.status is TurnStatus.RUNNING:
            continue
        _add(context, PromptMessage(message.role, message.text))
    _add(context, PromptMessage("user", question))
    left, kept = budget, 0
    for prompt_message in reversed(context):
        left -= len(prompt_message.text)
        if left < 0 and kept:
            break
        kept += 1
    recent = context[-kept:]
    return recent if recent[0].role == "user" else recent[1:]


def _add(context: list[PromptMessage], message: PromptMessage) -> None:
    if context and context[-1].role == message.role:
        previous = context.pop()
        if message.role == "user":
            message = PromptMessage("user", f"{previous.text}\n\n{message.text}")
    context.append(message)


def _on_break(value: object) -> OnBreak:
    """Return the policy of a record; of one that has none, from 0.1.0, the default."""
    policies: tuple[OnBreak, ...] = get_args(OnBreak)
    return next((policy for policy in policies if policy == value), "continue")


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list | tuple) else ()


def _number(value: object) -> float | None:
    return value if isinstance(value, float | int) else None


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
