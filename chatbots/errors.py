"""Everything that can go wrong with chatbots.

ChatbotsError
├── ChatbotNotFoundError       no such chatbot
├── ChatbotChangedError        somebody else changed it since it was read
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


class ChatbotChangedError(ChatbotsError):
    """A chatbot is not at the version that the caller has seen; `version` is 0 where it is gone."""

    code = "version_conflict"

    def __init__(self, chatbot_id: str, version: int) -> None:
        super().__init__(chatbot_id)
        self.version = version


class ChatbotsUnavailableError(ChatbotsError):
    """The store did not answer within its deadline."""

    code = "chatbots_unavailable"
    retryable = True
