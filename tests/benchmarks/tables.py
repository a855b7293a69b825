"""The findings as tables for people."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from tests.benchmarks.gold import GoldText
from tests.benchmarks.measure import Findings, total
from tests.benchmarks.scoring import Score, Verdict

Table = list[list[str]]
ByName = Mapping[str, Findings]


def quality(found: ByName, domains: Sequence[str], *, streamed: bool) -> str:
    """Return precision, recall and F1 by domain, the end of a text left out."""
    head = ["streamed by token" if streamed else "whole text at once"]
    for domain in domains:
        head += [f"{domain} P", "R", "F1"]
    rows = [[*head, "inside code, table, maths"]]
    for name, one in found.items():
        verdicts = one.streamed if streamed else one.batch
        row = [name]
        for domain in domains:
            row += _figures(total(verdicts, _in_domain(domain)).inner)
        everything = total(verdicts, lambda _domain, _language: True)
        rows.append([*row, str(everything.inside_opaque)])
    return aligned(rows)


def counting(found: ByName) -> str:
    """Return streamed figures in the three ways of counting, over everything."""
    rows = [["streamed", "whole P", "R", "F1", "inner P", "R", "F1", "in paragraph P", "R", "F1"]]
    for name, one in found.items():
        verdict = total(one.streamed, lambda _domain, _language: True)
        scores = (verdict.whole, verdict.inner, verdict.paragraph)
        rows.append([name, *(figure for score in scores for figure in _figures(score))])
    return aligned(rows)


def languages(found: ByName, texts: Sequence[GoldText]) -> str:
    """Return the streamed F1 for each language of the chat texts."""
    chat = [text for text in texts if text.domain == "chat"]
    rows = [["chat, streamed F1", "units", *found]]
    for language in sorted({text.language for text in chat}):
        units = sum(len(text.units) for text in chat if text.language == language)
        each = (_of_language(one, language).inner for one in found.values())
        rows.append([language, str(units), *(f"{score.f1:.1f}" for score in each)])
    return aligned(rows)


def pace(found: ByName) -> str:
    """Return delays, cost and what was taken back."""
    rows = [
        [
            "streamed", "delay chars p50", "p95", "p99", "max", "tokens p50", "p99", "max",
            "us/token", "worst", "in text", "taken back per 100",
        ]
    ]  # fmt: skip
    for name, one in found.items():
        characters = _spread(one.delays.characters, (50, 95, 99))
        tokens = _spread(one.delays.tokens, (50, 99))
        back = 100 * one.taken_back / max(one.said, 1)
        cost = [
            f"{one.cost.mean_us:.2f}",
            f"{one.cost.worst_us:.1f}",
            one.cost.worst_id,
            f"{back:.1f}",
        ]
        rows.append([name, *characters, *tokens, *cost])
    return aligned(rows)


def aligned(rows: Table) -> str:
    """Return rows as text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest value that `percent` of all do not exceed."""
    if len(values) < 2:
        return max(values, default=0)
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1])


def _in_domain(wanted: str) -> Callable[[str, str], bool]:
    return lambda domain, _language: domain == wanted


def _of_language(one: Findings, language: str) -> Verdict:
    return total(one.streamed, lambda domain, spoken: domain == "chat" and spoken == language)


def _figures(score: Score) -> list[str]:
    return [f"{score.precision:.1f}", f"{score.recall:.1f}", f"{score.f1:.1f}"]


def _spread(values: list[int], percents: Sequence[int]) -> list[str]:
    return [str(percentile(values, one)) for one in percents] + [str(max(values, default=0))]
