"""`python -m tests.benchmarks.sentences`: examine the splitter and what else there is.

Prints tables; `docs/sentences.md` says what the figures mean. CPU time is that of this process, so
another process's load hardly changes it; still, read ratios rather than microseconds.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks import conllu, tables
from tests.benchmarks.gold import DOMAINS, GoldText, load, spans
from tests.benchmarks.measure import Findings, examine, fastest
from tests.benchmarks.pieces import random_pieces, tokens
from tests.benchmarks.scoring import Key
from tests.benchmarks.segmenters import Ours, Segmenter, all_segmenters
from tests.benchmarks.stress import HOSTILE, Make, code, items

_CODE_CHARS = 8_000
_CODE_CHARS_SLOW = 2_000  # pysbd needs a minute for 8,000
_SLOW = frozenset({"pysbd"})
_ITEMS = 300
_HOSTILE_CHARS = 8_000
_LONGER = 4
_TOO_LONG_NS = 500_000_000
_SLICINGS = 10_000
_LONGEST_SLICE = 12
_CONTEXT = 30  # characters shown on each side of a wrong boundary


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    arguments = _parser().parse_args()
    chosen = [one for one in all_segmenters() if one.name.startswith(tuple(arguments.only))]
    if arguments.conllu:
        _treebank(chosen, conllu.load(arguments.conllu, arguments.language))
    elif arguments.wrong:
        _mistakes(load())
    else:
        _everything(chosen, load())
    return 0


def _everything(chosen: Sequence[Segmenter], texts: list[GoldText]) -> None:
    units = sum(len(text.units) for text in texts)
    spoken = {text.language for text in texts}
    _print(f"{len(texts)} texts, {units} units, {len(spoken)} languages")
    found = _examine_all(chosen, texts)
    domains = [domain for domain in DOMAINS if domain != "file"]
    _print(tables.quality(found, domains, streamed=True))
    _print(tables.quality(found, domains, streamed=False))
    _print(tables.counting(found))
    _print(tables.languages(found, texts))
    _print(tables.pace(found))
    _print(_long_texts(chosen))
    _print(_hostile())
    _print(_slicings(texts))


def _treebank(chosen: Sequence[Segmenter], texts: list[GoldText]) -> None:
    _print(f"{len(texts)} documents, {sum(len(text.units) for text in texts)} sentences")
    found = _examine_all(chosen, texts)
    _print(tables.counting(found))
    _print(tables.pace(found))


def _examine_all(chosen: Sequence[Segmenter], texts: list[GoldText]) -> dict[str, Findings]:
    found: dict[str, Findings] = {}
    for segmenter in chosen:
        started = time.monotonic()
        slow = segmenter.name in _SLOW
        found[segmenter.name] = examine(segmenter, texts, rounds=1 if slow else 3)
        passed = time.monotonic() - started
        print(f"{segmenter.name}: {passed:.0f} s", file=sys.stderr)  # noqa: T201
    return found


def _long_texts(chosen: Sequence[Segmenter]) -> str:
    """Return units and cost for a long fence and for a long list without stops."""
    rows = [
        ["long texts", "code, chars", "units", "us/token", f"{_ITEMS} items, units", "us/token"]
    ]
    for segmenter in chosen:
        size = _CODE_CHARS_SLOW if segmenter.name in _SLOW else _CODE_CHARS
        row = [segmenter.name, str(size)]
        for text in (code(size), items(_ITEMS)):
            pieces = tokens(text)
            cpu_ns, cuts = fastest(segmenter, pieces, "en", 1)
            row += [str(len(cuts)), f"{cpu_ns / 1e3 / len(pieces):.1f}"]
        rows.append(row)
    return tables.aligned(rows)


def _hostile() -> str:
    """Return ours on hostile texts: cost a token and a character, and how it grows with length."""
    rows = [["hostile to ours", "us/token", "x4 longer", "us/character", "x4 longer", "units"]]
    for name, make in HOSTILE.items():
        by_token = _growth(make, tokens)
        by_character = _growth(make, list[str])
        units = len(Ours().batch(make(_HOSTILE_CHARS), "en"))
        rows.append([name, *by_token, *by_character, str(units)])
    return tables.aligned(rows)


def _growth(make: Make, cut_up: Callable[[str], list[str]]) -> list[str]:
    """Return the cost of a piece, and that of a text four times as long if that can be awaited."""
    costs: list[str] = []
    used_ns = 0
    for size in (_HOSTILE_CHARS, _HOSTILE_CHARS * _LONGER):
        if used_ns > _TOO_LONG_NS:
            return [*costs, "-"]
        pieces = cut_up(make(size))
        used_ns, _ = fastest(Ours(), pieces, "en", 2)
        costs.append(f"{used_ns / 1e3 / len(pieces):.2f}")
    return costs


def _slicings(texts: Sequence[GoldText]) -> str:
    """Return how many random slicings changed what ours says."""
    dice = random.Random(1)  # noqa: S311  # seeded, so that a failure can be repeated
    ours = Ours()
    changed = 0
    for number in range(_SLICINGS):
        text = texts[number % len(texts)]
        pieces = random_pieces(text.text, dice, _LONGEST_SLICE)
        cuts = ours.stream(pieces, text.language)
        changed += [cut.end for cut in cuts] != ours.batch(text.text, text.language)
    return f"{_SLICINGS} random slicings, {changed} with other units"


def _mistakes(texts: Sequence[GoldText]) -> None:
    """Print where ours is wrong; not for whoever writes its rules."""
    ours = Ours()
    for text in texts:
        key = Key(text)
        said = {key.ruler.at(end): end for end in ours.batch(text.text, text.language)}
        marked = {key.ruler.at(one.end): one.end for one in spans(text)}
        for one in sorted(said.keys() - marked.keys()):
            _print_place("wrong ", text, said[one])
        for one in sorted(key.wanted - said.keys()):
            _print_place("missed", text, marked[one])


def _print_place(what: str, text: GoldText, end: int) -> None:
    before, after = text.text[max(0, end - _CONTEXT) : end], text.text[end : end + _CONTEXT]
    _print(f"{what} {text.id}: {before!r} | {after!r}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sentences")
    parser.add_argument("--conllu", type=Path, help="examine on a treebank file of your own")
    parser.add_argument("--language", default="en", help="of the treebank (default en)")
    parser.add_argument("--only", nargs="+", default=[""], help="segmenters, by name or its start")
    parser.add_argument("--wrong", action="store_true", help="show where ours is wrong")
    return parser


if __name__ == "__main__":
    sys.exit(main())
