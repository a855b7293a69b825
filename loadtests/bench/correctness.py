"""Before a server is measured: does it deliver the model's whole text, and token by token?"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from loadtests.bench.exchange import fetch
from loadtests.bench.targets import MESSAGE, Target
from loadtests.llm_simulator import prose

TOKENS = 60
MODEL = f"sim:ttft=0.01,rate=200,tokens={TOKENS},mark=1"

_OK = 200
_NAMES = ("", "delta", "text.delta")  # of events that carry new text


class NotTheTextError(Exception):
    """A server did not deliver what the model said; the text says what came instead."""


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Frame(msgspec.Struct):
    """The wire formats of all servers in one: a member that is not used is not there."""

    text: str | None = None
    delta: str | None = None
    choices: list[_Choice] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a server delivers: its events for the text, of so many tokens."""

    events: int
    tokens: int

    def __str__(self) -> str:
        if self.events == self.tokens:
            return "one event per token"
        return f"{self.tokens} tokens in {self.events} events"


def deltas(body: bytes) -> Iterator[str]:
    """Yield the pieces of text in a whole event stream, of any format that is measured here."""
    for frame in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line[1:])
        data = fields.get(b"data", b"")
        if not data.startswith(b"{") or fields.get(b"event", b"").decode() not in _NAMES:
            continue
        told = msgspec.json.decode(data, type=_Frame)
        spoken = told.choices[0].delta.content if told.choices else told.delta or told.text
        if spoken:
            yield spoken


def compare(pieces: list[str], tokens: int = TOKENS) -> Delivered:
    """Compare what came with what the model said.

    Raises:
        NotTheTextError: It is not the same text.
    """
    said = prose.text_of(prose.marked(prose.answer(1, MESSAGE, tokens)))
    came = "".join(pieces)
    if came != said:
        same = next(
            (place for place, pair in enumerate(zip(came, said, strict=False)) if len({*pair}) > 1),
            min(len(came), len(said)),
        )
        raise NotTheTextError(
            f"{len(came)} characters, not {len(said)}; other from {same} on: "
            f"{came[same : same + 20]!r}, not {said[same : same + 20]!r}"
        )
    return Delivered(len(pieces), tokens)


async def check(target: Target, port: int) -> Delivered:
    """Ask a server, whose model is `MODEL`, for one answer of each kind, and read it to its end.

    Raises:
        NotTheTextError: It did not deliver the model's text.
        TimeoutError: It takes too long.
    """
    seen = []
    for number in (1, 0):  # 0: the other kind, where there is one
        answer = await fetch(port, target.request_of(number, MODEL))
        if answer is None or answer.status != _OK:
            raise NotTheTextError(f"answered with {answer and answer.status}")
        seen.append(compare(list(deltas(answer.body))))
    return seen[0]
