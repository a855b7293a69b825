"""How a chatbot that was replaced is written down in any store. Pure."""

import json
from dataclasses import asdict, fields
from datetime import datetime

from chatbots.model import Chatbot, FormerChatbot

_NAMES = frozenset(field.name for field in fields(Chatbot))


def dump_chatbot(chatbot: Chatbot) -> str:
    """Return all of a chatbot as JSON."""
    return json.dumps(asdict(chatbot), ensure_ascii=False)


def former_chatbot(dumped: str, replaced_at: datetime) -> FormerChatbot:
    """Return what `dump_chatbot` wrote; what that release did not know has its default."""
    known = {name: value for name, value in json.loads(dumped).items() if name in _NAMES}
    return FormerChatbot(Chatbot(**known), replaced_at)
