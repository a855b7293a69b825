"""Markup within a text: what of Markdown and HTML is said, and what was only for the eye.

Pairs are not matched where that can be avoided: a sentence may hold half of one, its other half
being in the sentence before. `[` goes wherever it stands, and `](…)` with what it leads to.
"""

import re
from html import unescape

from streaming.speech.spoken.glyphs import UNDERSCORE, Step, applied, step, visible
from streaming.speech.spoken.phrases import Phrases

_FIRST_TOKEN = 0xF0000  # private-use planes: two of 65,534 characters, and none in visible text
_MAX_CODES = 100_000
_MAX_CODE_CHARS = 48
_SHORT_CODE_CHARS = 12  # said also where it is mostly signs, such as "a += 1"

_TICKS = re.compile(r"(?<!\\)`+")
_TOKEN = re.compile("[\U000f0000-\U0010fffd]")
_SAYABLE = re.compile(r"[^\W_]")
_DRIVE = re.compile(r"[A-Za-z]:\\|\\\\\w")
_CODE_SIGNS = re.compile(r"[^\w\s.:/@-]")


def hide_code(text: str, phrases: Phrases) -> tuple[str, list[str]]:
    """Return a text with one private character for each code span, and what is said for each."""
    if "`" not in text:
        return text, []
    runs = [match.span() for match in _TICKS.finditer(text)]
    parts: list[str] = []
    codes: list[str] = []
    done = 0
    for start, end, close, after in _pairs(runs):
        if start < done or len(codes) == _MAX_CODES:
            continue
        parts += text[done:start], chr(_FIRST_TOKEN + len(codes))
        codes.append(_code(text[end:close], phrases))
        done = after
    return "".join((*parts, text[done:])), codes


def show_code(text: str, codes: list[str]) -> str:
    """Return a text with what is said in place of what `hide_code` hid."""
    return _TOKEN.sub(lambda match: codes[ord(match[0]) - _FIRST_TOKEN], text) if codes else text


def _pairs(runs: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """Return for each run of back-ticks its span and that of the next of equal length."""
    nexts: dict[int, tuple[int, int]] = {}
    pairs = []
    for start, end in reversed(runs):
        if end - start in nexts:
            pairs.append((start, end, *nexts[end - start]))
        nexts[end - start] = start, end
    return pairs[::-1]


def _code(content: str, phrases: Phrases) -> str:
    """Return how inline code is said: as words where it is short and made of them."""
    said = _URL.sub(_host, " ".join(content.split())).replace("()", "").rstrip(" .,;:*")
    is_wordy = len(_CODE_SIGNS.findall(said)) * 3 <= len(said) or len(said) <= _SHORT_CODE_CHARS
    is_pattern = "\\" in said and not _DRIVE.match(said)
    if len(said) > _MAX_CODE_CHARS or is_pattern or not is_wordy or not _SAYABLE.search(said):
        return phrases.code
    return said


_LINE_HEAD = re.compile(
    r"[ \t]*(?:(?:>|[-*+•‣◦▪–—·](?=\s|$)|\[[ xX]\](?=\s)|#{1,6}(?=\s|$))[ \t]*)*"  # noqa: RUF001
)
_UNSAID_LINE = re.compile(r"(?:`{3,}|~{3,})|\[(?!\^)[^\[\]]{1,200}\]:\s*<?(?:\w+:|www\.|[/#.])\S*")
_NUMBERED = re.compile(r"\d{1,9}[.)]\s")
_CLOSING_HASHES = re.compile(r"[ \t]#+[ \t]*$")


def lines_of(text: str) -> list[tuple[str, bool]]:
    """Return a text's lines without what marks them, and whether each is one of its own."""
    lines = []
    for line in text.splitlines():
        head = _LINE_HEAD.match(line)
        marks, rest = (head[0], line[head.end() :]) if head else ("", line)
        if _UNSAID_LINE.match(rest) or not (_SAYABLE.search(rest) or _TOKEN.search(rest)):
            continue
        if "#" in marks:
            rest = _CLOSING_HASHES.sub("", rest)
        is_own = bool(marks.strip(" \t>") or _NUMBERED.match(rest))
        lines.append((rest.strip(), is_own))
    return lines


def without_markup(text: str) -> str:
    """Return a line's text without citations, links, tags, addresses, entities and escapes."""
    text = applied(_LINKS, text)
    if "<" in text:
        text = _without_tags(text)
    return applied(_REST, text)


def _host(match: re.Match[str]) -> str:
    """Return the host of an address, and the marks after it."""
    url = match[0].rstrip("*_~'")
    tail = url[len(url.rstrip(".,;:!?")) :]
    url = url[: len(url) - len(tail)]
    if url.endswith(")") and url.count("(") < url.count(")"):
        tail = ")" + tail
    found = _HOST.match(url)
    return f"{found[1] if found else ''}{tail}"


def _without_tags(text: str) -> str:
    closed = {name.lower() for name in _CLOSING_NAME.findall(text)}

    def replaced(match: re.Match[str]) -> str:
        slash, name, attributes = match[1], match[2].lower(), match[3]
        if name in _INLINE_TAGS:
            return ""
        is_tag = slash or attributes or name in _BLOCK_TAGS or name in closed
        # An unknown name without an end is a blank to fill in, or a type's parameter: it is said.
        return " " if is_tag or match.start() == 0 else f" {match[2]} "

    return _TAG.sub(replaced, applied(_HTML, text))


# Beside ASCII the letters of scripts that part words by blanks: in others a sentence may go on.
_URL_CHARS = (
    r"[!#-;=?-Z^_a-{}~\u00c0-\u0586\u05d0-\u05ea\u0620-\u06d3\u0900-\u0963\u0966-\u0dff"
    r"\u10a0-\u11ff\u1e00-\u1fff\uac00-\ud7a3]"
)
_URL = re.compile(
    rf"(?<![A-Za-z0-9])(?:(?:https?|ftp|wss?|file)://|www\.){_URL_CHARS}*", re.IGNORECASE
)
_BARE_URL = re.compile(
    r"(?<![\w@/.-])(?:[a-z0-9-]{1,63}\.){1,5}(?:com|org|net|io|dev|ai|app|edu|gov|info|eu|uk|de|fr"
    r"|es|it|pt|nl|pl|ru|dk|ch|at|cn|jp|kr|in|br|se|ua|co|me)(?::\d{2,5})?/" + _URL_CHARS + "*",
    re.IGNORECASE,
)
_HOST = re.compile(r"(?:\w{1,5}:/*)?(?:[^/@?#]*@)?(?:www\.)*([^/?#:]*)", re.IGNORECASE)

_NUMBER = r"[1-9]\d{0,2}"
_CITED = (
    rf"(?:\[(?:\^[^\[\]\s]{{1,40}}|{_NUMBER}(?: ?[,;–-] ?{_NUMBER}){{0,30}}"  # noqa: RUF001
    r"|cite[_:][^\[\]]{0,60}|oaicite:\d{1,3})\]"
    rf"|[【〔［](?:\d{{1,3}}(?::\d{{1,3}})?†[^【】]{{0,200}}|{_NUMBER})[】〕］])"  # noqa: RUF001
)
_SEE = (
    r"(?:see|cf|refs?|sources?|siehe|vgl|quellen?|voir|véase|ver|vedi|zie|zob|см|se|参见|见|参照)"
)
_AND = r"(?:[,;&]|and|und|et|y|e|en|i|и|og|och)"
_LEADING_TO = (
    r"\( ?(?:<[^<>]*>|(?:[^\s()]|\((?:[^\s()]|\([^\s()]*\))*\))*)"
    r"(?: (?:\"[^\"]*\"|'[^']*'|\([^()]*\)))? ?\)"
)

_LINKS: tuple[Step, ...] = (
    step("{", r":contentReference\[oaicite:\d{1,3}\]\{index=\d{1,3}\}", " "),
    step(
        "([（【",  # noqa: RUF001
        rf"[(（] ?(?:{_SEE}[.:]? ?)?{_CITED}(?: ?(?:{_AND} ?)?{_CITED}){{0,20}} ?[)）]",  # noqa: RUF001
        " ",
    ),
    step("[【〔［", rf"(?<!=)(?<!= )\[?{_CITED}\]?(?:{_LEADING_TO})?", " "),  # noqa: RUF001
    step("]", rf"(\]{_LEADING_TO})(?=!?\[)", r"\1 "),
    step("]", rf"!\[([^\[\]]*)\]{_LEADING_TO}", r"\1"),
    step("]", rf"\[([^\[\]]*)\]{_LEADING_TO}", r"\1"),
    step("]", rf"\]{_LEADING_TO}", ""),
    step("]", r"\]\[(?!\d{1,3}\])[^\[\]]{0,200}\]", "]"),
    step("]", r"\]\((?:\w+:|www\.|[/#.])[^\s()]*(?: \"[^\"]*)?$", ""),  # cut within
    step("!", r"!(?=\[)", ""),
)

_CLOSING_NAME = re.compile(r"</([A-Za-z][\w:-]*)")
_TAG = re.compile(
    r"<(/?)([A-Za-z][\w:-]*)((?: [^\s<>=\"'/]+ ?= ?(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>=]+)"
    r"| (?:async|autoplay|checked|controls|defer|disabled|hidden|loop|muted|open|required))*) ?/?>"
)
_INLINE_TAGS = frozenset(
    """
    a abbr b bdi bdo big cite code data del dfn em font i ins kbd label mark q s samp small span
    strike strong sub sup time tt u var wbr
    """.split()  # noqa: SIM905  a list of strings is harder to read
)
_BLOCK_TAGS = frozenset(
    """
    address article aside audio blockquote body br button canvas caption center col colgroup dd
    details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html
    iframe img input legend li link main menu meta nav noscript object ol optgroup option p param
    picture pre progress rp rt ruby script section select source style summary svg table tbody td
    template textarea tfoot th thead title tr track ul video
    """.split()  # noqa: SIM905
)
_HTML: tuple[Step, ...] = (
    step(":", r"<((?:https?|ftp|wss?|file)://[^\s<>]*)>", r" \1 "),
    step("@", r"<(?:mailto:)?([\w.+-]+@[\w.-]+)>", r"\1"),
    step("!?", r"<[!?][^<>]{0,500}>", " "),
    step("|｜", r"<[|｜][^<>]{1,60}[|｜]>", " "),  # noqa: RUF001  a model's own marks
    step("0123456789", r"(?<![^\W\d_]{3})(?<=[\w)])<sup> ?(\d{1,2}) ?</sup>", r"^\1 "),
    step("0123456789", r"<sup> ?\d{1,3} ?</sup>", ""),
)


def _keep_underscores(match: re.Match[str]) -> str:
    return match[0].replace("_", UNDERSCORE)


def _decoded(match: re.Match[str]) -> str:
    return visible(unescape(match[0]))


_REST: tuple[Step, ...] = (
    (frozenset(":."), _URL, _host),
    (frozenset("/"), _BARE_URL, _host),
    step("@", r"\bmailto:", ""),
    step("@", r"(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,255}", _keep_underscores),
    # Entities are decoded to the end: a listener is served by "<", never by "and l t".
    step("&", "&(?:amp;)+", "&"),
    step("&", "&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});", _decoded),
    step("=", r"(?<![\w=])==(?=[^\s=])|(?<=[^\s=])==(?![\w=])", ""),
    step(":", r"(?<![\w:]):[a-z][a-z0-9_+-]{1,30}:(?![\w:/])", " "),
    step(":;^¯", r"(?<!\S)(?:[:;]-?[)(DP]|\^_\^|¯\\_\(ツ\)_/¯)(?![\w)])", " "),
    step("\\", r"\\([!-/:-@\[-`{-~])", r"\1"),
)
