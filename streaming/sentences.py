"""Cuts an answer into sentences while it is written."""

import re
from bisect import bisect_right
from typing import Literal, NamedTuple

from streaming.languages import bare_language, guess_language
from streaming.splitting.answers import UNKNOWN, Answer, Window
from streaming.splitting.blocks import read_head
from streaming.splitting.characters import NEWLINES, SOFT_STOPS
from streaming.splitting.head_rows import unless_head_row
from streaming.splitting.inline import CANDIDATE, CANDIDATE_OR_BLANK, RULES, Search
from streaming.splitting.length import MAX_TEXT, cut
from streaming.splitting.opaque import Opaque, Rows
from streaming.splitting.table import Table, table_of

SentenceKind = Literal["text", "code", "table", "math", "rule"]

_SPACE = re.compile(r"\s*")
_NEWLINE = re.compile(f"[{NEWLINES}]")
_SPLIT, _WAIT, _TABLE = Answer.SPLIT, Answer.WAIT, Answer.TABLE
_UNSPACED = frozenset(["th", "lo"])

# The language is judged anew whenever so many characters are there, and then no more.
_PREFIXES = (0, 16, 32, 64, 128, 256, 384)
_JUDGED = _PREFIXES[-1]
_DROPPED = 256  # characters; what is over is cut away in pieces, not with every sentence


class Sentence(NamedTuple):
    """One unit: `text` is what was pushed from `start` to `end`, in code points, outer blanks cut.

    Sentences come in order and never overlap; between two of them there is only white space.
    """

    text: str
    kind: SentenceKind
    start: int
    end: int


class SentenceSplitter:
    """Cuts text that arrives in pieces into sentences, blocks and rules.

    Never takes a sentence back; what comes out depends on the whole text alone, not on how it was
    sliced. A sentence of text is out two characters behind its end in most cases, and at most 24,
    but for a line that begins with a bar, or ends above what may be the delimiter row of a table:
    whether it is one shows at its end, or after 400.
    Work is linear in the text, on any input; what is kept is the open unit (of text at most
    `MAX_TEXT` characters and what waits) and the first characters of the text.

    A `<think>` block is one unit of kind text that starts with its tag, and is never `pending`.

    Args:
        language: BCP 47 tag of the text («de», «de-CH»): the choice where the text itself says
            too little. "" leaves it to the text.
    """

    def __init__(self, language: str = "en") -> None:
        self._hint = bare_language(language) or "en"
        self._window = Window(self._table_at)
        self._base = 0  # offset of the window's first character
        self._block: Opaque | None = None
        self._block_parts: list[str] = []
        self._block_from = 0  # index of what is not in the parts yet
        self._block_start = 0  # offset
        self._at_line_head = True
        self._search = CANDIDATE.search
        self._is_unspaced = self._hint in _UNSPACED
        self._opening = ""  # of what was dropped, as much as the language is judged from
        self._tables: dict[int, Table] = {}

    def push(self, text: str) -> list[Sentence]:
        """Return the sentences that are complete now that `text` has come."""
        window = self._window
        window.text = whole = window.text + text
        start = window.start
        if start == UNKNOWN or len(whole) - start >= MAX_TEXT:
            return self._advance()
        # The usual case: nothing in the new text could end the open sentence, or its last sign
        # alone, of which the next one decides.
        candidate = self._search(whole, window.scan)
        if candidate is None:
            window.scan = len(whole)
            return []
        at = candidate.start()
        if at == len(whole) - 1 and whole[at] in SOFT_STOPS:
            window.scan = at
            return []
        return self._advance()

    def flush(self) -> list[Sentence]:
        """Return what is left, the text having ended; an open block ends as its kind.

        The splitter is then as new, but offsets go on counting.
        """
        window = self._window
        window.is_final = True
        found = self._advance()
        if self._block is not None:
            self._close_block(len(window.text), found)
        elif window.start != UNKNOWN:
            self._close_text(len(window.text), found)
        self._drop(len(window.text))
        window.scan = window.line = 0
        window.is_final = window.is_heading = window.is_quoted = False
        self._at_line_head = True
        return found

    def pending(self) -> tuple[int, str]:
        """Return where the unfinished sentence starts and its text so far.

        (0, "") while there is none, or while it is not certain that it will be text. A line may
        still turn out to head a table once a bar has come, which nothing before it tells.
        """
        window = self._window
        if self._block is not None or window.start == UNKNOWN:
            return 0, ""
        text = window.text[window.start :]
        return (0, "") if "|" in text else (self._base + window.start, text)

    def _advance(self) -> list[Sentence]:
        found: list[Sentence] = []
        window = self._window
        goes_on = True
        while goes_on:
            if self._block is not None:
                goes_on = self._end_block(self._block, found)
            elif window.start == UNKNOWN:
                goes_on = self._open()
            else:
                goes_on = self._read_text(found)
        if self._block is not None:
            self._block_parts.append(window.text[self._block_from : window.scan])
            self._block_from = 0
        done = window.scan if window.start == UNKNOWN else window.start
        if done >= _DROPPED or self._block is not None:
            self._drop(done)
        return found

    def _drop(self, count: int) -> None:
        """Forget text that is done with, but for the opening."""
        window = self._window
        if self._base < _JUDGED:
            self._opening += window.text[: min(count, _JUDGED - self._base)]
        self._base += count
        window.drop(count)

    def _end_block(self, block: Opaque, found: list[Sentence]) -> bool:
        """Close the block if its end is there; False: it is not."""
        end = block.advance(self._window)
        if end == UNKNOWN:
            return False
        self._close_block(end, found)
        return True

    def _open(self) -> bool:
        """Find where the next unit starts and what it is."""
        window = self._window
        space = _SPACE.match(window.text, window.scan)
        first = space.end() if space else window.scan
        if first > window.scan:
            for newline in _NEWLINE.finditer(window.text, window.scan, first):
                self._at_line_head = True
                window.line = newline.end()
        window.scan = first
        if first == len(window.text):
            return False
        if self._at_line_head and not self._open_line():
            return False
        if self._block is None:
            window.start = first
            self._search = self._search_at(first)
        return True

    def _open_line(self) -> bool:
        """Ask the block layer what the line at `scan` begins; False: wait."""
        window = self._window
        head = read_head(window)
        if head is None:
            return False
        window.is_heading, window.is_quoted = head.is_heading, head.is_quoted
        self._at_line_head = False
        if head.block is not None:
            self._open_block(head.block, window.scan)
            window.scan = head.body
        return True

    def _search_at(self, index: int) -> Search:
        self._is_unspaced = self._is_unspaced or _is_unspaced(self._window.text[index])
        return CANDIDATE_OR_BLANK.search if self._is_unspaced else CANDIDATE.search

    def _read_text(self, found: list[Sentence]) -> bool:
        """Ask the inline layer about one candidate after another, until one is an end."""
        window = self._window
        text, limit = window.text, window.start + MAX_TEXT
        search = self._search
        while candidate := search(text, window.scan, limit):
            at = candidate.start()
            answer, index = RULES[text[at]](window, at)
            if answer is _SPLIT:
                answer, index = unless_head_row(window, index)
            if answer is _SPLIT:
                self._close_text(index, found)
                return True
            if answer is _WAIT:
                window.scan = at
                return False
            if answer is _TABLE:
                self._open_table(index, found)
                return True
            window.scan = index
        if len(text) <= limit:
            window.scan = len(text)
            return False
        self._close_text(cut(window), found)
        return True

    def _open_table(self, line: int, found: list[Sentence]) -> None:
        """Begin a table with the line at `line`, the last one of the open unit."""
        window = self._window
        if line > window.start:
            self._close_text(line, found)
        window.start = window.code_span = UNKNOWN
        self._open_block(Rows(has_edges=False, is_quoted=window.is_quoted), line)
        window.scan = line

    def _open_block(self, block: Opaque, start: int) -> None:
        self._block = block
        self._block_from = start
        self._block_start = self._base + start

    def _close_text(self, end: int, found: list[Sentence]) -> None:
        window = self._window
        text = window.text[window.start : end].rstrip()
        start = self._base + window.start
        self._is_unspaced = self._is_unspaced or _is_unspaced(text[-1])
        found.append(Sentence(text, "text", start, start + len(text)))
        window.scan = end
        window.start = window.code_span = UNKNOWN

    def _close_block(self, end: int, found: list[Sentence]) -> None:
        window = self._window
        block = self._block
        assert block is not None  # noqa: S101  - only called with one
        text = "".join((*self._block_parts, window.text[self._block_from : end])).rstrip()
        found.append(Sentence(text, block.kind, self._block_start, self._block_start + len(text)))
        self._block, self._block_parts = None, []
        window.scan = end
        window.line = end
        self._at_line_head = True

    def _table_at(self, index: int) -> Table:
        """Return the words of the language, judged from the text before `index` alone."""
        length = _PREFIXES[bisect_right(_PREFIXES, self._base + index) - 1]
        table = self._tables.get(length)
        if table is None:
            opening = self._opening + self._window.text[: max(0, length - self._base)]
            table = table_of(guess_language(opening[:length], self._hint))
            self._tables[length] = table
        return table


def _is_unspaced(character: str) -> bool:
    """Return whether a character is Thai or Lao: blanks part clauses there, not words."""
    return "\u0e00" <= character <= "\u0eff"
