"""The rule for a single full stop: abbreviations, initials, numbers, and everything else.

When unsure it does not split: a merge is inaudible, a cut in «Dr. | Smith» is not.
"""

import re

from streaming.splitting.answers import WAIT, Verdict, Window, no, split
from streaming.splitting.characters import DASHES
from streaming.splitting.lookahead import CARELESS, I_FORMS, Next, read_beyond, read_word
from streaming.splitting.lookbehind import (
    is_marker,
    spaced_word_before,
    starts_lower,
    word_before,
)  # fmt: skip
from streaming.splitting.table import Abbreviation, Table

_NOT_FIRST = ",;:)]}%=/&|"
_CONSONANTS = re.compile(
    r"[b-df-hj-np-tv-xzB-DF-HJ-NP-TV-XZ][b-df-hj-np-tv-xz]{1,4}"
    r"|[бвгджзйклмнпрстфхцчшщБВГДЖЗЙКЛМНПРСТФХЦЧШЩ][бвгджзйклмнпрстфхцчшщ]{1,4}"
)
_ACRONYM = re.compile(r"(?:[^\W\d_]{1,2}\.-?)+[^\W\d_]{1,2}")
_ROMAN = re.compile(r"[IVXL]{1,6}")
_ELISION = re.compile("^[^\\W\\d_]{1,5}['\u2019]")
_PLAIN_WORD = 4
_CLOCK = frozenset(["a.m", "p.m"])
_AT_A_TIME = re.compile(
    r"\b(?:at|by|until|till|before|after|around|about|to|and|from|since)\s\d{1,2}(?::\d\d)?\s?[ap]\.m\Z",
    re.IGNORECASE,
)
_BEHIND_CLOCK = frozenset([
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "mon", "tue",
    "wed", "thu", "fri", "sat", "sun", "eastern", "pacific", "central", "mountain", "atlantic",
    "greenwich", "london", "standard", "local", "time", "sharp",
])  # fmt: skip
_GEORGIAN = ("\u10d0", "\u10ff")  # letters that count as small, and begin sentences
_CARELESS_FIRST = frozenset(word[0] for word in CARELESS)
_MAX_TIME = 16
_DUTCH = 3
_SMALL_WORDS = re.compile("[stnkm] ")  # Dutch words without their first letter: «'s Avonds»
_TITLES = frozenset(["mr", "mrs", "ms", "dr", "prof", "miss", "sir"])
_LEAD_IN = re.compile(r"(?:At|By|Around|From|Before|After|Until|Since|On|In)(?:\s+\S+){1,3}")
_MAX_LEAD_IN = 40
_ORDINAL_DIGITS = 2
_FIRST_SYLLABLE = "\u1100"  # from here on a single letter can be a whole word («yes» in Korean)
_AMOUNT = "$\u20ac\u00a3\u00a5+~<\u2248"


def full_stop(window: Window, index: int) -> Verdict:
    """Judge the single full stop at `index`; no letter or digit follows it directly."""
    beyond = read_beyond(window, index + 1)
    if beyond is None:
        return WAIT
    tail, following = beyond
    if following is None or not following.first or following.first in _NOT_FIRST:
        return no(index + 1)
    if index == window.start or is_marker(window, index):
        return no(index + 1)
    if not _is_small(window, following):
        return _before_sentence(window, index, following, tail)
    if _is_undecided_small(window, following):
        return WAIT
    return _before_small(window, index, following, tail)


def _is_small(window: Window, following: Next) -> bool:
    """Return whether the next word starts small; «iPhone» and «eBay» do not count as such."""
    if not following.first.islower() or _GEORGIAN[0] <= following.first <= _GEORGIAN[1]:
        return False
    second = following.at + 1
    is_name = following.first in "ie" and window.has(second) and window.text[second].isupper()
    return not is_name


def _is_undecided_small(window: Window, following: Next) -> bool:
    return following.first in "ie" and not window.has(following.at + 1) and not window.is_final


def _before_small(window: Window, index: int, following: Next, tail: int) -> Verdict:
    """Judge a full stop before a small letter: an end only where sentences start small."""
    if "..." in following.opening or "\u2026" in following.opening:
        return split(tail)
    if following.opening and following.opening in "'\u2019":
        return _before_apostrophe(window, index, following, tail)
    word = word_before(window, index)
    is_plain = len(word) > 1 and word[-1].isalpha() and "." not in word
    if not is_plain or tail > index + 1 or following.opening:
        return no(index + 1)
    if not starts_lower(window):
        opens = _opens_small(window, following, word)
        if not opens:
            return WAIT if opens is None else no(index + 1)
    is_known = _kind(window.table_at(index), word, word) is not None
    return no(index + 1) if is_known else split(tail)


def _before_apostrophe(window: Window, index: int, following: Next, tail: int) -> Verdict:
    """Judge a full stop before an apostrophe: «'s Avonds» and «'t Is» open a Dutch sentence."""
    text, at = window.text, following.at
    seen = text[at : at + 3]
    is_open = len(seen) < _DUTCH and not window.is_final
    if is_open and (len(seen) == 1 or _SMALL_WORDS.match(seen)):
        return WAIT
    is_dutch = _SMALL_WORDS.match(seen) and seen[2:].isupper()
    return split(tail) if is_dutch else no(index + 1)


def _opens_small(window: Window, following: Next, word: str) -> bool | None:
    """Return whether a small word opens a carelessly typed English sentence; None: wait."""
    if following.first not in _CARELESS_FIRST:
        return False
    next_word = read_word(window, following.at)
    if next_word is None:
        return None
    return next_word in I_FORMS or (len(word) >= _PLAIN_WORD and next_word in CARELESS)


def _before_sentence(window: Window, index: int, following: Next, tail: int) -> Verdict:
    """Judge a full stop before a capital, a digit, a newline or a letter without case."""
    if _is_inside_guillemets(window, index, following):
        return no(index + 1)
    word = word_before(window, index)
    if not word:
        return split(tail)
    if word.isdecimal():
        return _after_number(window, following, word, (index, tail))
    table = window.table_at(index)
    key = spaced_word_before(window, index, word)
    kind = _kind(table, key, word)
    if kind is None:
        return _after_word(window, following, word, (index, tail))
    if following.first == "\n":
        return no(index + 1) if kind is Abbreviation.NEVER else split(tail)
    return _after_abbreviation(window, following, (kind, key), (index, tail))


def _is_inside_guillemets(window: Window, index: int, following: Next) -> bool:
    """Return whether a dash goes on with speech that was interrupted: «- said he. - Then …»."""
    if following.opening == "" or following.opening[0] not in DASHES:
        return False
    opened = window.text.rfind("\u00ab", window.start, index)
    return opened > window.text.rfind("\u00bb", window.start, index)


def _kind(table: Table, key: str, word: str) -> Abbreviation | None:
    """Return how the abbreviation before the stop behaves; None for a usual word."""
    known = table.abbreviations
    small = key.lower()
    kind = known.get(key)
    if kind is None and not (len(key) == 1 and key.isupper()):  # a capital alone is an initial
        kind = known.get(small)
        if kind is None and not small.isalpha():
            # «l'Ing.», «dell'Avv.»: an article stands before the abbreviation.
            kind = known.get(small.replace(".", "")) or known.get(_ELISION.sub("", small))
    if kind is None and key != word and not word.isupper():
        kind = known.get(word.lower())
    if kind is not None:
        return kind
    if table.has_capital_nouns and small.endswith("str"):
        return Abbreviation.NEVER  # «Hauptstr. 5»
    is_short = _CONSONANTS.fullmatch(word) or ("." in key and _ACRONYM.fullmatch(key))
    return Abbreviation.AMBIGUOUS if is_short else None


def _after_word(window: Window, following: Next, word: str, at: tuple[int, int]) -> Verdict:
    """Judge the stop behind a usual word; a single letter may be an initial."""
    index, tail = at
    is_unit = window.text.startswith("/", max(window.start, index - 2))  # «km/h»
    if len(word) == 1 and word.isalpha() and word < _FIRST_SYLLABLE and not is_unit:
        if following.first == "\n":
            return split(tail)
        return _if_opener(window, following, at)
    if following.first != "\n" and _ROMAN.fullmatch(word) and window.table_at(index).has_ordinals:
        return _if_opener(window, following, at)
    return split(tail)


def _after_abbreviation(
    window: Window, following: Next, what: tuple[Abbreviation, str], at: tuple[int, int]
) -> Verdict:
    kind, key = what
    index, tail = at
    if kind is Abbreviation.NEVER:
        return no(index + 1)
    if kind is Abbreviation.NUMBER:
        return _if_no_number(window, following, at)
    if kind is Abbreviation.LAST and not window.table_at(index).has_capital_nouns:
        return split(tail) if not following.first.isdigit() else no(index + 1)
    if key.lower() in _CLOCK:
        return _after_clock(window, following, at)
    return _if_opener(window, following, at)


def _if_no_number(window: Window, following: Next, at: tuple[int, int]) -> Verdict:
    """Split unless a number follows: digits, Roman digits or a single letter («Fig. B»)."""
    index, tail = at
    if following.first.isdigit() or following.first in _AMOUNT:
        return no(index + 1)
    if not following.first.isupper():
        return split(tail)
    word = read_word(window, following.at)
    if word is None:
        return WAIT
    is_number = (len(word) == 1 and word not in "ia") or _ROMAN.fullmatch(word.upper())
    return no(index + 1) if is_number and word != "i" else split(tail)


def _after_clock(window: Window, following: Next, at: tuple[int, int]) -> Verdict:
    """Judge «p.m.»: titles open a sentence too, but not after a lead-in like «At 5 a.m.»."""
    index, tail = at
    start = window.start
    if index - start <= _MAX_LEAD_IN and _LEAD_IN.fullmatch(window.text, start, index):
        return no(index + 1)
    word = read_word(window, following.at)
    if word is None:
        return WAIT
    if following.first.isupper() and word in _TITLES:
        return split(tail)
    if _AT_A_TIME.search(window.text[max(start, index - _MAX_TIME) : index]):
        return split(tail) if _may_open_after_clock(window, following, word) else no(index + 1)
    return _if_opener(window, following, at)


def _may_open_after_clock(window: Window, following: Next, word: str) -> bool:
    """Return whether a word is a name or the like, not «EST», «Friday», «Eastern»."""
    second = window.text[following.at + 1 : following.at + 2]
    is_name = following.first.isupper() and second.islower()
    return (
        is_name and word not in _BEHIND_CLOCK and word not in window.table_at(following.at).months
    )


def _if_opener(window: Window, following: Next, at: tuple[int, int]) -> Verdict:
    """Split only before a word that is known to begin sentences."""
    index, tail = at
    if not following.first.isupper():
        return no(index + 1)
    if "\u00bf" in following.opening or "\u00a1" in following.opening:
        return split(tail)
    word = read_word(window, following.at)
    if word is None:
        return WAIT
    stop = following.at + len(word)
    is_initial = len(word) == 1 and window.has(stop) and window.text[stop] == "."
    if is_initial or not _is_opener(window, index, word):
        return no(index + 1)
    return split(tail)


def _is_opener(window: Window, index: int, word: str) -> bool:
    openers = window.table_at(index).openers
    if word in openers:
        return True
    # «L'exploitation», «d'abord»: what stands before an apostrophe opens the sentence.
    stem = re.split("['\u2019]", word, maxsplit=1)[0]
    return stem != word and stem in openers


def _after_number(window: Window, following: Next, word: str, at: tuple[int, int]) -> Verdict:
    """Judge «3.»: an ordinal or a date in some languages, the end of a sentence in others."""
    index, tail = at
    if following.first == "\n":
        return split(tail)
    is_ordinal = len(word) <= _ORDINAL_DIGITS and window.table_at(index).has_ordinals
    if is_ordinal and (following.first.isdigit() or following.opening[:1] in tuple(DASHES)):
        return no(index + 1)
    if not following.first.isupper() or len(word) > _ORDINAL_DIGITS:
        return split(tail)
    if is_ordinal:
        return _if_opener(window, following, at)
    following_word = read_word(window, following.at)
    if following_word is None:
        return WAIT
    return no(index + 1) if following_word in window.table_at(index).months else split(tail)
