"""Cuts an answer into sentences while it is written."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from streaming.languages import bare_language, guess_language
from streaming.splitting.answers import UNKNOWN, Answer, Window
from streaming.splitting.blocks import read_head
from streaming.splitting.characters import NEWLINES
from streaming.splitting.head_rows import unless_head_row
from streaming.splitting.inline import CANDIDATE, CANDIDATE_OR_BLANK, judge
from streaming.splitting.length import MAX_TEXT, cut
from streaming.splitting.opaque import Opaque, Rows
from streaming.splitting.table import Table, table_of

SentenceKind = Literal["text", "code", "table", "math", "rule"]

_SPACE = re.compile(r"\s*")
_NEWLINE = re.compile(f"[{NEWLINES}]")
_UNSPACED = frozenset(["th", "lo"])

# The language is judged anew whenever so many characters are there, and then no more.
_PREFIXES = (0, 16, 32, 64, 128, 256, 384)
_JUDGED = _PREFIXES[-1]


@dataclass(frozen=True, slots=True)
class Sentence:
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
        self._candidate = CANDIDATE
        self._is_unspaced = self._hint in _UNSPACED
        self._opening = ""
        self._languages: dict[int, str] = {}

    def push(self, text: str) -> list[Sentence]:
        """Return the sentences that are complete now that `text` has come."""
        window = self._window
        window.text = whole = window.text + text
        if len(self._opening) < _JUDGED:
            self._opening += text[: _JUDGED - len(self._opening)]
        start = window.start
        # The usual case: nothing in the new text could end the open sentence.
        if (
            start != UNKNOWN
            and len(whole) - start < MAX_TEXT
            and not self._candidate.search(whole, window.scan)
        ):
            window.scan = len(whole)
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
        self._base += len(window.text)
        window.drop(len(window.text))
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
        while self._step(found):
            pass
        window = self._window
        if self._block is not None:
            self._block_parts.append(window.text[self._block_from : window.scan])
            self._block_from = 0
        done = window.scan if window.start == UNKNOWN else window.start
        self._base += done
        window.drop(done)
        return found

    def _step(self, found: list[Sentence]) -> bool:
        """Do what comes next; return False when there is nothing left or more text is needed."""
        if self._block is not None:
            end = self._block.advance(self._window)
            if end == UNKNOWN:
                return False
            self._close_block(end, found)
            return True
        if self._window.start == UNKNOWN:
            return self._open()
        return self._read_text(found)

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
            self._candidate = self._candidate_at(first)
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

    def _candidate_at(self, index: int) -> re.Pattern[str]:
        self._is_unspaced = self._is_unspaced or _is_unspaced(self._window.text[index])
        return CANDIDATE_OR_BLANK if self._is_unspaced else CANDIDATE

    def _read_text(self, found: list[Sentence]) -> bool:
        """Ask the inline layer about one candidate after another, until one is an end."""
        window = self._window
        text, limit = window.text, window.start + MAX_TEXT
        while candidate := self._candidate.search(text, window.scan, limit):
            answer, index = judge(window, candidate.start())
            if answer is Answer.SPLIT:
                answer, index = unless_head_row(window, index)
            if answer is Answer.SPLIT:
                self._close_text(index, found)
                return True
            if answer is Answer.WAIT:
                window.scan = candidate.start()
                return False
            if answer is Answer.TABLE:
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
        return table_of(self._language_at(index))

    def _language_at(self, index: int) -> str:
        """Return the language, judged from the text before `index` and nothing else."""
        length = _PREFIXES[bisect_right(_PREFIXES, self._base + index) - 1]
        language = self._languages.get(length)
        if language is None:
            language = guess_language(self._opening[:length], self._hint)
            self._languages[length] = language
        return language


def _is_unspaced(character: str) -> bool:
    """Return whether a character is Thai or Lao: blanks part clauses there, not words."""
    return "\u0e00" <= character <= "\u0eff"
