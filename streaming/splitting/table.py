"""What the rules know of a language: its abbreviations, sentence openers and ordinals."""

from dataclasses import dataclass
from enum import Enum
from functools import cache

from streaming.splitting.words import LANGUAGES, SHARED, Words


class Abbreviation(Enum):
    """How an abbreviation with a full stop may end a sentence.

    NEVER does not («Dr. Smith»). NUMBER does, except before a digit («No. 7»). AMBIGUOUS does
    before a word that opens sentences («Inc. It»). LAST does before any capital («etc. Then»).
    """

    NEVER = "never"
    NUMBER = "number"
    AMBIGUOUS = "ambiguous"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Table:
    """The words of one language, in the shape the rules ask for.

    Args:
        abbreviations: Without the final full stop; lower case, or capitalised where the lower
            case form is a common word. Spaced ones are written without the blanks («z.b»).
        openers: Words that begin sentences and are no names, in lower case.
        connectors: Words a line can end with but a sentence can not, in lower case.
        months: Month names that follow «3.» in a date, in lower case.
        has_ordinals: A number with a full stop may be an ordinal («3. Mai»).
        has_capital_nouns: A capital says little about a beginning, as in German.
    """

    abbreviations: dict[str, Abbreviation]
    openers: frozenset[str]
    connectors: frozenset[str]
    months: frozenset[str]
    has_ordinals: bool
    has_capital_nouns: bool


@cache
def table_of(language: str) -> Table:
    """Return the table of a bare language code; an unknown one gets what all have in common."""
    own = LANGUAGES.get(language, Words())
    abbreviations: dict[str, Abbreviation] = {}
    for words in (SHARED, own):
        for kind, listed in (
            (Abbreviation.LAST, words.last),
            (Abbreviation.AMBIGUOUS, words.ambiguous),
            (Abbreviation.NUMBER, words.before_number),
            (Abbreviation.NEVER, words.never),
        ):
            abbreviations.update(dict.fromkeys(listed.split(), kind))
    openers = own.openers if language in LANGUAGES else LANGUAGES["en"].openers
    return Table(
        abbreviations=abbreviations,
        openers=frozenset(openers.split()),
        connectors=frozenset(own.connectors.split()),
        months=_MONTHS,
        has_ordinals=own.has_ordinals,
        has_capital_nouns=own.has_capital_nouns,
    )


_MONTHS = frozenset(
    word for words in (SHARED, *LANGUAGES.values()) for word in words.months.split()
)
