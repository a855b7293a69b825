"""The seam: a way on which a message reaches people."""

from typing import Literal, Protocol

from server.alerts.model import Notice

ChannelName = Literal["webhook", "email"]


class ChannelError(Exception):
    """A message was not taken; the text says why and holds no address and no secret.

    Args:
        reason: In a few words, for operators.
        is_passing: Whether another try may help.
        retry_after_s: When the other side asks to be tried again; None: it does not say.
    """

    def __init__(
        self, reason: str, *, is_passing: bool, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_passing = is_passing
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """Sends one message at a time. May send it twice where an answer was lost."""

    @property
    def name(self) -> ChannelName:
        """What figures and logs call it."""
        ...

    async def send(self, notice: Notice) -> None:
        """Send a message once, within `delivery.TRY_S`; cancelling it leaves nothing behind.

        Raises:
            ChannelError: it was not taken, or nothing was heard of it.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...
