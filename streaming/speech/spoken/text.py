"""What is said of an answer: what is shown is not what is spoken.

A sentence goes through stations, each of which knows less of markup than the one before: what is
hidden (reasoning, comments), lines and what marks them, mathematics, links and tags, and last the
characters. The result is plain text, never SSML: a `&` in it is an ampersand.
"""

import re

from streaming.sentences import SentenceKind
from streaming.speech.spoken.formulas import without_formulas
from streaming.speech.spoken.glyphs import plain_line, visible
from streaming.speech.spoken.markup import hide_code, lines_of, show_code, without_markup
from streaming.speech.spoken.phrases import phrases_for

_REASONING = "think|thinking|thoughts?|reasoning|scratchpad"
_OPENING = re.compile(
    rf"<!--|<(?:\w+:)?({_REASONING}|script|style)(?:\s[^<>]{{0,200}})?>", re.IGNORECASE
)
# What a sentence names hides nothing: "put it into <think> tags", "it opens with <think>."
_NAMED = re.compile(
    r"\s*[.,;:!?)\"'”’]"  # noqa: RUF001
    r"|\s+(?:and|or|for|is|are|means|tags?|blocks?|elements?|sections?|tokens?)\b"
)
_ENDS = {
    "": re.compile("-->"),
    "script": re.compile(r"</\s*script\s*>", re.IGNORECASE),
    "style": re.compile(r"</\s*style\s*>", re.IGNORECASE),
}
# Within a sentence these are a topic, where their end does not follow: "the <style> of a page".
_CLOSED_AT_ONCE = frozenset((_ENDS["script"], _ENDS["style"]))
_REASONING_END = re.compile(rf"</\s*(?:\w+:)?(?:{_REASONING})\s*>", re.IGNORECASE)

_SAYABLE = re.compile(r"[^\W_]")
_CLOSERS = " \"')]}”’»›」』】）》"  # noqa: RUF001
_END_MARKS = frozenset(".!?…:;,—–。！？｡．；：、，।॥؟۔؛،։՞՜።፧፣၊။។៖།")  # noqa: RUF001
_STOPS = (
    (
        re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
        "。",
    ),
    (re.compile("[\u0900-\u0a7f\u0b00-\u0b7f]"), "।"),  # Devanagari, Bengali, Gurmukhi, Odia
    (re.compile("[\u0e00-\u0eff]"), ""),  # Thai and Lao have none; a pause is a blank
    (re.compile("[\u0f00-\u0fff]"), "།"),
    (re.compile("[\u1000-\u109f]"), "။"),
    (re.compile("[\u1200-\u139f]"), "።"),
    (re.compile("[\u1780-\u17ff]"), "។"),
    (re.compile("[\u0530-\u058f]"), "։"),  # noqa: RUF001
)
_ARABIC = re.compile("[\u0600-\u06ff]")
_URDU = re.compile("[\u0679\u0688\u0691\u06ba\u06be\u06c1\u06d2]")  # letters of its own


class SpokenText:
    """What is said of one answer, sentence by sentence.

    One for each turn, told every sentence in order: markup may open in one and close in another.
    Deterministic; linear in the length of a sentence, whatever it holds.

    Args:
        language: BCP 47 tag of the words for blocks and signs; English where we have none.
    """

    def __init__(self, language: str = "en") -> None:
        self._phrases = phrases_for(language)
        self._blocks: dict[SentenceKind, str] = {
            "code": self._phrases.code_block,
            "table": self._phrases.table,
            "math": self._phrases.formula_block,
        }
        self._hidden_until: re.Pattern[str] | None = None
        self._said: SentenceKind = "text"

    def say(self, kind: SentenceKind, text: str) -> str:
        """Return what is said of the next sentence, or of a clause of it; empty for nothing.

        Blocks of one kind with nothing said between them are said once. Text comes out as one
        line that ends with a mark, has a letter or digit, and holds no markup: neither back-tick,
        asterisk, bracket, `<`, `>`, `|` and backslash, nor an address, entity or emoji.
        """
        if kind != "text":
            return self._say_block(kind, text)
        said = self._say_text(text)
        if said:
            self._said = "text"
        return said

    def _say_block(self, kind: SentenceKind, text: str) -> str:
        if self._hidden_until is not None:
            self._after_hidden(text)
            return ""
        said = self._blocks.get(kind, "")
        if not said or kind == self._said:
            return ""
        self._said = kind
        return said

    def _say_text(self, text: str) -> str:
        shown = self._after_hidden(visible(text))
        shown, codes = hide_code(shown, self._phrases)
        if "<" in shown:
            shown = self._without_hidden(shown)
        shown = without_formulas(shown, self._phrases)
        lines: list[str] = []
        for line, is_own in lines_of(shown):
            if is_own and lines:
                lines[-1] = ended(lines[-1])
            lines += filter(None, [self._plain(line, codes)])
        said = " ".join(lines)
        return ended(said) if _SAYABLE.search(said) else ""

    def _plain(self, line: str, codes: list[str]) -> str:
        line = without_markup(" ".join(line.split()))
        return plain_line(show_code(line, codes), self._phrases)

    def _after_hidden(self, text: str) -> str:
        """Return what follows the end of the span that is open; all where none is."""
        if self._hidden_until is None:
            return text
        end = self._hidden_until.search(text)
        if end is None:
            return ""
        self._hidden_until = None
        return text[end.end() :]

    def _without_hidden(self, text: str) -> str:
        """Return a text without the spans that open in it; one that stays open is remembered."""
        shown: list[str] = []
        place = 0
        endless: set[re.Pattern[str]] = set()  # looked for once, so that many openings cost no more
        for opening in _OPENING.finditer(text):
            until = _ENDS.get((opening[1] or "").lower(), _REASONING_END)
            if opening.start() < place or until in endless or _is_named(opening):
                continue
            end = until.search(text, opening.end())
            if end is None and until in _CLOSED_AT_ONCE and not _is_at_head(opening):
                endless.add(until)
                continue
            shown.append(text[place : opening.start()])
            if end is None:
                self._hidden_until = until
                return " ".join(shown)
            place = end.end()
        return " ".join((*shown, text[place:]))


def _is_at_head(opening: re.Match[str]) -> bool:
    return not _SAYABLE.search(opening.string, 0, opening.start())


def _is_named(opening: re.Match[str]) -> bool:
    """Return whether a sentence speaks of a tag rather than opens it."""
    return not _is_at_head(opening) and bool(_NAMED.match(opening.string, opening.end()))


def ended(text: str) -> str:
    """Return a text with a mark at its end, so that an engine lowers its voice.

    The mark is the stop of the last word's script; a text that ends with any mark keeps it.
    """
    last = next((sign for sign in reversed(text) if sign.isalnum()), "")
    if not last or text.rstrip(_CLOSERS)[-1:] in _END_MARKS:
        return text
    if _ARABIC.match(last) and _URDU.search(text):
        return text + "۔"  # noqa: RUF001
    return text + next((stop for script, stop in _STOPS if script.match(last)), ".")
