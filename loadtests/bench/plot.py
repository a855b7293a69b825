"""A run as a picture: horizontal bars in SVG, legible on a light page and on a dark one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from loadtests.bench.results import Results
from loadtests.bench.verdict import OWN

_WIDTH, _NAMES, _VALUES = 760, 150, 150
_ROW, _BAR, _TITLE, _SPACE = 26, 16, 34, 18
# Contrast of at least 4.5 on white and on a dark page alike, but for text, which follows the page.
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .note { fill: #57606a }
.bar { fill: #8c959f } .own { fill: #2f81f7 } .full { fill: url(#full) }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .bar { fill: #7d8590 }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One target's figure; `label` stands behind its bar."""

    name: str
    value: float
    label: str
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars under a title."""

    title: str
    bars: Sequence[Bar]


def svg(results: Results) -> str:
    """Return the picture of a run: CPU per token, what a core sustains, memory of a stream."""
    return draw([panel for panel in _panels(results) if panel.bars])


def _panels(results: Results) -> Iterator[Panel]:
    for workload in results.steady:
        bars = []
        for name in results.names:
            cpu, ratio = results.cpu_us(workload, name), results.ratio(workload, name, "nginx")
            if cpu is not None and name != "direct":
                label = f"{cpu:.0f} μs" + (f", {ratio:.1f} x nginx" if ratio else "")
                bars.append(Bar(name, cpu, label, results.is_saturated(workload, name)))
        yield Panel(f"CPU per token, {workload} (less is better; hatched: saturated)", bars)
    most = {name: each.held_per_s for name, each in results.ceiling.items()}
    yield Panel(
        "Tokens/s that one core sustains (more is better; direct: the limit of the measuring)",
        [
            Bar(name, per_s, f"{per_s:,}" if per_s else "less than was tried")
            for name, per_s in most.items()
        ],
    )
    yield Panel(
        "Memory of an open stream (less is better)",
        [Bar(name, kb, f"{kb:.0f} KB") for name, kb in results.memory_kb.items()],
    )


def draw(panels: Sequence[Panel]) -> str:
    """Return panels below one another as one SVG document."""
    parts: list[str] = []
    top = 0
    for panel in panels:
        parts.append(f'<text class="title" x="0" y="{top + 18}">{escape(panel.title)}</text>')
        top += _TITLE
        most = max((bar.value for bar in panel.bars), default=0.0) or 1.0
        for bar in panel.bars:
            parts += _row(bar, most, top)
            top += _ROW
        top += _SPACE
    height = max(top - _SPACE, 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">\n<title>Beside other servers</title>\n'
        f"<style>{_STYLE}</style>\n{_HATCH}\n" + "\n".join(parts) + "\n</svg>\n"
    )


_HATCH = (
    '<defs><pattern id="full" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect class="bar" width="4" height="6"/></pattern></defs>'
)


def _row(bar: Bar, most: float, top: int) -> list[str]:
    length = max(1.0, bar.value / most * (_WIDTH - _NAMES - _VALUES))
    kind = "own" if bar.name.startswith(OWN) else "full" if bar.is_full else "bar"
    middle, behind = top + _BAR - 3, _NAMES + length + 6
    size = f'width="{length:.1f}" height="{_BAR}" rx="2"'
    return [
        f'<text x="{_NAMES - 8}" y="{middle}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect class="{kind}" x="{_NAMES}" y="{top}" {size}/>',
        f'<text class="note" x="{behind:.1f}" y="{middle}">{escape(bar.label)}</text>',
    ]
