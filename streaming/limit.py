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
_WORD_START = re.compile(r"(?<=\s)(?=\S)")


class ResponseLimit:
    """Passes text through up to `max_chars` code points."""

    __slots__ = ("_after_sentence", "_free", "_held", "_left", "_max_chars", "_reserve", "is_full")

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._reserve = min(RESERVE_CHARS, max_chars // 4)
        self._free = max_chars - self._reserve
        self._left = max_chars
        self._held = ""
        self._after_sentence = False
        self.is_full = False

    @property
    def held(self) -> str:
        """What is held back now."""
        return self._held

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

    def resume(self, written: int) -> None:
        """Count text that was sent before, by another process."""
        self._free -= written
        self._left = max(0, self._left - written)

    def restart(self) -> None:
        """Begin anew: what was sent is withdrawn."""
        self._held, self._after_sentence = "", False
        self._left = self._max_chars
        self._free = self._max_chars - self._reserve

    def flush(self) -> str:
        """Return what is still held back; the model has finished by itself."""
        held, self._held = self._held, ""
        return held

    def _release(self) -> str:
        """Let go of the finished sentences, and of the words that no longer fit the reserve."""
        held = self._held
        end = _last_end(_SENTENCE_END, held, len(held))
        if end:
            self._after_sentence = True
        if len(held) - end > self._reserve:
            words = _last_end(_WORD_END, held, len(held))
            end = words if len(held) - words <= self._reserve else len(held)
            self._after_sentence = False
        released, self._held = held[:end], held[end:]
        self._left -= len(released)
        return released

    def _cut(self) -> str:
        fits, left = self._held[: self._left + 1], self._left  # one more: is the last word whole?
        self._held = ""
        end = _last_end(_SENTENCE_END, fits, left)
        if self._after_sentence or self._is_near(end):
            return fits[:end]
        end = _last_end(_WORD_END, fits, left) or _last_end(_WORD_START, fits, left)
        return fits[: end if self._is_near(end) else left]

    def _is_near(self, end: int) -> bool:
        """Whether cutting there costs no more than is held back."""
        return end > 0 and self._left - end <= self._reserve


def _last_end(pattern: re.Pattern[str], text: str, limit: int) -> int:
    """Return where the last match ends that ends within `limit`; 0 if none does."""
    end = 0
    for match in pattern.finditer(text):
        if match.end() <= limit:
            end = match.end()
    return end
