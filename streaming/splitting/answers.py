"""The answers a rule may give, and the window of text it sees."""

from collections.abc import Callable
from enum import Enum

from streaming.splitting.table import Table


class Answer(Enum):
    """What a rule says of a candidate."""

    SPLIT = "split"
    NO = "no"
    WAIT = "wait"
    TABLE = "table"


# SPLIT comes with the index where the unit ends, NO with the one where the scan goes on, TABLE
# with the one where the line starts that turns out to be the head of a table.
Verdict = tuple[Answer, int]

WAIT: Verdict = (Answer.WAIT, 0)
UNKNOWN = -1
_SPLIT, _NO, _TABLE = Answer.SPLIT, Answer.NO, Answer.TABLE


def split(end: int) -> Verdict:
    """Return the answer that the unit ends before the index `end`."""
    return _SPLIT, end


def no(resume: int) -> Verdict:
    """Return the answer that nothing ends here; the scan goes on at `resume`."""
    return _NO, resume


def table(line: int) -> Verdict:
    """Return the answer that what starts at `line` is a table, and text only what is before it."""
    return _TABLE, line


class Window:
    """The text at hand and what is known of the unit that is open in it.

    All indexes are into `text`. A rule never looks before `start`: what is there depends on how
    the text was sliced. `line` alone may be negative, it only serves to measure a line.

    Attributes:
        text: What was pushed and has not been given out.
        start: Where the open unit starts; UNKNOWN while only white space was seen.
        scan: Everything before it has been decided.
        line: Where the current line starts.
        is_heading: The current line ends with its newline, whatever follows.
        is_quoted: The current line is in a block quote.
        code_span: Where an inline code span was opened, or UNKNOWN.
        code_ticks: How many back-ticks opened it.
        is_final: No text will follow.
        table_at: Returns the words of the language, judged from the text before an index.
    """

    __slots__ = (
        "code_span", "code_ticks", "is_final", "is_heading", "is_quoted", "line", "scan", "start",
        "table_at", "text",
    )  # fmt: skip

    def __init__(self, table_at: Callable[[int], Table]) -> None:
        self.text = ""
        self.start = UNKNOWN
        self.scan = 0
        self.line = 0
        self.is_heading = False
        self.is_quoted = False
        self.code_span = UNKNOWN
        self.code_ticks = 0
        self.is_final = False
        self.table_at = table_at

    def has(self, index: int) -> bool:
        """Return whether the character at `index` is there."""
        return index < len(self.text)

    def drop(self, count: int) -> None:
        """Forget the first `count` characters; every index moves with the text."""
        if not count:
            return
        self.text = self.text[count:]
        self.scan -= count
        self.line -= count
        if self.start != UNKNOWN:
            self.start -= count
        if self.code_span != UNKNOWN:
            self.code_span -= count
