"""Everything that can go wrong with chatbots.

ChatbotsError
├── ChatbotNotFoundError       no such chatbot
└── ChatbotsUnavailableError   the store did not answer in time
"""

from typing import ClassVar


class ChatbotsError(Exception):
    """Base of the package's errors; `code` is stable and goes on the wire."""

    code: ClassVar[str] = "chatbots_error"
    retryable: ClassVar[bool] = False


class ChatbotNotFoundError(ChatbotsError):
    """No such chatbot, or it is disabled."""

    code = "chatbot_not_found"


class ChatbotsUnavailableError(ChatbotsError):
    """The store did not answer within its deadline."""

    code = "chatbots_unavailable"
    retryable = True
