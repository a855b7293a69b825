"""Where an answer is cut that grows too long: at a sentence end if possible, else at a word.

What was sent is never withdrawn, so the text that may become the end is held back: within the last
`RESERVE_CHARS` before the cap, everything after the last sentence end seen there. An answer that
ends before the cap loses nothing; its last words come a moment later.
"""

import re

RESERVE_CHARS = 120
"""At most this much is held back: about one sentence."""

_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*(?=\s)|[。！？]|\n")  # noqa: RUF001  # CJK stops
_WORD_END = re.compile(r"(?<=\S)(?=\s)")


class ResponseLimit:
    """Passes text through up to `max_chars` code points."""

    __slots__ = ("_after_sentence", "_free", "_held", "_left", "is_full")

    def __init__(self, max_chars: int) -> None:
        reserve = min(RESERVE_CHARS, max_chars // 4)
        self._free = max_chars - reserve
        self._left = max_chars
        self._held = ""
        self._after_sentence = False
        self.is_full = False

    def push(self, text: str) -> str:
        """Return what may be sent now; after that, `is_full` says whether the answer is cut."""
        self._free -= len(text)
        if self._free >= 0:  # the hot path: far from the cap
            self._left -= len(text)
            return text
        self._held += text
        if len(self._held) > self._left:
            self.is_full = True
            return self._cut()
        return self._release()

    def flush(self) -> str:
        """Return what is still held back; the model has finished by itself."""
        held, self._held = self._held, ""
        return held

    def _release(self) -> str:
        """Let go of the finished sentences, and of the words that no longer fit the reserve."""
        end = _last_end(_SENTENCE_END, self._held)
        if end:
            self._after_sentence = True
        elif len(self._held) > RESERVE_CHARS:
            end = _last_end(_WORD_END, self._held) or len(self._held)
            self._after_sentence = False
        released, self._held = self._held[:end], self._held[end:]
        self._left -= len(released)
        return released

    def _cut(self) -> str:
        fits = self._held[: self._left + 1]  # one more tells whether the last word is whole
        self._held = ""
        end = _last_end(_SENTENCE_END, fits)
        if self._after_sentence or end >= len(fits) // 2 > 0:
            return fits[: min(end, self._left)]
        end = max(end, _last_end(_WORD_END, fits)) or self._left
        return fits[: min(end, self._left)]


def _last_end(pattern: re.Pattern[str], text: str) -> int:
    end = 0
    for match in pattern.finditer(text):
        end = match.end()
    return end
