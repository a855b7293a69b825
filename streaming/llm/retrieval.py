"""Find the passages that fit a question: BM25 over words, headings counting more than text.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import log

from streaming.llm.passages import README, Passage, marked_lines

_K1, _B = 1.2, 0.5
_HEADING_WEIGHT = 3
_CODE_WEIGHT = 0.3  # an example command holds words that it is not about
_LEAST_COVERAGE = 0.5
_MAX_QUESTION_CHARS = 4_000
_MAX_QUESTION_WORDS = 64

_WORD = re.compile(r"[^\W_]+")
_PLURAL = re.compile(r"(?<=...)(?<![su])s$")
_SUFFIX = re.compile(r"(?<=...)(?:ing|ed|e|er|or|ion|ly)$")
_DOUBLED = re.compile(r"([bdgmnprt])\1$")  # dropped, stopping
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

_SYNONYM_WEIGHT = 0.75
_README_WEIGHT = 1.25  # it says first what matters most

_STOP_WORDS = frozenset(
    """
    a about actually after all also am an and any are as at be because been before but by can
    could did do does doing done during explain find for from get gets give go had happen
    happens has have having he help her here him his how i if in into is it its just know let
    like many may me mean means might more most much must my need needs no not now of ok on one
    or our out please really same say she should show so some something still such tell than
    that the their them then there these they thing things this those to too until us use used
    uses using very want was way we well were what when where which while who whom whose why
    will with work works would yes you your chatstream
    """.split()  # noqa: SIM905  a list of 150 strings is harder to read
)

_SYNONYMS = (
    "resume reconnect replay continue cursor",
    "stream turn eventsource",
    "cancel stop abort",
    "disconnect offline drop",
    "kill crash die restart",
    "configure configuration setting option variable environment",
    "database storage store persist save mongodb sqlite",
    "model llm openai provider",
    "fast slow speed latency performance pacing",
    "login sign account guest user",
    "install start run setup",
    "fail failure error",
    "monitor monitoring metric prometheus export observe",
)


def content_words(text: str) -> list[str]:
    """Return a text's words in a form that matches their inflections, without the empty ones."""
    text = _CAMEL.sub(" ", text[:_MAX_QUESTION_CHARS].replace("'s", ""))
    words = (word.lower() for word in _WORD.findall(text))
    return [_stem(word) for word in words if word not in _STOP_WORDS]


def reads_as_english(text: str) -> bool:
    """Return whether a text has one of the small words that English cannot do without."""
    return not _STOP_WORDS.isdisjoint(_WORD.findall(text[:_MAX_QUESTION_CHARS].lower()))


def _stem(word: str) -> str:
    return _DOUBLED.sub(r"\1", _SUFFIX.sub("", _PLURAL.sub("", word)))


_RELATED = {
    _stem(word): frozenset(_stem(other) for other in group.split() if other != word)
    for group in _SYNONYMS
    for word in group.split()
}


def _counts(passage: Passage) -> dict[str, float]:
    """Return how much each word says about a passage."""
    counts: dict[str, float] = defaultdict(float)
    for line, is_code in marked_lines(passage.text.splitlines()):
        for word in content_words(line):
            counts[word] += _CODE_WEIGHT if is_code else 1.0
    for word in content_words(" ".join((*passage.headings, passage.page))):
        counts[word] += _HEADING_WEIGHT
    return counts


class PassageIndex:
    """A fixed set of passages, searched by words."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._lengths: list[float] = []
        for place, passage in enumerate(passages):
            counts = _counts(passage)
            self._lengths.append(sum(counts.values()))
            for word, count in counts.items():
                self._postings[word].append((place, count))
        self._mean_length = sum(self._lengths) / len(self._lengths) if passages else 1.0

    def search(self, words: Iterable[str], *, limit: int) -> list[Passage]:
        """Return the passages that fit best, best first; none where the question is about else.

        A passage must hold half of the question's words, or words related to them.
        """
        asked = list(dict.fromkeys(words))[:_MAX_QUESTION_WORDS]
        scores: dict[int, float] = defaultdict(float)
        covered: dict[int, int] = defaultdict(int)
        for word in asked:
            for place, score in self._matches(word).items():
                scores[place] += score
                covered[place] += 1
        enough = _LEAST_COVERAGE * len(asked)
        fitting = [place for place in scores if covered[place] >= enough]
        fitting.sort(key=lambda place: (-scores[place], place))
        best = scores[fitting[0]] if fitting else 0.0
        return [self.passages[place] for place in fitting[:limit] if scores[place] > best / 2]

    def _matches(self, word: str) -> dict[int, float]:
        """Return the score of each passage that holds a word, or else one that is related."""
        scores: dict[int, float] = {}
        for other in (*_RELATED.get(word, ()), word):
            weight = self._rarity(word) * (1.0 if other == word else _SYNONYM_WEIGHT)
            for place, count in self._postings.get(other, ()):
                score = weight * self._saturated(count, place)
                scores[place] = max(score, scores.get(place, 0.0))
        return scores

    def _rarity(self, word: str) -> float:
        """Return a word's inverse document frequency; highest for a word that no page has."""
        found = len(self._postings.get(word, ()))
        return log(1 + (len(self.passages) - found + 0.5) / (found + 0.5))

    def _saturated(self, count: float, place: int) -> float:
        # Shorter than usual is no merit: a table's row of five words would win over a paragraph.
        length = max(1.0, self._lengths[place] / self._mean_length)
        weight = _README_WEIGHT if self.passages[place].page == README else 1.0
        return weight * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))
