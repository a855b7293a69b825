"""Cuts a text into pieces as a model streams it, or at random.

A stand-in for the tokens of a GPT-like model: a word keeps the blank before it, long words come in
parts of six to eight letters, punctuation in short runs, and scripts without blanks by one or two
characters.
"""

import random
import re

# Thai and Lao, Burmese, Khmer, kana, Han, Hangul.
_DENSE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_PIECE = re.compile(
    rf"""
      [^\S\n]?[{_DENSE}]{{1,2}}
    | [^\S\n]?[^\W\d_{_DENSE}]+
    | [^\S\n]?\d{{1,3}}
    | [^\S\n]?[^\w\s]{{1,3}}
    | [^\S\n]+(?=[^\S\n])
    | \s | .
    """,
    re.VERBOSE,
)
_WORD_PART = (6, 7, 8)


def tokens(text: str) -> list[str]:
    """Return pieces that joined are the text; always the same for the same text."""
    pieces: list[str] = []
    for match in _PIECE.finditer(text):
        pieces += _parts(match[0], _WORD_PART[len(pieces) % len(_WORD_PART)])
    return pieces


def random_pieces(text: str, dice: random.Random, longest: int) -> list[str]:
    """Return pieces of one to `longest` characters that joined are the text."""
    pieces: list[str] = []
    at = 0
    while at < len(text):
        end = at + dice.randint(1, longest)
        pieces.append(text[at:end])
        at = end
    return pieces


def _parts(word: str, size: int) -> list[str]:
    return [word[at : at + size] for at in range(0, len(word), size)]
