"""The seam: where chatbots are kept. MongoDB and SQLite both keep these promises."""

from collections.abc import Sequence
from typing import Protocol

from chatbots.model import Chatbot, FormerChatbot

MAX_FORMER = 50
"""Versions of a chatbot that are kept beside the one that is served."""


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

    async def put(self, chatbot: Chatbot, *, if_version: int | None = None) -> Chatbot:
        """Store a chatbot, new or in place of the one with its id; its version grows by one.

        Args:
            chatbot: Its own `version` does not count.
            if_version: Only in place of this version; 0: only where there is none of its id.

        Raises:
            ChatbotChangedError: another version is stored; nothing was written.
        """
        ...

    async def former(self, chatbot_id: str) -> Sequence[FormerChatbot]:
        """Return the last `MAX_FORMER` versions that were replaced, newest first.

        They go when the chatbot is deleted.

        Raises:
            ChatbotNotFoundError: there is none of that id.
        """
        ...

    async def delete(self, chatbot_id: str, *, if_version: int | None = None) -> None:
        """Remove a chatbot; with `if_version` only that version.

        Raises:
            ChatbotNotFoundError: there is none of that id.
            ChatbotChangedError: another version is stored; nothing was removed.
        """
        ...
