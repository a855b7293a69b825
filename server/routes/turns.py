"""Turns: start one, read its events, ask for its state, stop it."""

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

import anyio
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chatbots.errors import ChatbotsError
from history.errors import HistoryError, HistoryUnavailableError, TurnNotFoundError
from history.model import Idempotency, NewTurn, TurnRecord
from server import holders
from server.attaching import attach
from server.auth.caller import Fault, Owner
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model, visible
from server.changes import idempotency_key
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.moderating import moderate_question
from server.openapi.described import turns as docs
from server.planning import Plan, Wanted, idempotency_of, plan_turn, title_of
from server.services import Services
from server.turnstile import arrival
from server.whole_answer import whole_answer
from server.wire import (
    ended_turn_json,
    owner_of,
    services_of,
    state_json,
)
from streaming.commands import PlaybackReported
from streaming.cursor import START, Cursor, parse_id
from streaming.errors import BusyError, CursorMalformedError
from streaming.turn import Cancelled

CANCEL_WAIT_S = 5.0
MAX_METADATA_BYTES = 8192
_NO_STORE = {"Cache-Control": "no-store"}
_ONLY_GET = {"Allow": "GET"}
_REFUSALS = (ProblemError, BusyError, ChatbotsError)
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)

Text = Annotated[str, AfterValidator(visible)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class SpeechOptions(StrictModel):
    """How an answer is spoken."""

    voice: str | None = Field(None, max_length=100)
    language: str | None = Field(
        None, max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
    )
    audio: Literal["inline", "url"] = "inline"


class StartTurn(StrictModel):
    """The body of `POST /api/v1/turns`: either a message, or the turn to answer again."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [asked], "properties": {asked: {"type": "string"}}}
                for asked in ("message", "retry_of")
            ]
        }
    )

    message: Text | None = None
    conversation_id: Id | None = None
    chatbot_id: Id | None = None
    retry_of: Id | None = None
    speech: bool | SpeechOptions = False
    metadata: dict[str, object] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.message is None) == (self.retry_of is None):
            raise ValueError("send either message or retry_of")
        return self

    def wanted(self) -> Wanted:
        """Return what planning needs of it."""
        return Wanted(
            self.message,
            self.conversation_id,
            self.chatbot_id,
            self.retry_of,
            self.model_dump(mode="json", include={"speech"}),
            self.metadata,
        )


class CancelTurn(StrictModel):
    """The optional body of `POST /api/v1/turns/{turn_id}/cancel`."""

    seen: str | None = Field(None, max_length=128)


class Playback(StrictModel):
    """The body of `POST /api/v1/turns/{turn_id}/playback`, in seconds of audio."""

    played_s: float = Field(ge=0, le=86_400)
    buffered_s: float = Field(ge=0, le=86_400)


async def start_turn(request: Request) -> Response:
    """Start a turn; answer with its events, with where they are, or (off arm) with the end."""
    services, owner = services_of(request), owner_of(request)
    body = await read_model(request, StartTurn)
    _check_sizes(services, body)
    wanted = body.wanted()
    key = idempotency_key(request)
    idempotency = None if key is None else idempotency_of(owner, key, wanted)
    try:
        record = await _started(request, wanted, idempotency)
    except _REFUSALS:  # what was accepted once is found again, whatever is in the way by now
        before = await _started_before(services, owner, idempotency)
        if before is None:
            raise
        record = before
    headers = {
        "X-Turn-ID": record.turn_id,
        "X-Conversation-ID": record.conversation_id,
        "X-Streaming": "on" if record.streaming else "off",
    }
    if not record.streaming:
        return await whole_answer(services, record, headers)
    if "text/event-stream" in ",".join(request.headers.getlist("accept")).lower():
        return await attach(
            services,
            owner,
            record.turn_id,
            START,
            headers=headers,
            subjects=services.limits.subjects(request),
        )
    answer = {
        "turn_id": record.turn_id,
        "conversation_id": record.conversation_id,
        "streaming": True,
        "events_url": f"/api/v1/turns/{record.turn_id}/events",
    }
    return JSONResponse(answer, 201, headers={**headers, "Cache-Control": "no-store"})


async def attach_turn(request: Request) -> Response:
    """Read a turn's events after the cursor."""
    if request.method == "HEAD":  # Starlette adds it to GET; it would follow the turn for nothing
        raise ProblemError(405, "method_not_allowed", "Read events with GET.", headers=_ONLY_GET)
    services, turn_id = services_of(request), request.path_params["turn_id"]
    headers = {"X-Turn-ID": turn_id} if _KEY.fullmatch(turn_id) else {}
    wait_s = await services.limits.rates.wait_s(request, Tier.ATTACH)
    if wait_s:
        return services.readers.bye("too_many_attaches", headers=headers, wait_s=wait_s)
    try:
        cursor = _cursor(request, turn_id)
        inline = {"inline": True, "url": False}.get(request.query_params.get("audio", ""))
        return await attach(
            services,
            owner_of(request),
            turn_id,
            cursor,
            headers=headers,
            inline=inline,
            subjects=services.limits.subjects(request),
        )
    except CursorMalformedError:
        services.metrics.attached("malformed")
        raise
    except TurnNotFoundError:
        services.metrics.attached("not_found")
        raise


async def get_turn(request: Request) -> Response:
    """Tell a turn's state."""
    services = services_of(request)
    record = await services.history.turns.get(
        owner_of(request).owner_id, request.path_params["turn_id"]
    )
    return _state_response(services, record)


async def cancel_turn(request: Request) -> Response:
    """Stop a turn and tell its state."""
    services, owner = services_of(request), owner_of(request)
    turn_id = request.path_params["turn_id"]
    live = services.runner.find(turn_id)
    if live is None or live.spec.owner_id != owner.owner_id:
        await services.history.turns.get(owner.owner_id, turn_id)
    body = await read_model(request, CancelTurn) if await request.body() else CancelTurn()
    seen = None if body.seen is None else parse_id(turn_id, body.seen)
    await holders.cancel_turn(services, turn_id, Cancelled("user", seen), wait_s=CANCEL_WAIT_S)
    try:
        record = await services.history.turns.get(owner.owner_id, turn_id)
    except HistoryUnavailableError:  # it has stopped all the same
        if live is None or live.end is None:
            raise
        return JSONResponse(ended_turn_json(live, live.end), headers=_NO_STORE)
    return _state_response(services, record)


async def report_playback(request: Request) -> Response:
    """Note how far a turn's audio has been played: no more than is soon heard is made."""
    services, owner = services_of(request), owner_of(request)
    turn_id = request.path_params["turn_id"]
    body = await read_model(request, Playback)
    live = services.runner.find(turn_id)
    if live is None or live.spec.owner_id != owner.owner_id:
        await services.history.turns.get(owner.owner_id, turn_id)
        report = PlaybackReported(body.played_s, body.buffered_s)
        await holders.tell_holder(services, turn_id, report)
    elif live.speech is not None:
        live.speech.played(played_s=body.played_s, buffered_s=body.buffered_s)
    return Response(status_code=204, headers=_NO_STORE)


async def _started(request: Request, wanted: Wanted, idempotency: Idempotency | None) -> TurnRecord:
    """Plan a turn and begin it; it is counted first, so that who is over a limit costs no check.

    Raises:
        Exception: it may not begin; see `_REFUSALS`.
    """
    services, owner = services_of(request), owner_of(request)
    subjects = services.limits.subjects(request)
    with services.runner.admission():
        plan = await plan_turn(
            services,
            owner,
            wanted,
            idempotency=idempotency,
            arrived=arrival(request.scope),
            counted_for=[subject.name for subject in subjects],
        )
        async with services.limits.turns.admission(subjects, plan.spec):
            await moderate_question(services, plan.spec, plan.question)
            return await _begin(services, owner, plan)


async def _started_before(
    services: Services, owner: Owner, idempotency: Idempotency | None
) -> TurnRecord | None:
    if idempotency is None:
        return None
    return await services.history.turns.begun_with(
        owner.owner_id, idempotency, at=datetime.now(UTC)
    )


async def _begin(services: Services, owner: Owner, plan: Plan) -> TurnRecord:
    """Store the turn's beginning and produce it; once begun it is also started."""
    with anyio.CancelScope(shield=True):
        record, is_new = await services.history.turns.begin(plan.new_turn)
        if is_new:
            live = services.runner.start(plan.spec)
            if plan.spec.streaming and services.flags.wants_abort:  # killed while it was planned
                live.stop(Cancelled("operator"))
            # The turn asks the model before it is attached to: it thinks while we answer.
            await asyncio.sleep(0)
            await _give_title(services, owner, plan.new_turn, needed=plan.needs_title)
    return record


async def _give_title(services: Services, owner: Owner, new_turn: NewTurn, *, needed: bool) -> None:
    if not needed or new_turn.text is None:
        return
    with suppress(HistoryError):  # the turn runs: a missing title must not look like its failure
        await services.history.conversations.rename(
            owner.owner_id, new_turn.conversation_id, title_of(new_turn.text), if_title=""
        )


def _state_response(services: Services, record: TurnRecord) -> Response:
    return JSONResponse(state_json(services, record), headers={"Cache-Control": "no-store"})


def _check_sizes(services: Services, body: StartTurn) -> None:
    limit = services.settings.max_message_chars
    if body.message is not None and len(body.message) > limit:
        message = f"must have at most {limit} characters"
        raise ProblemError(
            422,
            "message_too_long",
            f"The message {message}.",
            errors=[{"field": "message", "message": message}],
        )
    if len(repr(body.metadata)) > MAX_METADATA_BYTES:
        message = f"must have at most {MAX_METADATA_BYTES} bytes"
        raise ProblemError(
            422,
            "invalid",
            f"metadata {message}.",
            errors=[{"field": "metadata", "message": message}],
        )


def _cursor(request: Request, turn_id: str) -> Cursor:
    """Return where the reader is: the header of an automatic reconnect goes before the query."""
    event_id = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    return parse_id(turn_id, event_id) if event_id else START


class EventsRoute(ApiRoute):
    """The route of event streams: to an EventSource a refusal would say nothing."""

    def answer_lapsed(self, request: Request, fault: Fault) -> Response | None:
        """Have who has signed out not come back, and whose token expired until it is refreshed."""
        services = services_of(request)
        if fault.kind == "session_ended":
            services.metrics.attached("no_content")
            return Response(status_code=204, headers=_NO_STORE)
        if fault.kind == "token_expired":
            return services.readers.bye("token_expired", headers={})
        return None


routes = [
    ApiRoute(
        "/api/v1/turns",
        start_turn,
        methods=["POST"],
        access=Access.OWNER,
        tier=Tier.MESSAGES,
        doc=docs.START.taking(StartTurn),
    ),
    ApiRoute(
        "/api/v1/turns/{turn_id}",
        get_turn,
        methods=["GET"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.STATE,
    ),
    EventsRoute(
        "/api/v1/turns/{turn_id}/events",
        attach_turn,
        methods=["GET"],
        access=Access.OWNER,
        tier=Tier.ATTACH,
        doc=docs.EVENTS,
    ),
    ApiRoute(
        "/api/v1/turns/{turn_id}/cancel",
        cancel_turn,
        methods=["POST"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.CANCEL.taking(CancelTurn, optional=True),
    ),
    ApiRoute(
        "/api/v1/turns/{turn_id}/playback",
        report_playback,
        methods=["POST"],
        access=Access.OWNER,
        tier=Tier.SIGNALS,
        doc=docs.PLAYBACK.taking(Playback),
    ),
]
