"""A list of words and phrases that may not be said, matched in this process.

What counts is what a reader sees: case, width and invisible characters make no difference, nor do
entities and inline markup ("f**o**o"). A word is found as a whole word, a phrase with any blanks
and punctuation between its words; in scripts without blanks between words both are found anywhere.
No entry is a pattern. Work is linear in the text, however the list looks.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from unicodedata import category, normalize

from streaming.moderation.base import CLEAN, Verdict

MAX_FILE_BYTES = 1 << 20
MAX_ENTRIES = 20_000
MAX_ENTRY_CHARS = 200
MAX_PHRASE_WORDS = 32
"""Words of a phrase; of scripts without blanks, characters. Bounds the work at each word."""

DEFAULT_CATEGORY = "listed"

_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_/-]{0,63}", re.ASCII)

# Everything that shows nothing: format characters, fillers, variation selectors, tags.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)


def _marks() -> str:
    """Return the class of all combining marks: to `re` they belong to no word."""
    marks = [each for each in range(0x300, 0x1F000) if category(chr(each))[0] == "M"]
    firsts = [each for each in marks if category(chr(each - 1))[0] != "M"]
    lasts = [each for each in marks if category(chr(each + 1))[0] != "M"]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(firsts, lasts, strict=True))


_MARKS = _marks()
_WORD = re.compile(f"[{_UNSPACED}][{_MARKS}]*|(?:[^\\W_{_UNSPACED}]|[{_MARKS}])+")
_PILED_MARKS = re.compile(f"([{_MARKS}]{{8}})[{_MARKS}]+")  # ordering them takes square time
_LINK_END = re.compile(r"\]\([^)\s]{0,500}\)")
_MARKUP = re.compile(r"[*_~`\\\[\]]")


class WordListError(ValueError):
    """A list cannot be used; the text says where, and quotes nothing of it."""


class _Node:
    """What may follow the words so far; `categories` where they are an entry already."""

    __slots__ = ("after", "categories")

    def __init__(self) -> None:
        self.after: dict[str, _Node] = {}
        self.categories: tuple[str, ...] = ()


class WordModerator:
    """Flags texts that hold a listed word or phrase.

    Args:
        entries: Each a word or phrase, and its category.

    Raises:
        WordListError: an entry has no word, or too many; "entry 7" is the seventh.
    """

    name = "words"

    def __init__(self, entries: Sequence[tuple[str, str]]) -> None:
        self._root = _Node()
        for number, (phrase, kind) in enumerate(entries, 1):
            words = _words(_folded(phrase))
            if not 0 < len(words) <= MAX_PHRASE_WORDS:
                raise WordListError(f"entry {number}: must have 1 to {MAX_PHRASE_WORDS} words")
            node = self._root
            for word in words:
                node = node.after.setdefault(word, _Node())
            node.categories = tuple(dict.fromkeys((*node.categories, kind)))

    async def check(self, texts: Sequence[str]) -> Sequence[Verdict]:
        return [self._verdict(text) for text in texts]

    async def close(self) -> None:
        """Has nothing to release."""

    def _verdict(self, text: str) -> Verdict:
        found: dict[str, None] = {}
        for shown in _as_shown(text):
            words = _words(shown)
            for place, word in enumerate(words):
                if word in self._root.after:
                    found.update(dict.fromkeys(self._at(words, place)))
        return Verdict(tuple(sorted(found))) if found else CLEAN

    def _at(self, words: Sequence[str], place: int) -> list[str]:
        """Return the categories of the entries that begin with the word at a place."""
        found: list[str] = []
        node = self._root
        for word in words[place : place + MAX_PHRASE_WORDS]:
            after = node.after.get(word)
            if after is None:
                break
            node = after
            found += node.categories
        return found


def read_word_list(path: Path) -> list[tuple[str, str]]:
    """Return the entries of a file.

    One entry a line: a word or phrase, then, if wanted, `|` and its category. What follows a `#` at
    the beginning of a line or behind white space is a comment.

    Raises:
        OSError: it cannot be read.
        WordListError: it is too long, or a line is no entry.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise WordListError(f"has more than {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WordListError("is not UTF-8") from None
    entries = [
        _entry(number, words)
        for number, line in enumerate(text.splitlines(), 1)
        if (words := re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip())
    ]
    if not 0 < len(entries) <= MAX_ENTRIES:
        raise WordListError(f"has {len(entries)} entries; it takes 1 to {MAX_ENTRIES}")
    return entries


def _entry(number: int, line: str) -> tuple[str, str]:
    phrase, bar, kind = (part.strip() for part in line.partition("|"))
    words = _words(_folded(phrase))
    if not 0 < len(words) <= MAX_PHRASE_WORDS or len(phrase) > MAX_ENTRY_CHARS:
        raise WordListError(
            f"line {number}: an entry has 1 to {MAX_PHRASE_WORDS} words, and at most"
            f" {MAX_ENTRY_CHARS} characters"
        )
    if bar and _CATEGORY.fullmatch(kind) is None:
        raise WordListError(
            f"line {number}: behind the bar comes a category of a-z, 0-9, _, / and -"
        )
    return phrase, kind or DEFAULT_CATEGORY


def _as_shown(text: str) -> list[str]:
    """Return what a reader may see: markup shows nothing, or it is no markup and parts words."""
    folded = _folded(text)
    if _MARKUP.search(folded) is None:
        return [folded]
    return [_MARKUP.sub("", _LINK_END.sub("", folded)), _MARKUP.sub(" ", folded)]


def _folded(text: str) -> str:
    seen = _PILED_MARKS.sub(r"\1", _INVISIBLE.sub("", html.unescape(text)))
    # Twice: what is folded may have got a form of its own again.
    return normalize("NFKC", _INVISIBLE.sub("", normalize("NFKC", seen)).casefold())


def _words(folded: str) -> list[str]:
    return _WORD.findall(folded)
