"""The offline model: answers about Chatstream out of its documentation, at a model's pace.

It is what a server without a key talks with, and what tests use as a model: no network, and the
same prompt always gets the same pieces. Answers are short; whoever needs thousands of tokens, or
a model that misbehaves, points `OPENAI_BASE_URL` at `loadtests/llm_simulator`.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from threading import Lock

import anyio
from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync

from streaming.llm.base import Finish, Prompt
from streaming.llm.passages import read_passages
from streaming.llm.replies import reply
from streaming.llm.retrieval import PassageIndex

FIRST_TOKEN_S = 0.2

_PIECE = re.compile(r"\s*(?:\w{1,7}|[^\w\s]{1,3})|\s+")
_PIECES_PER_CHECKPOINT = 16
_HASH = 2_654_435_761  # Knuth's multiplicative hash: jitter that is the same each time


class OfflineTokenSource:
    """A model without a model.

    Args:
        docs_dir: Folder of Markdown pages, with a README.md beside it; read at the first turn.
        tokens_per_s: Pace; 0 does not wait at all.
        sleep: Waits for some seconds.
    """

    def __init__(
        self,
        *,
        docs_dir: Path,
        tokens_per_s: float = 40.0,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._docs_dir = docs_dir
        self._pause_s = 1.0 / tokens_per_s if tokens_per_s else 0.0
        self._sleep = sleep
        self._lock = Lock()
        self._index: PassageIndex | None = None

    @property
    def default_model(self) -> str:
        return "offline"

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        # In a thread: the first turn reads the documentation, later ones may bring long messages.
        pieces, finish = await run_sync(self._answer, prompt)
        prompt.opened()
        if self._pause_s:
            await self._sleep(FIRST_TOKEN_S)
        for place, piece in enumerate(pieces):
            if self._pause_s and place:
                await self._sleep(self._pause_s * _jitter(place))
            elif place % _PIECES_PER_CHECKPOINT == 0:
                await checkpoint()  # a loop that never waits would starve the others
            yield piece
        yield finish

    async def close(self) -> None:
        """Has nothing to release."""

    def _answer(self, prompt: Prompt) -> tuple[list[str], Finish]:
        """Return what is to be said, in pieces: the answer, or what comes behind its prefix."""
        text = _behind(prompt.prefix.rstrip(), reply(prompt.messages, self._documentation()))
        pieces = split_pieces(text)
        seen = [message.text for message in prompt.messages] + [prompt.prefix]
        input_tokens = sum(len(split_pieces(each)) for each in seen)
        return pieces, Finish("stop", input_tokens, len(pieces))

    def _documentation(self) -> PassageIndex:
        with self._lock:
            if self._index is None:
                self._index = PassageIndex(read_passages(self._docs_dir))
            return self._index


def split_pieces(text: str) -> list[str]:
    """Return a text in pieces the size of a model's tokens; joined they are the text."""
    return _PIECE.findall(text)


def _behind(prefix: str, text: str) -> str:
    """Return what follows the prefix; to words that are not its own the whole answer is added."""
    if not prefix or text.startswith(prefix):
        return text[len(prefix) :]
    return f"\n\n{text}"


def _jitter(place: int) -> float:
    """Return a factor between 0.5 and 1.5."""
    return 0.5 + place * _HASH % (1 << 32) / (1 << 32)
