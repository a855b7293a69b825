"""The chatbots that may be asked."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatbots.errors import ChatbotNotFoundError
from server.wire import chatbot_json, services_of


async def list_chatbots(request: Request) -> Response:
    """List the enabled chatbots."""
    chatbots = await services_of(request).chatbots.list()
    shown = [chatbot_json(chatbot) for chatbot in chatbots if chatbot.enabled]
    return JSONResponse({"chatbots": shown, "next": None})


async def get_chatbot(request: Request) -> Response:
    """Tell one chatbot; a disabled one is not there."""
    chatbot = await services_of(request).chatbots.get(request.path_params["chatbot_id"])
    if not chatbot.enabled:
        raise ChatbotNotFoundError(chatbot.chatbot_id)
    return JSONResponse(chatbot_json(chatbot))


routes = [
    Route("/api/v1/chatbots", list_chatbots, methods=["GET"]),
    Route("/api/v1/chatbots/{chatbot_id}", get_chatbot, methods=["GET"]),
]
