"""Deterministic chat prose, cut into pieces like a model's tokens.

The same seed and message give the same answer, in every process. Pieces are kept as JSON string
literals, encoded once, since writing them is the simulator's hot path.
"""

import random
import re
from functools import lru_cache
from pathlib import Path

import msgspec

# Words keep their leading space and long ones fall apart, as with a byte-pair encoding; scripts
# without spaces, emoji and their joiners come one code point at a time.
_PIECE = re.compile(
    r" ?[A-Za-zÀ-ɏ]{1,7}|'[a-z]{1,2}\b| ?[Ͱ-῿]{1,4}|[\u2E80-\uFAFF]| ?\d{1,3}|\n+| +(?= )"
    r"|[\u200D-\U0010FFFF]| ?[^\w\s]{1,3}(?<![\u200D-\U0010FFFF])|.",
    re.DOTALL,
)
_WORD_START = re.compile(r"(?<!\S)\S")
_LINE_START = re.compile(r"^(?=.)", re.MULTILINE)
_SENTENCE_START = re.compile(r"(?:^|(?<=[.!?。！？])\s+|\n)(?=\S)")  # noqa: RUF001  # CJK stops
_CHATTER = "Sure, here is the rest of it:\n\n"
_SENTENCES_PER_PARAGRAPH = (2, 5)
_PARAGRAPHS_PER_BLOCK = 2
_CORPUS = Path(__file__).with_name("corpus.md")

Pieces = tuple[bytes, ...]


def split_pieces(text: str) -> list[str]:
    """Cut text into pieces of about a token each; joined they are the text."""
    return _PIECE.findall(text)


@lru_cache(maxsize=512)
def answer(seed: int, message: str, tokens: int) -> Pieces:
    """Return the answer to a user's message: `tokens` JSON string literals, with their quotes."""
    if tokens == 0:
        return ()
    rng = random.Random(f"{seed}\n{message}")
    pieces: list[bytes] = []
    while len(pieces) < tokens:
        pieces.extend(_paragraphs(rng))
    del pieces[tokens:]
    pieces[-1] = b'"."'
    return tuple(pieces)


def answer_text(message: str, *, tokens: int, seed: int = 1) -> str:
    """Return the whole text of an answer, for whoever checks what became of it."""
    return text_of(answer(seed, message, tokens))


def text_of(pieces: Pieces) -> str:
    """Return the text that the pieces spell."""
    return "".join(msgspec.json.decode(piece, type=str) for piece in pieces)


def marked(pieces: Pieces) -> Pieces:
    """Return the pieces, each with a `~` at its end; the corpus has none of its own."""
    return tuple(piece[:-1] + b'~"' for piece in pieces)


def continuation(pieces: Pieces, said: str, how: str, *, quoted: str, repeats: int) -> Pieces:
    """Return how an answer goes on of which `said` was given before.

    Where `said` is not the beginning of the answer, it is all of it: the model starts anew.

    Args:
        pieces: The whole answer.
        said: What was given of it.
        how: One of `options.CONTINUES`, but for `anew`.
        quoted: The end of `said` that the client asked to hear again.
        repeats: Words that `how="words"` says again.
    """
    whole = text_of(pieces)
    if how == "again" or not whole.startswith(said):
        return pieces
    rest = whole[len(said) :]
    match how:
        case "asked":
            rest = quoted + rest
        case "bare":
            rest = rest.lstrip()
        case "words":
            rest = _from_last(_WORD_START, said, repeats) + rest
        case "line":
            rest = _from_last(_LINE_START, said) + rest
        case "sentence":
            rest = _from_last(_SENTENCE_START, said) + rest
        case "chatter":
            rest = f"{_CHATTER}{_from_last(_SENTENCE_START, said)}{rest}"
        case _:  # "exact"
            pass
    return _encode(rest)


def _from_last(starts: re.Pattern[str], text: str, count: int = 1) -> str:
    """Return a text from the last place of a kind on, or the last but some."""
    places = [match.start() for match in starts.finditer(text.rstrip())]
    return text[places[-min(count, len(places))] :] if count and places else ""


def _paragraphs(rng: random.Random) -> list[bytes]:
    sentences, blocks = _corpus()
    pieces: list[bytes] = []
    for _ in range(_PARAGRAPHS_PER_BLOCK):
        chosen = rng.sample(sentences, rng.randint(*_SENTENCES_PER_PARAGRAPH))
        for place, (first, following) in enumerate(chosen):
            pieces.extend(following if place else first)
        pieces.append(_PARAGRAPH_END)
    pieces.extend(rng.choice(blocks))
    pieces.append(_PARAGRAPH_END)
    return pieces


_PARAGRAPH_END = msgspec.json.encode("\n\n")


@lru_cache(maxsize=1)
def _corpus() -> tuple[tuple[tuple[Pieces, Pieces], ...], tuple[Pieces, ...]]:
    """Return the sentences (opening a paragraph, within one) and the blocks, in pieces."""
    sentences: list[tuple[Pieces, Pieces]] = []
    blocks: list[Pieces] = []
    for section in _CORPUS.read_text(encoding="utf-8").split("%% ")[1:]:
        kind, body = section.split("\n", 1)
        if kind == "block":
            blocks.append(_encode(body.rstrip("\n")))
        else:
            lines = body.splitlines()
            sentences.extend((_encode(line), _encode(f" {line}")) for line in lines if line)
    return tuple(sentences), tuple(blocks)


def _encode(text: str) -> Pieces:
    return tuple(msgspec.json.encode(piece) for piece in split_pieces(text))
