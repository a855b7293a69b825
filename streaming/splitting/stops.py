"""The rules for `.`, `!`, `?` and ellipses: marks that end a sentence only if the rest agrees."""

import re

from streaming.splitting.answers import WAIT, Answer, Verdict, Window, no, split
from streaming.splitting.characters import DASHES, HAN_KANA, QUOTE_CLOSERS, SOFT_STOPS
from streaming.splitting.full_stops import full_stop
from streaming.splitting.lookahead import I_FORMS, Next, read_beyond, read_word
from streaming.splitting.lookbehind import in_code_span, word_before

# «!!!1» is typed in haste.
_RUN = re.compile(rf"[{re.escape(SOFT_STOPS)}]{{1,24}}(?:(?<=!!)1{{1,8}}(?![\w.,]))?")
_FOOTNOTES = "\u00b9\u00b2\u00b3\u2070\u2074\u2075\u2076\u2077\u2078\u2079"
_PLAIN_WORD = 3
_NAME = re.compile(r"[A-Z][a-z]{1,10}|I(?= )|[A-Z]\Z")
_VERB = re.compile(r"[a-z]{1,9}")
_VERBS = frozenset([
    "added", "answered", "asked", "called", "cried", "demanded", "exclaimed", "replied", "said",
    "screamed", "shouted", "whispered", "wondered", "yelled",
])  # fmt: skip
_SPACED_DOTS = re.compile(r"\.(?:[ \u00a0]\.){2,23}(?!\.)")
_SPACED_DOTS_BEGUN = re.compile(r"\.(?:[ \u00a0]\.){0,22}[ \u00a0]?\Z")
_EAST_ASIAN = re.compile(f"[{HAN_KANA}]")
_LONG_ELLIPSIS = 4
_EXCLAMATIONS = frozenset(
    [
        "yahoo",
        "yum",
        "jeopardy",
        "joomla",
        "chips ahoy",
        "oklahoma",
        "mamma mia",
        "guitars",
        "airplane",
    ]
)


def stop(window: Window, index: int) -> Verdict:
    """Judge the run of stops that begins at `index`."""
    text = window.text
    found = _RUN.match(text, index)
    end = found.end() if found else index + 1
    if end == len(text):
        return no(end) if window.is_final else WAIT
    if in_code_span(window, index):
        return no(end)
    run = text[index:end]
    if run == ".":
        return _dot(window, index)
    if _is_mentioned(text, index, end, window.start):
        return no(end)
    if "!" in run or "?" in run or run[0] not in ".\u2026":
        return _exclamation(window, index, end)
    return _ellipsis(window, end, end - index)


def _is_mentioned(text: str, index: int, end: int, start: int) -> bool:
    """Return whether the run is talked about: alone in brackets or quotes, or before a word."""
    return index == start or (
        text[index - 1] in "([\"'\u201c\u2018\u00ab`" and text[end] in ")]\"'\u201d\u2019\u00bb`"
    )


def _dot(window: Window, index: int) -> Verdict:
    text = window.text
    following = text[index + 1]
    if following in " \u00a0" and text[index + 2 : index + 3] in {"", "."}:
        if not window.is_final and _SPACED_DOTS_BEGUN.match(text, index):
            return WAIT
        found = _SPACED_DOTS.match(text, index)
        if found:
            return _spaced_ellipsis(window, index, found.end())
    elif following.isalnum() and following not in _FOOTNOTES:
        return _between_letters(window, index)
    return full_stop(window, index)


def _between_letters(window: Window, index: int) -> Verdict:
    """Judge a full stop with a letter right behind it: an end in Chinese or Japanese.

    Elsewhere the blank may be missing: between a plain word and one that opens sentences.
    """
    text = window.text
    if text[index + 1].isupper():
        return _without_blank(window, index)
    is_end = (
        index > window.start
        and _EAST_ASIAN.match(text[index - 1])
        and _EAST_ASIAN.match(text[index + 1])
    )
    return split(index + 1) if is_end else no(index + 1)


def _without_blank(window: Window, index: int) -> Verdict:
    before = word_before(window, index)
    table = window.table_at(index)
    is_plain = len(before) >= _PLAIN_WORD and before.isalpha() and before.islower()
    if not is_plain or before in table.abbreviations:
        return no(index + 1)
    if len(before) > _PLAIN_WORD and "\u0400" <= before[-1] <= "\u052f":  # no file is named so
        return split(index + 1)
    return _if_opens(window, index + 1)


def _if_opens(window: Window, at: int) -> Verdict:
    """Judge a stop before `at`, with no blank behind it: an end before a word that opens."""
    word = read_word(window, at)
    if word is None:
        return WAIT
    end = at + len(word)
    is_whole = not window.has(end) or window.text[end] in " ,!?"
    return split(at) if is_whole and word in window.table_at(at).openers else no(at)


def _spaced_ellipsis(window: Window, index: int, end: int) -> Verdict:
    """Judge `. . .`: with a fourth dot right behind a word, that first dot is the full stop."""
    if index == window.start:
        return no(end)
    dots = (end - index + 1) // 2
    verdict = _ellipsis(window, end, dots)
    is_after_word = window.text[index - 1].isalnum()
    if verdict[0] is Answer.SPLIT and is_after_word and dots >= _LONG_ELLIPSIS:
        return split(index + 1)
    return verdict


def _ellipsis(window: Window, end: int, dots: int) -> Verdict:
    """Judge dots: an end before a capital that is not the English «I»."""
    beyond = read_beyond(window, end)
    if beyond is None:
        return WAIT
    tail, following = beyond
    if following is None:
        return no(end)
    if following.first == "\n":
        return split(tail)
    if not following.first.isupper():
        return no(end)
    if dots >= _LONG_ELLIPSIS or following.opening:
        return split(tail)
    return _unless_i(window, following, end, tail) if following.first == "I" else split(tail)


def _unless_i(window: Window, following: Next, end: int, tail: int) -> Verdict:
    word = read_word(window, following.at)
    if word is None:
        return WAIT
    return no(end) if word in I_FORMS else split(tail)


def _exclamation(window: Window, index: int, end: int) -> Verdict:
    """Judge `!`, `?` and their runs."""
    beyond = read_beyond(window, end)
    if beyond is None:
        return WAIT
    tail, following = beyond
    if following is None:
        return _glued(window, index, end, tail)
    if following.first == "\n":
        return split(tail)
    if following.first.islower():
        return _before_lower(window, index, following, (end, tail))
    return _before_other(window, index, following, (end, tail))


def _before_other(window: Window, index: int, following: Next, ends: tuple[int, int]) -> Verdict:
    """Judge `!` or `?` before anything but a small letter."""
    end, tail = ends
    if tail > end and window.text[tail - 1] in QUOTE_CLOSERS and not following.opening:
        reported = _is_reported(window, following.at)
        if reported is not False:
            return WAIT if reported is None else no(end)
    if window.text[index] == "!" and _is_name(window, index):
        return _after_name(window, following, (index, end, tail))
    return split(tail) if following.first and following.first not in "=,;)|" else no(end)


def _is_reported(window: Window, at: int) -> bool | None:
    """Return whether a name and an English verb of saying stand at `at`; None: wait."""
    text = window.text
    found = _NAME.match(text, at)
    if found is None:
        return False
    end = found.end()
    if end == len(text):
        return False if window.is_final else None
    is_other = found[0] != "I" and found[0].lower() in window.table_at(at).openers
    if text[end] != " " or is_other:
        return False
    verb = _VERB.match(text, end + 1)
    word = verb[0] if verb else ""
    if end + 1 + len(word) == len(text) and not window.is_final:
        return None if any(one.startswith(word) for one in _VERBS) else False
    return word in _VERBS


def _glued(window: Window, index: int, end: int, tail: int) -> Verdict:
    """Judge a mark with no blank behind it: an end before Chinese or Japanese letters.

    Elsewhere the blank may be missing: between a plain word and one that opens sentences.
    """
    text = window.text
    if _EAST_ASIAN.match(text[tail]):
        is_end = text[index - 1].isalnum() if tail == end else _EAST_ASIAN.match(text[index - 1])
        return split(tail) if is_end else no(end)
    if tail > end or end > index + 1 or not text[end].isupper() or _is_name(window, index):
        return no(end)
    before = word_before(window, index)
    if not before.isalpha() or not before[1:].islower():
        return no(end)
    return _if_opens(window, end)


def _after_name(window: Window, following: Next, at: tuple[int, int, int]) -> Verdict:
    """Judge the mark of a name that has one: «Yahoo! Finance»."""
    index, end, tail = at
    word = read_word(window, following.at)
    if word is None:
        return WAIT
    return split(tail) if word in window.table_at(index).openers else no(end)


def _before_lower(window: Window, index: int, following: Next, ends: tuple[int, int]) -> Verdict:
    """Judge `!` or `?` before a small letter: not an end if speech is being reported."""
    end, tail = ends
    closers = window.text[end:tail]
    is_reported = any(mark in closers for mark in QUOTE_CLOSERS + ")]")
    is_factorial = len(word_before(window, index)) == 1  # «n! is»
    is_dialogue = following.opening[:1] in DASHES if following.opening else False
    if (
        is_reported
        or is_factorial
        or is_dialogue
        or _is_name(window, index)
        or _is_french_dialogue(window)
    ):
        return no(end)
    return split(tail)


def _is_name(window: Window, index: int) -> bool:
    return word_before(window, index).lower() in _EXCLAMATIONS


def _is_french_dialogue(window: Window) -> bool:
    """Return whether the unit opens with a dash or guillemet: «- Quoi ? dit-il»."""
    return window.text[window.start] in "\u00ab\u2014\u2013"
