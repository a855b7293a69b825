"""Texts that are long, dull or hostile, made by rule."""

from collections.abc import Callable
from dataclasses import dataclass

Make = Callable[[int], str]

_CODE = '    if a.b == "x. y":  # Step 1. Then 2!\n        return a.c(1.5)\n\n'
_ITEM = "- item {number} of the long list\n"


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same few characters again and again, up to a length."""

    part: str
    before: str = ""

    def __call__(self, size: int) -> str:
        return (self.before + self.part * (size // len(self.part) + 1))[:size]


def code(size: int) -> str:
    """Return a sentence, a fence with about `size` characters of code, and a sentence."""
    lines = _CODE * (size // len(_CODE) + 1)
    return f"Here is the code:\n\n```python\n{lines[:size]}\n```\n\nThat is all."


def items(count: int) -> str:
    """Return a list whose items have no full stop."""
    return "".join(_ITEM.format(number=number) for number in range(1, count + 1))


HOSTILE: dict[str, Make] = {
    "words without a stop": Repeated("and so on we go "),
    "one endless word": Repeated("a"),
    "dots": Repeated("."),
    "spaced dots": Repeated(". "),
    "stops and letters": Repeated("A. b. "),
    "titles": Repeated("Dr. "),
    "initials": Repeated("J. "),
    "dotted letters": Repeated("a.b."),
    "version numbers": Repeated("1.2."),
    "list numbers": Repeated("1. "),
    "marks": Repeated("?!"),
    "ellipses": Repeated("… "),
    "opening brackets": Repeated("("),
    "closing brackets": Repeated(").", "It ends"),
    "quotes": Repeated('"'),
    "stop and quotes": Repeated('" ', "It ends."),
    "citations": Repeated("[1]", "It ends."),
    "emoji": Repeated("🎉", "Done."),
    "emoji and joiners": Repeated("👩\u200d", "Done."),
    "back-ticks": Repeated("`"),
    "open code spans": Repeated("`a. "),
    "fence starts": Repeated("```\n"),
    "fence never closed": Repeated("x. y\n", "```\n"),
    "maths never closed": Repeated("x. y\n", "$$\n"),
    "bracket maths never closed": Repeated("x. y\n", "\\[\n"),
    "dollars": Repeated("$"),
    "stars": Repeated("*"),
    "spaced stars": Repeated("* "),
    "underscores": Repeated("_"),
    "dashes": Repeated("-"),
    "spaced dashes": Repeated("- "),
    "hashes": Repeated("#"),
    "quote marks": Repeated("> "),
    "pipes": Repeated("|"),
    "table rows": Repeated("| a. | b. |\n"),
    "possible table heads": Repeated("a | b\n"),
    "blanks": Repeated(" "),
    "blanks after a stop": Repeated(" ", "It ends."),
    "newlines": Repeated("\n"),
    "newlines and blanks": Repeated("\n    "),
    "short lines": Repeated("ab\n"),
    "no-break blanks": Repeated("\u00a0", "Fini"),
    "wide stops": Repeated("。"),
    "wide text without a stop": Repeated("春眠不觉晓"),
    "Thai without a stop": Repeated("ภาษาไทยไม่มีจุด"),
    "web addresses": Repeated("https://a.example/b.c?d=e. "),
    "angle brackets": Repeated("<a. "),
    "link starts": Repeated("[a]("),
    "backslashes": Repeated("\\"),
    "combining marks": Repeated("\u0301", "e"),
}
