"""Characters: which are shown but never said, and how what is left becomes a plain line.

`visible` comes first, before markup is read; `plain_line` last: whatever came through, its result
holds nothing that an engine or a listener could take for markup. Both are linear in the length:
every repetition is of one class of characters, bounded, or ended by what could start the next.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from streaming.speech.spoken.phrases import Phrases

Replacement = str | Callable[[re.Match[str]], str]
Step = tuple[frozenset[str], re.Pattern[str], Replacement]

UNDERSCORE = "\ue000"
"""Stands for an underscore that is to be kept: private, hence in no visible text."""

_INVISIBLE = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff]+"
)
_PRIVATE_CITATION = re.compile("\ue200[^\ue200\ue201]*\ue201")
_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]?")
_KEYCAP = re.compile("[0-9#*]\ufe0f?\u20e3")
# In Persian and its neighbours this character parts words, as a blank does for an engine.
_WORD_PART = re.compile("(?<=[\u0600-\u06ff])\u200c(?=[\u0600-\u06ff])")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]+")  # bold or script letters, made of mathematics
# Emoji, and the text symbols that are used like them. Arrows are pauses and are taken out before.
_PICTURES = re.compile(
    "[\xa9\xae\u2020\u2021\u203b\u2117\u2120\u2122\u2139\u2300-\u243f\u24c2\u2500-\u27bf\u2b00-\u2bff"
    "\u3004\u3030\u303d\u3297\u3299\U0001f000-\U0001fbff]+"
)
_CAPITALS = r"[A-ZÀ-ÖØ-ÞΑ-ΩА-Я][^\W\d_]|[\u3040-\u9fff\uac00-\ud7a3]"
# No tag any more, but shown as one: code, entities, a type's parameters.
_BRACKETED = (
    r"<(/?[^\W\d_][\w:.-]*(?:(?:, ?[\w:.-]+(?: {1,2}[\w:.-]+ ?)?){1,4}"
    r"| [^<>=]{1,40}=[^<>]{1,80}| ?/)?)>"
)
_PAUSES = (
    "\u2022\u2023\u2219\u25e6\u2190-\u21ff\u2794\u2798-\u27af\u27b1-\u27be\u27f0-\u27ff\u2900-\u297f"
    "\u2b00-\u2b11\u2b30-\u2b4f\u2b5a-\u2b73\U0001f800-\U0001f8ff"
)


def visible(text: str) -> str:
    """Return a text without characters that show nothing by themselves, and without keycaps.

    These are control, zero-width, direction, private-use and surrogate characters, variation
    selectors and joiners: emoji fall into their pictures, which `plain_line` takes out.
    """
    text = _TERMINAL_CODE.sub("", text) if "\x1b" in text else text
    if text.isascii():
        return _INVISIBLE.sub("", text)
    text = text.replace("\u203c", "!").replace("\u2049", "?")  # marks that may be drawn as emoji
    text = _KEYCAP.sub(" ", _PRIVATE_CITATION.sub(" ", text))
    text = _INVISIBLE.sub("", _WORD_PART.sub(" ", text))
    return _STYLED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)


def step(needed: str, pattern: str, replacement: Replacement) -> Step:
    """Return a replacement that is tried where one of some characters occurs; always, for none."""
    return frozenset(needed), re.compile(pattern), replacement


def applied(steps: tuple[Step, ...], text: str) -> str:
    """Return a text after some replacements, in order."""
    present = set(text)
    for needed, pattern, replacement in steps:
        if not needed or not needed.isdisjoint(present):
            text = pattern.sub(replacement, text)
            present = set(text)
    return text


def plain_line(text: str, phrases: Phrases) -> str:
    """Return a text as one line of plain words and marks, signs that mean something as words."""
    operators, comparisons = _signs(phrases)
    text = applied(_DELETIONS, applied(operators, text))
    if not text.isascii():
        text = applied(_ARROWS_AS_PAUSES, " ".join(text.split()))
        text = _PICTURES.sub(" ", text)
    text = applied(comparisons, " ".join(text.split()))
    text = applied(_SEPARATIONS, text)
    text = applied(_TIDYING, " ".join(text.split()))
    return applied(_LAST, " ".join(text.split()))


@cache
def _signs(phrases: Phrases) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Return the steps that read operators and those that read comparisons as words."""
    power = f" {phrases.power} ".replace("{}", r"\1")
    operators = (
        step("*", r"(?<=[\w)%\]]) \* (?=[\w(])|(?<=\d)\*(?=\d)|(?<=\b\w)\*(?=\w\b)", " × "),  # noqa: RUF001
        step("*", r"(?:(?<=[\w)]) \*\* |(?<=\d)\*\*)(\d{1,3})(?![\w*])", power),
        step("^", r"(?<=[\w)]) ?\^ ?\{?(-?\d{1,3}|[^\W\d_])\}?(?!\w)", power),
        step("~", r"(?<![\w~])~ ?(?=[\d$€£¥])", f" {phrases.about} "),
        step("≈", "≈", f" {phrases.about} "),
    )
    comparisons = (
        step("<", _BRACKETED, r" \1 "),
        step("<", _BRACKETED, r" \1 "),  # what the first left around it
        step("<>", r"<[-=]{1,3}>|[-=]{1,3}>(?!=)|<-{2,3}|<-(?= )", " → "),
        step("→", r"(?<=[^\s.,;:!?—(])\s*(?:→\s*)+(?=[^\s.,;:!?)])", ", "),
        step("→", "→", " "),
        step("≤<", "≤|<=", f" {phrases.at_most} "),
        step("≥>", "≥|>=", f" {phrases.at_least} "),
        step("≠!", "≠|!==?", f" {phrases.unequal} "),
        step("<>", "[<>]{2,}", " "),
        step(">", rf"(?<=[^\W\d_]{{2}}) > (?={_CAPITALS})", ", "),  # Settings > Privacy
        step("<", r"(?<!^)< ?(?=[\w.,($€£¥+−-])|^< ?(?=[\d$€£¥])", f" {phrases.less} "),  # noqa: RUF001
        step(">", r"(?<!^)> ?(?=[\w.,($€£¥+−-])", f" {phrases.more} "),  # noqa: RUF001
        step("<>", "[<>]", " "),
    )
    return operators, comparisons


def _one_mark(match: re.Match[str]) -> str:
    """Return the question mark of a run of marks, else its first."""
    return next((mark for mark in match[0] if mark in "?？؟"), match[0][0])  # noqa: RUF001


# Invariant: what deletes, and so joins what stood apart, comes before what looks for more than one
# character; afterwards blanks are put in, never taken from between what could form a sign.
_DELETIONS = (
    step("`", r"(?<=\w)`(?=\w)", "'"),
    step("~", r"(?<=\w)~(\w{1,6})~", r"\1"),  # a subscript
    step("~", r"(?<=\w)~(?=\w)", " "),
    step("*`~", "[*`~]+", ""),
    step("_", r"(?<=[^\W_])_+(?=[^\W_])", " "),
    step("_", "_+", ""),
    step("\\", r"(?<=\S)\\(?=\w)", " "),
    step("\\", r"\\+", ""),
    step("#", r"(?<![^\W\d_])#+|#+(?=\w)|(?<=#)#+", ""),
    step("$", r"\$+(?=\$)|(?<!\d)\$(?! ?\d)", ""),
    step("[{", r"(?<=[\w)])[\[{]+", " "),
    step("]}", r"[\]}](?=\w)", " "),
    step("[]{}⟦⟧〔〕［］", "[][{}⟦⟧〔〕［］]+", ""),  # noqa: RUF001
    step("【】", "[【】]+", " "),
    step("w", r"(?<![A-Za-z0-9])(?:[wW]{3}\.)+(?=\w)", ""),
)

_ARROWS_AS_PAUSES = (
    step("·", r"(?<=\S) · (?=\S)", ", "),
    step("", rf"(?<=[^\s.,;:!?—(]) ?(?:[{_PAUSES}] ?)+(?=[^\s.,;:!?)])", ", "),
)

_SEPARATIONS = (
    step("|", r" \|+ ", ", "),
    step("|", r"\|+", " "),
    step(":", r"(?:(?<![A-Za-z0-9])(?:https?|ftp|wss?|file))?:/{2,}", " "),
    step("^", r"\^+", " "),
    step("=", r"(?<=[^\s=]) ?={2,} ?(?=[^\s=])", " = "),
    step("=", "={2,}", " "),
    step("-", r"(?<!\S)-{2,}(?=\w)", ""),
    step("-—", "-{2,}|—{2,}", " — "),
    step("(（", r"[(（][\s(),;（）]{0,8}[)）]", " "),  # noqa: RUF001
)

_TIDYING = (
    step(",", r",(?= ?[,.;:!?…。])|(?<=[(:;—]),|(?<=[(:;—] ),", ""),
    step("(", r"\( +", "("),
    step(" ", r" +(?=[,;)、。，；：！？]|[.:!?…]+(?:[\s\"')”’»]|$))", ""),  # noqa: RUF001
    step("!?！？؟", "[!?！？؟]{2,}", _one_mark),  # noqa: RUF001
    step(".…", r"\.{2,}…*|(?:\. ){2,}\.+|…[.…]+", "…"),
    step(",;:،。、，；：؛।", r"([,;:،。、，；：؛।])(?: ?\1)+", r"\1"),  # noqa: RUF001
    step(",;:.!?…)—–=/·+-", r"^(?:[,;:.!?…)—–=/·+-]+(?: |$))+", ""),  # noqa: RUF001
    step(",;:!?)", "^[,;:!?)]+", ""),
)

_LAST = (
    step("&", "&{2,}", "&"),
    step("&", r"&(?=#?\w+;)", "& "),
    step(UNDERSCORE, f"{UNDERSCORE}+", "_"),
)
