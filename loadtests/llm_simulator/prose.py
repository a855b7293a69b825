"""Deterministic chat prose, cut into pieces like a model's tokens.

The same seed and prompt give the same answer, in every process. Pieces are kept as JSON string
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
_SENTENCES_PER_PARAGRAPH = (2, 5)
_PARAGRAPHS_PER_BLOCK = 2
_CORPUS = Path(__file__).with_name("corpus.md")

Pieces = tuple[bytes, ...]


def split_pieces(text: str) -> list[str]:
    """Cut text into pieces of about a token each; joined they are the text."""
    return _PIECE.findall(text)


@lru_cache(maxsize=512)
def answer(seed: int, prompt: str, tokens: int) -> Pieces:
    """Return the answer as exactly `tokens` JSON string literals (with their quotes)."""
    if tokens == 0:
        return ()
    rng = random.Random(f"{seed}\n{prompt}")
    pieces: list[bytes] = []
    while len(pieces) < tokens:
        pieces.extend(_paragraphs(rng))
    del pieces[tokens:]
    pieces[-1] = b'"."'
    return tuple(pieces)


def text_of(pieces: Pieces) -> str:
    """Return the text that the pieces spell."""
    return "".join(msgspec.json.decode(piece, type=str) for piece in pieces)


def marked(pieces: Pieces) -> Pieces:
    """Return the pieces, each with a `~` at its end; the corpus has none of its own."""
    return tuple(piece[:-1] + b'~"' for piece in pieces)


def continuation(pieces: Pieces, said: str) -> Pieces:
    """Return what is left of an answer of which `said` was given before.

    Where `said` is not the beginning of the answer, it is all of it: the model starts anew.
    """
    if not said:
        return pieces
    whole = text_of(pieces)
    if not whole.startswith(said):
        return pieces
    return tuple(msgspec.json.encode(piece) for piece in split_pieces(whole[len(said) :]))


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
