"""Conversations, their messages, and feedback on answers."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chatbots.errors import ChatbotNotFoundError
from history.model import Conversation, Feedback
from server import holders
from server.auth.routing import Access, ApiRoute
from server.body import StrictModel, read_model
from server.errors import ProblemError
from server.ids import new_id
from server.limits.tiers import Tier
from server.openapi.described import conversations as docs
from server.wire import conversation_json, message_json, owner_of, services_of, whole_number
from streaming.turn import Cancelled

CANCEL_WAIT_S = 5.0


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL")
    return value


Title = Annotated[str, Field(max_length=200), AfterValidator(_without_nul)]


class NewConversation(StrictModel):
    """The body of `POST /api/v1/conversations`."""

    title: Title = ""
    chatbot_id: str = Field("default", pattern=r"^[A-Za-z0-9_-]{1,64}$")


class RenamedConversation(StrictModel):
    """The body of `PATCH /api/v1/conversations/{id}`."""

    title: Annotated[Title, Field(min_length=1)]


class GivenFeedback(StrictModel):
    """The body of `PUT /api/v1/messages/{id}/feedback`."""

    rating: Literal["up", "down"]
    comment: Annotated[str, Field(max_length=2000), AfterValidator(_without_nul)] | None = None


async def list_conversations(request: Request) -> Response:
    """List the owner's conversations, most recently used first."""
    limit = whole_number(request, "limit", default=20, low=1, high=100)
    try:
        page = await services_of(request).history.conversations.list(
            owner_of(request).owner_id, limit=limit, cursor=request.query_params.get("cursor")
        )
    except ValueError:
        raise ProblemError(
            400, "malformed", "The cursor is not one that this list gave; start without it."
        ) from None
    return JSONResponse(
        {"conversations": [conversation_json(item) for item in page.items], "next": page.next}
    )


async def create_conversation(request: Request) -> Response:
    """Begin an empty conversation."""
    services, owner = services_of(request), owner_of(request)
    body = await read_model(request, NewConversation)
    if not (await services.chatbots.get(body.chatbot_id)).enabled:
        raise ChatbotNotFoundError(body.chatbot_id)
    now = datetime.now(UTC)
    conversation = await services.history.conversations.create(
        Conversation(
            conversation_id=new_id("conv"),
            owner_id=owner.owner_id,
            title=body.title,
            chatbot_id=body.chatbot_id,
            created_at=now,
            updated_at=now,
        )
    )
    location = f"/api/v1/conversations/{conversation.conversation_id}"
    return JSONResponse(conversation_json(conversation), 201, headers={"Location": location})


async def get_conversation(request: Request) -> Response:
    """Tell one conversation."""
    conversation = await services_of(request).history.conversations.get(
        owner_of(request).owner_id, request.path_params["conversation_id"]
    )
    return JSONResponse(conversation_json(conversation))


async def rename_conversation(request: Request) -> Response:
    """Give a conversation another title."""
    body = await read_model(request, RenamedConversation)
    conversation = await services_of(request).history.conversations.rename(
        owner_of(request).owner_id, request.path_params["conversation_id"], body.title
    )
    return JSONResponse(conversation_json(conversation))


async def delete_conversation(request: Request) -> Response:
    """Stop what runs in a conversation, then remove it with all it holds."""
    services, owner_id = services_of(request), owner_of(request).owner_id
    conversation = await services.history.conversations.get(
        owner_id, request.path_params["conversation_id"]
    )
    if conversation.active_turn_id is not None:
        await holders.cancel_turn(
            services, conversation.active_turn_id, Cancelled("user"), wait_s=CANCEL_WAIT_S
        )
    await holders.silence(services, owner_id, conversation.conversation_id)
    await services.history.conversations.delete(owner_id, conversation.conversation_id)
    return Response(status_code=204)


async def list_messages(request: Request) -> Response:
    """List a conversation's messages, newest last."""
    before = whole_number(request, "before", default=0, low=1, high=2**53)
    page = await services_of(request).history.messages.list(
        owner_of(request).owner_id,
        request.path_params["conversation_id"],
        limit=whole_number(request, "limit", default=50, low=1, high=200),
        before=before or None,
    )
    return JSONResponse(
        {"messages": [message_json(item) for item in page.items], "next": page.next}
    )


async def give_feedback(request: Request) -> Response:
    """Say what an answer was worth."""
    body = await read_model(request, GivenFeedback)
    message = await services_of(request).history.messages.set_feedback(
        owner_of(request).owner_id,
        request.path_params["message_id"],
        Feedback(body.rating, body.comment, datetime.now(UTC)),
    )
    return JSONResponse(message_json(message))


_ONE = "/api/v1/conversations/{conversation_id}"
routes = [
    ApiRoute(
        "/api/v1/conversations",
        list_conversations,
        methods=["GET"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.LIST,
    ),
    ApiRoute(
        "/api/v1/conversations",
        create_conversation,
        methods=["POST"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.CREATE.taking(NewConversation),
    ),
    ApiRoute(
        _ONE,
        get_conversation,
        methods=["GET"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.GET,
    ),
    ApiRoute(
        _ONE,
        rename_conversation,
        methods=["PATCH"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.RENAME.taking(RenamedConversation),
    ),
    ApiRoute(
        _ONE,
        delete_conversation,
        methods=["DELETE"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.DELETE,
    ),
    ApiRoute(
        f"{_ONE}/messages",
        list_messages,
        methods=["GET"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.MESSAGES,
    ),
    ApiRoute(
        "/api/v1/messages/{message_id}/feedback",
        give_feedback,
        methods=["PUT"],
        access=Access.OWNER,
        tier=Tier.API,
        doc=docs.FEEDBACK.taking(GivenFeedback),
    ),
]
