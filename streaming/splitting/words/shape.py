"""The shape of a language's words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """Words of one language, each a string of words parted by blanks; see `table.Table`."""

    never: str = ""
    before_number: str = ""
    ambiguous: str = ""
    last: str = ""
    openers: str = ""
    connectors: str = ""
    months: str = ""
    has_ordinals: bool = False
    has_capital_nouns: bool = False
