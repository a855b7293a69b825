"""Which series there are, as docs/metrics.md lists them, and which ones an expression names.

That the page lists what is served is held by `tests/metrics/test_prometheus.py`.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/chatstream.rules.yml"

_ROW = re.compile(r"^\| `(chat_\w+)` \| (\w+)[^|]*\| ([^|]*)\|", re.MULTILINE)
_OF_ALL = {"job", "instance"}
"""Labels that Prometheus adds to whatever it scrapes."""

_OTHERS: dict[str, set[str]] = {
    "up": set(),
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "process_open_fds": set(),
    "process_max_fds": set(),
    "process_start_time_seconds": set(),
}
_SUFFIXES = {"_bucket": {"le"}, "_sum": set(), "_count": set()}

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left)\s*\(([^)]*)\)")
_NAME = re.compile(r"[a-zA-Z_:][\w:]*")
_OURS = re.compile(r"^(?:chat_|process_|up$)|:chat_")


def served() -> dict[str, set[str]]:
    """Return the labels of every series by its name, as Prometheus stores it."""
    found = dict(_OTHERS)
    for name, kind, labels in _ROW.findall((ROOT / "docs/metrics.md").read_text("utf-8")):
        own = set(re.findall(r"`(\w+)`", _without_values(labels)))
        if kind == "histogram":
            for suffix, more in _SUFFIXES.items():
                found[name + suffix] = own | more
        else:
            found[name] = own
    return {name: labels | _OF_ALL for name, labels in found.items()}


def recorded() -> dict[str, set[str]]:
    """Return the labels of the recorded series, as the rules name them."""
    rules = RULES.read_text("utf-8")
    found = {}
    for name, expr in re.findall(
        r"- record: (\S+)\n\s+expr: (.*?)(?=\n\s+- |\n\n)", rules, re.DOTALL
    ):
        groupings = [set(re.findall(r"\w+", each)) for each in _GROUPING.findall(expr)]
        found[name] = set.union(_OF_ALL, *groupings) - {"le"}
    return found


def faults(expr: str, known: dict[str, set[str]]) -> list[str]:
    """Return what an expression names and nobody serves: series, or labels of theirs."""
    bare = _STRINGS.sub('""', expr)
    names = {name for name in _NAME.findall(bare) if _OURS.search(name)}
    found = [f"no series {name}" for name in sorted(names - known.keys())]
    for name, matchers in _SELECTOR.findall(bare):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        found += [f"{name} has no {each}" for each in sorted(labels - known.get(name, labels))]
    everything = set.union(*(known[name] for name in names & known.keys()), _OF_ALL)
    for grouping in _GROUPING.findall(bare):
        labels = set(re.findall(r"\w+", grouping))
        found += [f"nothing in {expr!r} has {each}" for each in sorted(labels - everything)]
    return found


def _without_values(labels: str) -> str:
    """Return a table's cell with the names of the labels only: they come before the colons."""
    return "; ".join(part.partition(":")[0] for part in labels.split(";"))
