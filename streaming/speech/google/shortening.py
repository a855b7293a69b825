"""The same words in shorter sentences, for an engine that refuses long ones."""

import re
import unicodedata
from collections.abc import Iterator

MAX_SENTENCE = 150
"""Longest sentence after shortening, in characters; Google refused one of 310."""

# Stops of Latin and Cyrillic text count before a blank; the others (Chinese and Japanese,
# Devanagari, Arabic, Urdu) anywhere.
_STOP = re.compile(r"(?<=[.!?…])\s+|(?<=[\u3002\uff01\uff1f\u0964\u061f\u06d4])\s*|\s*\n\s*")

# , ; : dashes, and the commas and semicolons of Arabic, Chinese and Japanese
_CLAUSE = re.compile(
    r"[,;:](?=\s)|\s[\u2013\u2014-](?=\s)|[\u2014\u060c\u061b\uff0c\u3001\uff1b\uff1a]"
)
_BLANK = re.compile(r"\s+")
_HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def in_shorter_sentences(text: str) -> str:
    """Return the text with full stops where clauses end, so that no sentence is long.

    Cuts at a clause's mark where there is one in the second half of what may stay together, else
    at a blank, else anywhere but before a combining mark. Adds at most two characters a cut; the
    text is otherwise as it was, and unchanged where no sentence is long.
    """
    sentences = _STOP.split(text)
    if all(len(sentence) <= MAX_SENTENCE for sentence in sentences):
        return text
    return " ".join(piece for sentence in sentences for piece in _pieces(sentence.strip()) if piece)


def _pieces(sentence: str) -> Iterator[str]:
    stop = "\u3002" if _HAN_OR_KANA.search(sentence) else "."
    while len(sentence) > MAX_SENTENCE:
        head, sentence = _cut(sentence)
        yield head + stop
    yield sentence


def _cut(sentence: str) -> tuple[str, str]:
    """Return a beginning without its last mark, and the rest; both have something to say."""
    limit = MAX_SENTENCE - 1  # the full stop counts
    for marks in (_CLAUSE, _BLANK):
        found = [match for match in marks.finditer(sentence, limit // 2, limit) if match.start()]
        if found:
            head, rest = sentence[: found[-1].start()], sentence[found[-1].end() :]
            return head.rstrip(), rest.lstrip()
    while limit > 1 and unicodedata.category(sentence[limit]).startswith("M"):
        limit -= 1
    return sentence[:limit], sentence[limit:]
