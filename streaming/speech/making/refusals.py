"""When an engine that refuses is no longer asked: a refusal is an answer, not an outage.

What is refused again and again is a manner of speaking, a language with a voice: one that the
engine does not have, or, after the key was revoked, every single one. So it is counted by manner: a
reader of Burmese takes the engine from nobody else, and without a key each manner soon rests.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from streaming.speech.base import Utterance

MAX_MANNERS = 64
"""Manners remembered, the latest refused: names come from requests, so that they need a bound."""


@dataclass(slots=True)
class _Manner:
    """One that was refused since it was last spoken: the hashes of the texts."""

    texts: set[int] = field(default_factory=set)
    rests_until: float = 0.0


class Refusals:
    """What an engine refused lately.

    A manner rests for `rest_s` seconds once `limit` different texts in a row were refused in it;
    then each further refusal lets it rest again, and one success clears it.

    Args:
        limit: Different texts; a single one that is refused however often rests nothing.
        rest_s: Seconds.
        clock: Monotonic seconds.
    """

    def __init__(self, *, limit: int, rest_s: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._rest_s = rest_s
        self._clock = clock
        self._manners: OrderedDict[int, _Manner] = OrderedDict()
        self._texts: set[int] = set()

    @property
    def is_total(self) -> bool:
        """Whether `limit` different texts in a row were refused, of whatever manner."""
        return len(self._texts) >= self._limit

    def rests(self, utterance: Utterance) -> bool:
        """Say whether the engine should not be asked for the utterance now."""
        manner = self._manners.get(_manner_of(utterance))
        return manner is not None and self._clock() < manner.rests_until

    def refused(self, utterance: Utterance) -> bool:
        """Note a refusal; say whether its manner rests from now on."""
        text = hash(utterance.text)
        self._note(self._texts, text)
        key = _manner_of(utterance)
        manner = self._manners.setdefault(key, _Manner())
        self._manners.move_to_end(key)
        if len(self._manners) > MAX_MANNERS:
            self._manners.popitem(last=False)
        self._note(manner.texts, text)
        if len(manner.texts) < self._limit:
            return False
        manner.rests_until = self._clock() + self._rest_s
        return True

    def spoken(self, utterance: Utterance) -> None:
        """Note that the engine spoke: the manner is welcome again, and the key is good."""
        self._manners.pop(_manner_of(utterance), None)
        self._texts.clear()

    def _note(self, texts: set[int], text: int) -> None:
        if len(texts) < self._limit:
            texts.add(text)


def _manner_of(utterance: Utterance) -> int:
    return hash((utterance.language, utterance.voice))
