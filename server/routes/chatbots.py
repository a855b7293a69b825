"""The chatbots that may be asked; operators see all of them, and change them."""

import re
from typing import Annotated

import structlog
from pydantic import AfterValidator, Field, ValidationInfo
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chatbots.base import Chatbots
from chatbots.errors import ChatbotChangedError, ChatbotNotFoundError
from chatbots.model import DEFAULT_CHATBOT_ID, Chatbot, Moderation, OnBreak
from server.audit import audited
from server.auth.operators import is_admin
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model, visible
from server.changes import NO_STORE, Why, if_version, why_of_query
from server.errors import ProblemError
from server.limits.tiers import Tier
from server.moderating import check_policy
from server.openapi.described import chatbots as docs
from server.wire import Json, chatbot_json, instant, services_of

log = structlog.get_logger(__name__)

MAX_TRIES = 4
"""Of a change for whatever version is there, while others change it, too."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def _within_setting(value: int, info: ValidationInfo) -> int:
    most: int = (info.context or {})["max_response_chars"]
    if value > most:
        raise ValueError(f"must be at most {most}, which is MAX_RESPONSE_CHARS")
    return value


Name = Annotated[str, Field(max_length=100), AfterValidator(visible)]
Words = Annotated[str, Field(max_length=2_000), AfterValidator(visible)]
Instructions = Annotated[str, Field(max_length=32_000), AfterValidator(visible)]
Length = Annotated[int, Field(ge=1), AfterValidator(_within_setting)]


class StoredChatbot(StrictModel):
    """The body of `PUT /api/v1/chatbots/{chatbot_id}`; what is left out has its default.

    `chatbot_id` and `version` are taken so that what was read can be sent back. `reason` is for the
    audit log.
    """

    name: Name
    instructions: Instructions
    model: Name | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    voice: Name | None = None
    greeting: Words | None = None
    max_response_chars: Length | None = None
    on_break: OnBreak = "continue"
    moderation: Moderation = "off"
    enabled: bool = True
    chatbot_id: str | None = None
    version: int | None = None
    reason: Why = ""

    def named(self, chatbot_id: str) -> Chatbot:
        """Return the chatbot.

        Raises:
            ProblemError: 422, its id is another one's.
        """
        if self.chatbot_id not in {None, chatbot_id}:
            raise _invalid("chatbot_id", "must be as in the address; or leave it out")
        fields = self.model_dump(exclude={"chatbot_id", "version", "reason"})
        return Chatbot(chatbot_id=chatbot_id, **fields)


async def list_chatbots(request: Request) -> Response:
    """List the enabled chatbots; for admins all of them."""
    chatbots = await services_of(request).chatbots.list()
    sees_all = is_admin(request)
    shown = [
        chatbot_json(chatbot, is_admin=sees_all)
        for chatbot in chatbots
        if chatbot.enabled or sees_all
    ]
    headers = NO_STORE if sees_all else None
    return JSONResponse({"chatbots": shown, "next": None}, headers=headers)


async def get_chatbot(request: Request) -> Response:
    """Tell one chatbot; a disabled one is not there, but for admins."""
    chatbot = await services_of(request).chatbots.get(request.path_params["chatbot_id"])
    if is_admin(request):
        return _told_admin(chatbot)
    if not chatbot.enabled:
        raise ChatbotNotFoundError(chatbot.chatbot_id)
    return JSONResponse(chatbot_json(chatbot))


async def put_chatbot(request: Request) -> Response:
    """Create a chatbot, or replace all of it."""
    services, chatbot_id = services_of(request), request.path_params["chatbot_id"]
    if _ID.fullmatch(chatbot_id) is None:
        raise _invalid("chatbot_id", "takes 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
    bounds = {"max_response_chars": services.settings.max_response_chars}
    body = await read_model(request, StoredChatbot, bounds=bounds)
    check_policy(services, body.moderation)
    stored = await _put(request, body.named(chatbot_id), body.reason)
    log.info("chatbot.stored", chatbot_id=chatbot_id, version=stored.version)
    return _told_admin(stored, 201 if stored.version == 1 else 200)


async def list_versions(request: Request) -> Response:
    """List a chatbot's versions: the one that is served, then those that were replaced."""
    chatbots, chatbot_id = services_of(request).chatbots, request.path_params["chatbot_id"]
    # The former ones first: what is replaced between the two is missing once, never told twice.
    former = await chatbots.former(chatbot_id)
    served = await chatbots.get(chatbot_id)
    versions: list[Json] = [{**chatbot_json(served, is_admin=True), "replaced_at": None}]
    versions += [
        {**chatbot_json(each.chatbot, is_admin=True), "replaced_at": instant(each.replaced_at)}
        for each in former
    ]
    return JSONResponse({"versions": versions, "next": None}, headers=NO_STORE)


async def delete_chatbot(request: Request) -> Response:
    """Delete a chatbot; answers that it has begun are written to their end."""
    chatbot_id = request.path_params["chatbot_id"]
    if chatbot_id == DEFAULT_CHATBOT_ID:
        raise ProblemError(
            409,
            "chatbot_required",
            "This one is asked where none is named: it stays. Change it, or disable it.",
        )
    chatbots, why = services_of(request).chatbots, await why_of_query(request)
    version = (await chatbots.get(chatbot_id)).version
    _expect(request, chatbot_id, version)
    details = {"before": version, "after": None}
    async with audited(request, "chatbot.deleted", chatbot_id, why=why, details=details):
        await chatbots.delete(chatbot_id, if_version=if_version(request))
    log.info("chatbot.deleted", chatbot_id=chatbot_id)
    return Response(status_code=204, headers=NO_STORE)


async def _put(request: Request, chatbot: Chatbot, why: str) -> Chatbot:
    """Store a chatbot; the entry in the audit log names both versions, so each is stored over one.

    Raises:
        ChatbotChangedError: the caller has seen another version, or others change it all the time.
    """
    for _ in range(MAX_TRIES - 1):
        try:
            return await _put_once(request, chatbot, why)
        except ChatbotChangedError:
            if if_version(request) is not None:
                raise
    return await _put_once(request, chatbot, why)


async def _put_once(request: Request, chatbot: Chatbot, why: str) -> Chatbot:
    chatbots, chatbot_id = services_of(request).chatbots, chatbot.chatbot_id
    version = await _version_of(chatbots, chatbot_id)
    _expect(request, chatbot_id, version)
    told = {"before": version or None, "after": version + 1}
    async with audited(request, "chatbot.stored", chatbot_id, why=why, details=told):
        return await chatbots.put(chatbot, if_version=version)


async def _version_of(chatbots: Chatbots, chatbot_id: str) -> int:
    try:
        return (await chatbots.get(chatbot_id)).version
    except ChatbotNotFoundError:
        return 0


def _expect(request: Request, chatbot_id: str, version: int) -> None:
    """Let pass who has seen this version, or does not say what they have seen."""
    if if_version(request) not in {None, version}:
        raise ChatbotChangedError(chatbot_id, version)


def _told_admin(chatbot: Chatbot, status: int = 200) -> Response:
    headers = {"ETag": f'"{chatbot.version}"', **NO_STORE}
    return JSONResponse(chatbot_json(chatbot, is_admin=True), status, headers=headers)


def _invalid(field: str, message: str) -> ProblemError:
    errors = [{"field": field, "message": message}]
    return ProblemError(422, "invalid", f"{field} {message}.", errors=errors)


_ONE = "/api/v1/chatbots/{chatbot_id}"
routes = [
    ApiRoute(
        "/api/v1/chatbots",
        list_chatbots,
        methods=["GET"],
        access=Access.ANYBODY_KNOWN,
        tier=Tier.API,
        doc=docs.LIST,
    ),
    ApiRoute(
        _ONE,
        get_chatbot,
        methods=["GET"],
        access=Access.ANYBODY_KNOWN,
        tier=Tier.API,
        doc=docs.GET,
    ),
    ApiRoute(
        _ONE,
        put_chatbot,
        methods=["PUT"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.PUT.taking(StoredChatbot),
    ),
    ApiRoute(
        _ONE,
        delete_chatbot,
        methods=["DELETE"],
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.DELETE,
    ),
    ApiRoute(
        f"{_ONE}/versions",
        list_versions,
        access=Access.ADMIN,
        tier=Tier.OPERATORS,
        doc=docs.VERSIONS,
    ),
]
