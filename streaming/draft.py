"""The answer so far: what has been emitted, and where in it each entry of the log ends."""

from array import array
from bisect import bisect_right


class Draft:
    """A growing text. Adding is O(1); reading joins what was added since it was last read."""

    __slots__ = ("_ends", "_pieces", "_seqs", "length")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._seqs = array("Q")
        self._ends = array("Q")
        self.length = 0

    def add(self, text: str, seq: int) -> None:
        """Append what the entry `seq` carries; 0 where no entry carries it."""
        self._pieces.append(text)
        self.length += len(text)
        if seq:
            self._seqs.append(seq)
            self._ends.append(self.length)

    def restart(self, text: str, seq: int) -> None:
        """Begin anew with what the entry `seq` resets readers to."""
        self._pieces.clear()
        self._seqs, self._ends = array("Q"), array("Q")
        self.length = 0
        self.add(text, seq)

    @property
    def text(self) -> str:
        """All of it."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def text_at(self, seq: int) -> str:
        """Return the text as a reader whose last entry is `seq` has it."""
        place = bisect_right(self._seqs, seq)
        return self.text[: self._ends[place - 1]] if place else ""
