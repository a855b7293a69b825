"""The seam: a model's answer as a stream of text, ended by a reason.

An OpenAI-compatible API and the offline model both keep these promises.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

FinishReason = Literal["stop", "length"]
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of the prompt."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked: everything it gets to see, oldest message first.

    `prefix` is the beginning of the answer, which is there already: the model goes on with it,
    from its last visible character; white space at its end does not count. `on_open` is for whoever
    measures.
    """

    messages: tuple[PromptMessage, ...]
    model: str
    temperature: float | None = None
    prefix: str = ""
    on_open: Callable[[], None] | None = field(default=None, compare=False, repr=False)

    def opened(self) -> None:
        """Say that the model has begun to answer this; a source does, with each try."""
        if self.on_open is not None:
            self.on_open()


@dataclass(frozen=True, slots=True)
class Finish:
    """The last item of a stream: why the model stopped, and the usage where it told."""

    reason: FinishReason
    input_tokens: int | None = None
    output_tokens: int | None = None


class TokenSource(Protocol):
    """A model. One instance serves all turns of a process, concurrently."""

    @property
    def default_model(self) -> str:
        """Name of the model asked when the chatbot names none."""
        ...

    def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        """Yield the answer's text as it comes, then exactly one `Finish`, and end.

        An empty string means that the model is alive but has nothing to show yet (reasoning).
        With a prefix the answer is asked to go on from there. A model may do just that, repeat some
        of the prefix or all of it, or answer anew: `streaming.continuing.Join` tells them apart.
        Text never holds a lone surrogate. Whoever leaves early closes the iterator (`aclosing`);
        that, or cancelling the task, closes the upstream connection at once. Waiting for the
        first and for further tokens is bounded by the caller; connecting is bounded here. What
        can be retried is retried here, and only before the first token.

        Raises:
            SourceError: a subclass that says what happened; text yielded before it stands.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...
