"""A model that answers in another's place, and says so before anything else."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from streaming.llm.base import Finish, Prompt, TokenSource

NOTICE = (
    "This is the offline model standing in: the model that should answer cannot be reached now."
)
_BREAK = "\n\n"


class StandIn:
    """Puts one sentence before whatever a source says.

    An answer that has the sentence already is gone on with behind it.

    Args:
        source: Who stands in; closed with this.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    @property
    def default_model(self) -> str:
        """Name of the model that stands in."""
        return self._source.default_model

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        """Yield the sentence, then the answer."""
        others, notice, own = prompt.prefix.rpartition(NOTICE)
        if not notice:
            # Words of another model: this one's answer stands below them, by itself.
            others, own = prompt.prefix, ""
            yield f"{_BREAK}{NOTICE}" if others.strip() else NOTICE
        if not own.strip():
            yield _BREAK
        items = self._source.stream(replace(prompt, prefix=own.strip()))
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

    async def close(self) -> None:
        """Release the source."""
        await self._source.close()
