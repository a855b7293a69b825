"""Finds in spoken text what was only meant for the eye."""

import re

LEAKS = {
    "back-tick": re.compile("`"),
    "asterisk": re.compile(r"\*"),
    "emphasis": re.compile("__|~~|=="),
    "bracket": re.compile(r"[\[\]{}【】†]"),
    "address": re.compile(r"https?:/|://|(?<![A-Za-z0-9])www\.\w", re.IGNORECASE),
    "heading": re.compile(r"^#|\s#\w"),
    "table": re.compile(r"\|"),
    "tag or comparison": re.compile("[<>]"),
    "entity": re.compile(r"&#?\w+;"),
    "formula": re.compile(r"\$\$|\\"),
    "invisible": re.compile(
        "[\0-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\u20e3\ufe00-\ufe0f\ufeff"
        "\ue000-\uf8ff\ud800-\udfff\U000e0000-\U0010ffff]"
    ),
    "emoji": re.compile(
        "[\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u2500-\u27bf\u2900-\u297f"
        "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
    ),
    "blanks": re.compile(r"\s\s|[^\S ]|^\s|\s$"),
    "nothing": re.compile(r"\A[\W_]+\Z"),
}


def leaks(spoken: str) -> list[str]:
    """Return the names of what leaked into a spoken text."""
    return [name for name, pattern in LEAKS.items() if pattern.search(spoken)]
