"""What is said next: sentences become units of speech, one call of an engine each. Pure.

The first unit is short, so that sound comes early; the others are whole sentences, cut where they
are too long for an engine, and joined where enough audio is out already to wait for a longer one.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streaming.sentences import Sentence, SentenceKind
from streaming.speech.clauses import begun, first_clause_end, pieces

EARLY_AFTER_CHARS = 24
"""Of a sentence that is still being written, the first clause is said once it is this long."""

FIRST_UNIT_CHARS = 50
"""A first sentence above this is begun with its first clause: engines take longer for more."""

JOINED_CHARS = 300
"""Sentences are joined up to here: fewer calls, where time allows."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One call of an engine. `sentence` is the index of the (first) sentence it speaks."""

    sentence: int
    text: str


class UnitPlanner:
    """Turns the sentences of one turn into units, in order.

    Args:
        say: Makes the spoken text of a sentence or of a clause; empty where nothing is to be said.
        between: Returns the answer's text between two offsets.
    """

    def __init__(
        self, say: Callable[[SentenceKind, str], str], between: Callable[[int, int], str]
    ) -> None:
        self._say = say
        self._between = between
        self._sentences: deque[tuple[int, Sentence]] = deque()
        self._pieces: deque[tuple[int, str]] = deque()
        self._said_until = 0
        self._planned = 0

    def add(self, index: int, sentence: Sentence) -> None:
        """Take the next sentence; `index` counts them from 0."""
        self._sentences.append((index, sentence))

    @property
    def is_begun(self) -> bool:
        """Whether a unit was planned, or a sentence waits to be."""
        return bool(self._planned or self._sentences or self._pieces)

    def early(self, start: int, text: str, *, is_late: bool, index: int = 0) -> Unit | None:
        """Return the first clause of a sentence that is still being written, if it has one.

        Args:
            start: Where the sentence starts in the answer.
            text: What there is of it.
            index: The sentence's.
            is_late: Whether it has been written for long.
        """
        if self.is_begun or (len(text) < EARLY_AFTER_CHARS and not is_late):
            return None
        end = first_clause_end(text)
        if not end:
            return None
        self._said_until = start + end
        spoken = self._say("text", begun(text[:end]))
        return self._unit(index, spoken) if spoken else None

    def next(self, *, joined: bool) -> Unit | None:
        """Return the next unit; None where nothing more was heard.

        Args:
            joined: Whether there is time to join short sentences.
        """
        while not self._pieces:
            if not self._sentences:
                return None
            self._cut_next(joined=joined)
        sentence, text = self._pieces.popleft()
        return self._unit(sentence, text)

    def _unit(self, sentence: int, text: str) -> Unit:
        self._planned += 1
        return Unit(sentence, text)

    def _cut_next(self, *, joined: bool) -> None:
        index, sentence = self._sentences.popleft()
        said = max(0, self._said_until - sentence.start)
        spoken = self._say(sentence.kind, sentence.text[said:])
        if not spoken:
            return
        if self._planned == 0 and len(spoken) > FIRST_UNIT_CHARS:
            end = first_clause_end(spoken)
            if end:
                self._pieces.append((index, begun(spoken[:end])))
                spoken = spoken[end:]
        cut = pieces(spoken)
        if joined and len(cut) == 1:
            cut = [self._join(sentence, spoken)]
        self._pieces.extend((index, text) for text in cut)

    def _join(self, sentence: Sentence, spoken: str) -> str:
        """Append the sentences that follow in the same paragraph, while they are short enough."""
        while self._sentences:
            _, following = self._sentences[0]
            is_close = following.kind == sentence.kind == "text" and "\n" not in self._between(
                sentence.end, following.start
            )
            if not is_close or len(spoken) + len(following.text) > JOINED_CHARS:
                break
            self._sentences.popleft()
            spoken = f"{spoken} {self._say(following.kind, following.text)}".rstrip()
            sentence = following
        return spoken
