"""What a page tells its reader to run, out of the page itself."""

import re
from collections.abc import Iterator

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, section: str) -> Iterator[str]:
    """Yield the blocks of commands below a heading, in order.

    Raises:
        ValueError: the page has no such heading, or nothing to run below it.
    """
    parts = _SECTION.split(page)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = _BLOCK.findall(sections.get(section, ""))
    if not found:
        raise ValueError(f"docs/deployment.md has no commands below {section!r}")
    yield from found
