"""Cut a folder of Markdown pages into passages short enough to quote.

A passage is whole: a paragraph, a list's item, a table's row under its head, code with its fences.
It knows the headings above it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

README = "README.md"

_MAX_PAGES = 100
_MAX_PAGE_BYTES = 256 << 10
_MAX_PASSAGES = 2_000  # what a search may cost: some 5 ms
_MAX_CHARS = 600  # three of them fit into an answer of 2000

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"([-*+]|\d+[.)])\s")
_TABLE_RULE = re.compile(r"\|[\s:|-]+\|$")
_LOCAL_LINK = re.compile(r"\[([^\]\n]+)\]\((?!https?://)[^)\s]*\)")  # leads nowhere from a chat
_DECORATION = re.compile(r"(<!--.*|\[?!\[.*)")  # comments, images, badges: nothing to quote


@dataclass(frozen=True, slots=True)
class Passage:
    """A quotable piece of a page, and where it stands."""

    page: str
    headings: tuple[str, ...]
    text: str

    @property
    def source(self) -> str:
        """The page and the nearest heading that is not the page's title."""
        return f"{self.page} § {self.headings[-1]}" if len(self.headings) > 1 else self.page


def read_passages(docs_dir: Path) -> list[Passage]:
    """Return the passages of the README beside a folder and of the pages in it, in that order.

    A folder or page that cannot be read counts as empty.
    """
    passages: list[Passage] = []
    for path, page in _pages(docs_dir):
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_PAGE_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        passages.extend(cut_page(page, text.replace("\0", "\ufffd")))
    return passages[:_MAX_PASSAGES]


def _pages(docs_dir: Path) -> Iterator[tuple[Path, str]]:
    yield docs_dir.parent / README, README
    for path in sorted(docs_dir.glob("*.md"))[:_MAX_PAGES]:
        yield path, f"{docs_dir.name}/{path.name}"


def cut_page(page: str, text: str) -> Iterator[Passage]:
    """Yield a page's passages from top to bottom."""
    headings: list[tuple[int, str]] = []
    for block in _blocks(text.splitlines()):
        heading = _HEADING.match(block[0])
        if heading:
            level = len(heading[1])
            headings = [above for above in headings if above[0] < level]
            headings.append((level, heading[2].replace("`", "")))
            continue
        titles = tuple(title for _, title in headings)
        for piece in _pieces(block):
            yield Passage(page, titles, _LOCAL_LINK.sub(r"\1", piece))


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield runs of lines between blank ones; a heading stands alone."""
    block: list[str] = []
    for line, is_code in marked_lines(lines):
        is_heading = not is_code and _HEADING.match(line)
        if is_code or (line.strip() and not is_heading):
            if is_code or not _DECORATION.match(line):
                block.append(line)
        elif is_heading or not (block and block[-1].endswith(":")):
            # After "For example:" a blank line does not end what belongs together.
            yield from filter(None, (block, [line] if is_heading else []))
            block = []
    if block:
        yield block


def marked_lines(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield each line and whether it is part of fenced code, its fences included."""
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        yield line, bool(fence or mark)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1] == fence:
            fence = ""


def unwrapped(lines: Iterable[str]) -> list[str]:
    """Join the lines of a paragraph or item: chats show a line break where a page only wraps."""
    joined: list[str] = []
    is_open = False
    for line, is_code in marked_lines(lines):
        stripped = line.strip()
        is_prose = not is_code and bool(stripped) and stripped[0] not in "|>#"
        if is_open and is_prose and not _ITEM.match(stripped):
            joined[-1] += f" {stripped}"
        else:
            joined.append(line)
        is_open = is_prose
    return joined


def _pieces(block: list[str]) -> Iterator[str]:
    """Yield what of a block can stand alone: a table's rows, a list's items, runs of lines."""
    head = table_head(block)
    taken: list[str] = []
    for unit in _units(block[len(head) :]):
        if taken and (head or _ITEM.match(unit) or _length(taken) + len(unit) > _MAX_CHARS):
            yield "\n".join(head + taken)
            taken = []
        taken.append(unit)
    if taken:
        yield "\n".join(head + taken)


def _bounded(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 2].rsplit(None, 1)[0] + " …"


def table_head(lines: list[str]) -> list[str]:
    """Return a table's first lines, up to the rule under its head; empty for what is no table.

    Lines that introduce the table belong to it, unless they are too many to be repeated.
    """
    for place, line in enumerate(lines):
        if _TABLE_RULE.match(line):
            head = lines[: place + 1]
            return head if _length(head) <= _MAX_CHARS else []
    return []


def _length(lines: list[str]) -> int:
    return sum(map(len, lines))


def _units(lines: list[str]) -> Iterator[str]:
    """Yield what must not be cut: a list item with its further lines, fenced code, else a line."""
    unit: list[str] = []
    was_code = False
    for line, is_code in marked_lines(lines):
        is_start = not is_code and (_ITEM.match(line) or not line.startswith(" "))
        opens_code = is_code and not was_code and not (unit and unit[-1].endswith(":"))
        if unit and (is_start or opens_code):
            yield _bounded("\n".join(unit))
            unit = []
        unit.append(line)
        was_code = is_code
    if unit:
        yield _bounded("\n".join(unit))
