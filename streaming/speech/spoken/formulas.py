"""Mathematics within a sentence: said where it is as good as a word, else named.

Prices are no mathematics: `$5 and $6` stays. What stands in a block of its own never comes here.
"""

import re
from collections.abc import Callable

from streaming.speech.spoken.phrases import Phrases

_MAX_CHARS = 60
_MAX_SAID_CHARS = 32

_DISPLAY = re.compile(
    r"\$\$[^$]*\$\$|\\\[(?:(?!\\[\[\]])[\s\S]){1,2000}\\\]"
    r"|\\begin\{[a-zA-Z*]{1,20}\}[\s\S]*(?:\\end\{[a-zA-Z*]{1,20}\}|$)"
)
_INLINE = re.compile(r"\\\(((?:(?!\\[()])[\s\S]){1,400})\\\)")
_DOLLARS = re.compile(r"(?<![\w$\\])\$(?![\s$])((?:[^$\n]{0,400}[^\s$])?)(?<!\\)\$(?![\d$])")
_IS_AMOUNT = re.compile(
    r"\d[\d.,]*(?![\d.,]|$)(?!\s*[-+*/=<>^_\\({a-zA-Z])|\d[\d.,]*[\s,]+[^\W\d_]{2}"
)

_MARK_AT_END = re.compile(r"([.,;])[\s$]*(?:\\\]|\\end\{[^{}]*\})?\s*\Z")
_MAX_END_CHARS = 40

_WRAPPERS = re.compile(r"\\(?:text|mathrm|mathbf|mathit|mathbb|operatorname)\{([^{}\\]*)\}")
_SUBSCRIPT = re.compile(r"_\{?([\w,+-]{1,5}?)\}?(?![\w}])")
_COMMAND = re.compile(r"\\([a-zA-Z]+|[^a-zA-Z])")
_MINUS = re.compile(r"(?<=[\w)]) ?- ?(?=[\w(])|(?<![\w)])-(?=[\w(])")
_SAYABLE = re.compile(r"[\w\s.,+−=<>≤≥≠≈×÷±/%°!'()∞→…|^:-]+")  # noqa: RUF001

_SIGNS = {
    "times": "×", "cdot": "×", "div": "÷", "pm": "±", "infty": "∞", "circ": "°", "degree": "°",  # noqa: RUF001
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈",
    "lt": "<", "gt": ">", "to": "→", "rightarrow": "→", "Rightarrow": "→", "implies": "→",
    "ldots": "…", "cdots": "…", "dots": "…", "%": "%",
    "left": "", "right": "", "quad": " ", "displaystyle": "", ",": " ", ";": " ", " ": " ",
    "!": "", "$": "", "&": "", "#": "",
}  # fmt: skip
_NAMES = frozenset(
    """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma
    tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega
    log ln lg exp sin cos tan cot max min sup inf lim gcd deg mod det dim
    """.split()  # noqa: SIM905  a list of strings is harder to read
)


def without_formulas(text: str, phrases: Phrases) -> str:
    """Return a text with its mathematics as words, the simple one as signs that can be said."""
    if "\\" in text or "$$" in text:
        text = _DISPLAY.sub(lambda match: f" {_named(match[0], phrases)} ", text)
    read = _reader(phrases)
    if "\\(" in text:
        text = _INLINE.sub(read, text)
    return _DOLLARS.sub(read, text) if text.count("$") > 1 else text


def _reader(phrases: Phrases) -> Callable[[re.Match[str]], str]:
    def read(match: re.Match[str]) -> str:
        if match[0].startswith("$") and _is_no_formula(match):
            return match[0]
        return _read(match[1]) or _named(match[1], phrases)

    return read


def _named(tex: str, phrases: Phrases) -> str:
    """Return the word for a formula, with the mark of the sentence that ends in it."""
    mark = _MARK_AT_END.search(tex[-_MAX_END_CHARS:])
    return phrases.formula + (mark[1] if mark else "")


def _is_no_formula(match: re.Match[str]) -> bool:
    """Return whether the signs are a currency's ("$5, maybe 6$") or a shell's ("$HOME:$PATH")."""
    is_closed = not match.string[match.end() : match.end() + 1].isalpha()
    return bool(_IS_AMOUNT.match(match[1])) or not (is_closed or "\\" in match[1])


def _read(tex: str) -> str:
    """Return how simple mathematics is said, or nothing."""
    if len(tex) > _MAX_CHARS:
        return ""
    tex = _COMMAND.sub(_command, _WRAPPERS.sub(r"\1", tex))
    tex = _MINUS.sub(" − ", _SUBSCRIPT.sub(r" \1", tex))  # noqa: RUF001
    tex = " ".join(tex.replace("^{", "^").replace("}", "").replace("^°", "°").split())
    is_said = len(tex) <= _MAX_SAID_CHARS and tex.count("^") <= 1 and _SAYABLE.fullmatch(tex)
    return tex if is_said else ""


def _command(match: re.Match[str]) -> str:
    name = match[1]
    return f" {name} " if name in _NAMES else _SIGNS.get(name, match[0])
