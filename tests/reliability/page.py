"""The table of faults in `docs/reliability.md`, made from the rows and from the marked tests."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.reliability.rows import GROUPS, Row

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- faults: made by `python -m tests.reliability` -->", "<!-- /faults -->"

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

Shown = Mapping[int, Sequence[tuple[Path, str]]]
"""By row: the files and names of its tests."""


def shown_by() -> Shown:
    """Return which tests are marked for which rows, as they stand in the files."""
    found: dict[int, list[tuple[Path, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, name in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            found[number].append((path, name))
    return found


def _marked(module: ast.Module) -> Iterator[tuple[int, str]]:
    tests = (each for each in ast.walk(module) if isinstance(each, _FUNCTION))
    marks = ((test, mark) for test in tests for mark in test.decorator_list)
    for test, mark in marks:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
            yield from ((ast.literal_eval(each), test.name) for each in mark.args)


def table() -> str:
    """Return the rows by their groups, each with the tests that show it."""
    shown = shown_by()
    lines: list[str] = []
    for name, rows in GROUPS:
        lines += [f"### {name}", "", "| | fault | what holds | shown by |", "|---|---|---|---|"]
        lines += [_line(row, shown.get(row.number, ())) for row in rows]
        lines.append("")
    return "\n".join(lines)


def _line(row: Row, tests: Sequence[tuple[Path, str]]) -> str:
    names = [_link(path, name) for path, name in tests]
    told = "<br>".join(names) or f"**open**: comes with {row.waits_for}"
    return f"| {row.number} | {row.fault} | {row.holds} | {told} |"


def _link(path: Path, name: str) -> str:
    said = name.removeprefix("test_").replace("_", " ")
    return f"[{said}](../{path.relative_to(ROOT)})"


def written(page: str) -> str:
    """Return the page with its table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"
