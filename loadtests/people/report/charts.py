"""Lines over time as inline SVG: no script, no request, colours from the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 24
_TICKS = 4
_NICE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: places (seconds, value), a gap where the value is None."""

    name: str
    places: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Some lines on the same axes. `limit` is drawn across, where something must not be more."""

    title: str
    unit: str
    lines: Sequence[Line]
    limit: float | None = None


def svg(chart: Chart) -> str:
    """Return a chart as a figure: its title, a legend, the drawing."""
    values = [value for line in chart.lines for _, value in line.places if value is not None]
    legend = "".join(
        f'<li class="line-{number}">{escape(line.name)}</li>'
        for number, line in enumerate(chart.lines, 1)
    )
    head = f"<figcaption>{escape(chart.title)} <small>{escape(chart.unit)}</small></figcaption>"
    if not values:
        return f'<figure class="chart">{head}<p class="none">none in this run</p></figure>'
    axes = _Axes(chart, max(values))
    drawn = "".join(
        f'<path class="line-{number}" d="{axes.path(line)}"/>'
        for number, line in enumerate(chart.lines, 1)
    )
    label = escape(f"{chart.title}, {chart.unit}, over {axes.end_s:.0f} seconds")
    return (
        f'<figure class="chart">{head}<ul class="legend">{legend}</ul>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{axes.grid()}{drawn}{axes.limit(chart.limit)}{axes.readings(chart)}</svg></figure>"
    )


class _Axes:
    """Where a moment and a value stand in the drawing."""

    def __init__(self, chart: Chart, highest: float) -> None:
        self.end_s = max((at for line in chart.lines for at, _ in line.places), default=1.0) or 1.0
        self._step = _nice(highest / _TICKS)
        self._top = self._step * max(1, math.ceil(highest / self._step - 1e-9))

    def x(self, seconds: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * seconds / self.end_s

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * value / self._top

    def path(self, line: Line) -> str:
        """Return a line's path; it begins anew behind each gap."""
        steps, verb = [], "M"
        for at, value in line.places:
            if value is not None:
                steps.append(f"{verb}{self.x(at):.1f} {self.y(value):.1f}")
            verb = "M" if value is None else "L"
        return "".join(steps)

    def grid(self) -> str:
        """Return the lines behind, with what they stand for."""
        parts = []
        for number in range(round(self._top / self._step) + 1):
            value = number * self._step
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="y">{value:,.6g}</text>')
        for number in range(_TICKS + 1):
            seconds = self.end_s * number / _TICKS
            x = self.x(seconds)
            anchor = "end" if number == _TICKS else "middle" if number else "start"
            parts.append(
                f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{seconds:.0f} s</text>'
            )
        return "".join(parts)

    def limit(self, value: float | None) -> str:
        """Return the line that must not be crossed, where it is within sight."""
        if value is None or value > self._top:
            return ""
        return f'<path class="limit" d="M{_LEFT} {self.y(value):.1f}H{WIDTH - _RIGHT}"/>'

    def readings(self, chart: Chart) -> str:
        """Return a strip for each moment that tells its values when it is pointed at."""
        moments = [at for at, _ in chart.lines[0].places]
        width = (WIDTH - _LEFT - _RIGHT) / max(1, len(moments))
        parts = []
        for number, at in enumerate(moments):
            told = [f"{at:.0f} s"]
            for line in chart.lines:
                value = line.places[number][1] if number < len(line.places) else None
                told.append(f"{line.name}: {'–' if value is None else f'{value:,.4g}'}")  # noqa: RUF001
            title = escape("\n".join(told))
            parts.append(
                f'<rect class="hit" x="{self.x(at) - width / 2:.1f}" y="{_TOP}" width="{width:.1f}"'
                f' height="{HEIGHT - _TOP - _BOTTOM}"><title>{title}</title></rect>'
            )
        return "".join(parts)


def _nice(step: float) -> float:
    """Return the least round number that is not below."""
    if step <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(nice * magnitude for nice in _NICE if nice * magnitude >= step * 0.999999)
