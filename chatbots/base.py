"""The seam: where chatbots are kept. MongoDB and SQLite both keep these promises."""

from collections.abc import Sequence
from typing import Protocol

from chatbots.model import Chatbot


class Chatbots(Protocol):
    """The stored chatbots; answers within the adapter's deadline or `ChatbotsUnavailableError`."""

    async def open(self) -> None:
        """Connect, create tables or indexes; store `DEFAULT_CHATBOT` where there is none at all."""
        ...

    async def get(self, chatbot_id: str) -> Chatbot:
        """Return one chatbot, enabled or not.

        Raises:
            ChatbotNotFoundError: there is none of that id.
        """
        ...

    async def list(self) -> Sequence[Chatbot]:
        """Return all chatbots by id, at most 1,000."""
        ...

    async def put(self, chatbot: Chatbot) -> Chatbot:
        """Store a chatbot, new or in place of the one with its id; its version grows by one."""
        ...

    async def delete(self, chatbot_id: str) -> None:
        """Remove a chatbot.

        Raises:
            ChatbotNotFoundError: there is none of that id.
        """
        ...
