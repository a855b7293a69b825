"""The report's page: verdict, figures, charts, errors."""

import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

from loadtests.people.figures import TIMES, Figures, Result, Verdict, shares, shown
from loadtests.people.report.charts import Chart, Line, svg

_MIB = 1 << 20
_STYLE = Path(__file__).with_name("report.css")
_MARKED = frozenset({"held", "missed"})
_NAMES = {
    "ttft": "time to first token",
    "gap": "gap between tokens",
    "ttfa": "time to first audio",
    "resume": "reconnect to next entry",
    "whole": "whole answer (not streamed)",
    "lag": "lateness of the load itself",
}
_COUNTED = {
    "turns": "turns",
    "turns_completed": "completed",
    "turns_cancelled": "stopped by their reader",
    "turns_left": "left, or not read to the end",
    "turns_failed": "failed",
    "turns_interrupted": "interrupted",
    "turns_refused": "not started",
    "tokens": "tokens",
    "lost_tokens": "tokens lost",
    "doubled_tokens": "tokens doubled",
    "broken_promises": "promises broken",
    "cuts": "connections cut",
    "resumes": "resumed",
    "byes": "asked to reconnect",
    "breaks": "connections broken by the server",
    "audio": "pieces of audio",
    "arrivals": "arrivals",
    "calls": "requests",
}


def page(result: Result, machine: str) -> str:
    """Return the whole page.

    Args:
        result: What it tells.
        machine: Where it was run, in words.
    """
    profile, found, verdicts = result.profile, result.figures(), result.verdicts()
    held, style = result.is_held(), _STYLE.read_text(encoding="utf-8")
    word = "All thresholds held" if held else f"{sum(not v.is_held for v in verdicts)} missed"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(result.begun_at))
    about = f"{when}, {result.took_s:.0f} s, up to {profile.users} people; {machine}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Load test: {escape(profile.name)}</title><style>{style}</style></head><body>"
        f'<header><h1>{escape(profile.name)} <b class="{"held" if held else "missed"}">'
        f"{word}</b></h1><p>{escape(profile.about)}</p><p>{escape(about)}</p></header><main>"
        f"{_tiles(found)}"
        f'<section class="tables">{_verdicts(verdicts)}{_times(found)}</section>'
        f'<section class="charts">{"".join(map(svg, charts(result)))}</section>'
        f'<section class="tables">{_errors(result)}{_counts(found)}</section>'
        "</main></body></html>\n"
    )


def charts(result: Result) -> list[Chart]:
    """Return what is drawn of a run."""
    points = result.points
    most = {each.figure: each.most for each in result.profile.thresholds}

    def rate(name: str, what: str) -> Line:
        return Line(name, [(point.at_s, point.rate(what)) for point in points])

    def times(title: str, what: str, limit: float | None) -> Chart:
        lines = [
            Line(f"p{percent}", [(point.at_s, point.time_ms(what, percent)) for point in points])
            for percent in (50, 95, 99)
        ]
        return Chart(title, "ms", lines, limit)

    errors = Line("errors", [(p.at_s, p.whole.errors.total() / p.length_s) for p in points])
    drawn = [
        Chart("People", "at once", [Line("people", [(p.at_s, p.users) for p in points])]),
        Chart("Turns", "a second", [rate("turns", "turns"), errors]),
        Chart("Tokens read", "a second", [rate("tokens", "tokens")]),
        times("Time to first token", "ttft", most.get("ttft_p95_ms")),
        times("Gap between tokens", "gap", most.get("gap_p99_ms")),
        times("Reconnect to next entry", "resume", most.get("resume_p95_ms")),
        times("Time to first audio", "ttfa", most.get("ttfa_p95_ms")),
        times("Lateness of the load itself", "lag", most.get("lag_p99_ms")),
        Chart("Connections", "a second", [rate("cut", "cuts"), rate("broken", "breaks")]),
    ]
    return drawn + _server_charts(result)


def _server_charts(result: Result) -> list[Chart]:
    samples, begun = result.samples, result.begun_at
    if not samples:
        return []
    memory = [(max(0.0, s.at - begun), s.resident_bytes / _MIB) for s in samples]
    told = [(max(0.0, at - begun), used, waited) for at, used, waited in shares(samples)]
    used = Line("used", [(at, percent) for at, percent, _ in told])
    missing = Line("waited for", [(at, percent) for at, _, percent in told])
    return [
        Chart("Memory of the server", "MiB", [Line("resident", memory)]),
        Chart("CPU of the server", "% of a core", [used, missing]),
    ]


def _tiles(found: Figures) -> str:
    tiles = [
        ("first token, p95", "ttft_p95_ms", "ms"),
        ("gap, p99", "gap_p99_ms", "ms"),
        ("resume, p95", "resume_p95_ms", "ms"),
        ("first audio, p95", "ttfa_p95_ms", "ms"),
        ("tokens", "tokens_per_s", "/s"),
        ("turns with errors", "errors_percent", "%"),
        ("lost or doubled", "", ""),
    ]
    drawn = []
    for name, figure, unit in tiles:
        if figure:
            told = "–" if figure not in found else f"{shown(found[figure])} <small>{unit}</small>"  # noqa: RUF001
        else:
            told = shown(found["lost_tokens"] + found["doubled_tokens"])
        drawn.append(f"<li><span>{escape(name)}</span><strong>{told}</strong></li>")
    return f'<ul class="tiles">{"".join(drawn)}</ul>'


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    rows = [
        (
            each.threshold.figure,
            "not measured" if each.seen is None else shown(each.seen),
            each.wanted,
            "held" if each.is_held else "missed",
        )
        for each in verdicts
    ]
    return _table("Thresholds", ("figure", "seen", "wanted", ""), rows)


def _times(found: Figures) -> str:
    rows = [
        (_NAMES[what], *(shown(found[f"{what}_p{each}_ms"]) for each in (50, 95, 99)))
        for what in TIMES
        if f"{what}_p50_ms" in found
    ]
    return _table("Times, ms", ("", "p50", "p95", "p99"), rows)


def _errors(result: Result) -> str:
    rows = [(code, shown(number)) for code, number in result.whole.errors.most_common()]
    return _table("Errors by code", ("code", "how often"), rows or [("none", "0")])


def _counts(found: Figures) -> str:
    rows = [(name, shown(found[figure])) for figure, name in _COUNTED.items()]
    rows += [
        (name, f"{shown(found[figure])} {unit}")
        for figure, name, unit in (
            ("server_peak_mib", "memory of the server, highest", "MiB"),
            ("server_grown_mib", "grown since the first third", "MiB"),
            ("server_cpu_percent", "CPU of the server", "% of a core"),
            ("server_waited_percent", "its main thread waited for a core", "% of the time"),
        )
        if figure in found
    ]
    return _table("Counted", ("what", "how often"), rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="table"><h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    marked = f' class="{text}"' if text in _MARKED else ""
    return f"<td{marked}>{escape(text)}</td>"
