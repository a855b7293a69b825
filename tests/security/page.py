"""The table of attacks in `docs/security.md`, made from the cases and the tests that are named."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.security.attacks import APP, NGINX, Attack, attacks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"
BEGIN, END = "<!-- attacks: made by `python -m tests.security` -->", "<!-- /attacks -->"
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def missing_tests() -> list[str]:
    """Return the tests that are named, and are not there."""
    named = (name for attack in attacks() for name in attack.shown_by)
    return [name for name in named if not _is_there(name)]


def _is_there(name: str) -> bool:
    path, _, function = name.partition("::")
    file = ROOT / path
    return file.is_file() and function in _tests(file)


def _tests(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return (each.name for each in ast.walk(tree) if isinstance(each, _FUNCTION))


def table() -> str:
    """Return all attacks, each with what holds and what shows it."""
    lines = ["| | attack | what holds | shown by |", "|---|---|---|---|"]
    for attack in attacks():
        source = f" ({attack.source})" if attack.source else ""
        lines.append(
            f"| {attack.number} | {attack.attack}{source} | {attack.holds} | {_shown(attack)} |"
        )
    return "\n".join(lines).replace("<script", "&lt;script") + "\n"


def _shown(attack: Attack) -> str:
    told: list[str] = []
    if attack.cases:
        told.append(_counted(attack))
    told += [name.replace("_", " ") for name in attack.checks]
    told += [_link(name) for name in attack.shown_by]
    if attack.not_here:
        told.append(f"does not apply: {attack.not_here}")
    if attack.waits_for:
        told.append(f"**open**: waits for {attack.waits_for}")
    return "<br>".join(told)


def _counted(attack: Attack) -> str:
    count = len(attack.cases)
    via = {via for case in attack.cases for via in case.via}
    where = "server and nginx" if via == {APP, NGINX} else " ".join(sorted(via))
    return f"{count} {'request' if count == 1 else 'requests'} ({where})"


def _link(name: str) -> str:
    path, _, function = name.partition("::")
    return f"[{function.removeprefix('test_').replace('_', ' ')}](../{path})"


def written(page: str) -> str:
    """Return the page with its table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"
