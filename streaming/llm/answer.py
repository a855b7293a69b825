"""One answer of an OpenAI-compatible API while it is being read."""

from collections.abc import Iterator
from contextlib import suppress

import anyio
import httpx2

from streaming.errors import SourceError, SourceTruncatedError
from streaming.llm.base import Finish
from streaming.llm.chunks import AnswerDecoder
from streaming.llm.transport import close_of, read_of

USAGE_TIMEOUT_S = 2.0
"""How long a finished answer waits for the usage chunk, which some servers announce and omit."""

_DRAIN_TIMEOUT_S = 0.1
_DRAIN_READS = 8  # a server that goes on after the end is not worth waiting for
_CLOSE_TIMEOUT_S = 1.0


class OpenAIAnswer:
    """An open response, read as raw bytes: what came is decoded, what was decoded is handed out."""

    def __init__(self, response: httpx2.Response) -> None:
        # Not the response: it holds its request and all their header fields, 5 KB a turn.
        self._close = close_of(response)
        self._read = read_of(response)
        self._decoder = AnswerDecoder()

    def is_complete(self) -> bool:  # as a property 1,000 instructions more a token
        """Tell whether the model gave its finish reason."""
        return self._decoder.finish_reason is not None

    async def read(self) -> Iterator[str]:
        """Wait for bytes and return the text they add; iterating it may raise.

        Raises:
            SourceError: the stream ended or broke, or is not the protocol.
        """
        if self._decoder.is_done:
            raise SourceTruncatedError("The model provider ended its answer without a reason.")
        try:
            chunk = await self._read()
        except Exception as exc:
            detail = "The connection to the model provider broke within its answer."
            raise SourceTruncatedError(detail) from exc
        if not chunk:
            detail = "The model provider closed the connection within its answer."
            raise SourceTruncatedError(detail)
        return self._decoder.feed(chunk)

    async def finish(self) -> Finish:
        """Return the end of a complete answer, with the usage if that comes in time.

        Raises:
            SourceError: the model's reason is not one that ends an answer well.
        """
        # As in the decoder: what breaks after the finish reason costs no more than the usage.
        with anyio.move_on_after(USAGE_TIMEOUT_S), suppress(SourceError):
            while not self._decoder.has_usage:
                list(await self.read())  # decoded for its usage; text that came now is no text
        return self._decoder.finish()

    async def close(self) -> None:
        """Close the connection at once; after a complete answer leave it for the next one.

        Bounded, and done also in a task that is being cancelled.
        """
        try:
            if self.is_complete():
                await self._drain()
        finally:
            with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
                await self._close()

    async def _drain(self) -> None:
        """Read to the end of the body, which is all that makes a connection usable again."""
        with anyio.move_on_after(_DRAIN_TIMEOUT_S), suppress(Exception):
            for _ in range(_DRAIN_READS):
                if not await self._read():
                    return
