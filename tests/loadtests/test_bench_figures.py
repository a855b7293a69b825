"""What the benchmark makes of its measurements: arithmetic, tables, verdicts and the picture."""

from collections.abc import Awaitable, Callable
from xml.etree import ElementTree as ET

import pytest

from loadtests.bench import plot, report
from loadtests.bench.__main__ import put_between
from loadtests.bench.ceiling import Ceiling, Probe, search
from loadtests.bench.correctness import Delivered, NotTheTextError, compare, deltas
from loadtests.bench.figures import quantile
from loadtests.bench.measure import Idle, Steady, Workload
from loadtests.bench.pace import Pace, pace
from loadtests.bench.results import Results
from loadtests.bench.targets import MESSAGE
from loadtests.bench.verdict import judged
from loadtests.llm_simulator import prose

MANY = Workload(200, 40)


def a_window(cpu_us: float, delivered: float = 8_000, gap_s: float = 0.03) -> Steady:
    """Return what one window came to."""
    return Steady(
        cpu_us, delivered, MANY.offered_per_s, 1.0, 1.0, pace=Pace(gap_s), ttft_s=(0.002, 0.004)
    )


def a_run(**cpu_us: float) -> Results:
    """Return a run in which a token has cost so much, by target."""
    results = Results(load_before=0.0)
    for name, each in cpu_us.items():
        results.add_steady(MANY, name.replace("_", "-"), a_window(each))
    return results


def test_gaps_and_delays_are_those_of_tokens_against_their_pace() -> None:
    on_time, one_late = [5.0] * 200, [7.0] * 199 + [7.5]

    seen = pace([(on_time, 5.0), (one_late, 7.0)], gap_s=0.025)

    assert (seen.gap_p99_s, seen.delay_p50_s, seen.delay_p99_s) == (0.025, 0.0, 0.0)
    assert pace([(one_late[-10:], 7.0)], gap_s=0.025).gap_p99_s == pytest.approx(0.525, rel=0.1)


def test_a_server_that_is_late_all_the_time_is_late_against_its_own_best_token() -> None:
    assert pace([([5.1] * 9, 5.0)], gap_s=0.025).delay_p50_s == pytest.approx(0.1)


def test_tokens_that_wait_together_are_late_by_as_long_as_each_has_waited() -> None:
    # Three tokens, due at 0, 0.1 and 0.2, all come at 0.2; lateness is arrival less place.
    seen = pace([([0.2, 0.1, 0.0], 0.0)], gap_s=0.1)

    assert seen.delay_p50_s == pytest.approx(0.1)
    assert seen.gap_p99_s == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("can", "guess", "found", "probed"),
    [
        (22_000, 15_000, 20_000, [15_000, 20_000, 25_000]),
        (22_000, 60_000, 20_000, [50_000, 20_000, 25_000]),
        (700, 3_000, 500, [2_500, 500, 1_000]),
        (6_000, 300, 5_000, [500, 1_000, 2_500, 5_000]),
        (100, 600, 0, [500]),
        (10**6, 60_000, 50_000, [50_000]),
    ],
    ids=[
        "upwards",
        "guessed-too-high",
        "downwards",
        "far-too-low",
        "less-than-all",
        "more-than-all",
    ],
)
async def test_the_highest_pace_is_looked_for_in_four_steps(
    can: int, guess: float, found: int, probed: list[int]
) -> None:
    asked: list[int] = []

    seen = await search(guess, prober(can, asked))

    assert asked == probed
    assert seen.held_per_s == found


def prober(can: int, asked: list[int]) -> Callable[[int], Awaitable[Probe]]:
    """Return a probe of a server that can do so many tokens a second."""

    async def probe(per_s: int) -> Probe:
        asked.append(per_s)
        return Probe(per_s, min(can, per_s), 0.01)

    return probe


def test_a_pace_is_not_held_where_tokens_are_missing_or_late() -> None:
    assert Probe(1_000, 980, 0.05).is_held
    assert not Probe(1_000, 960, 0.05).is_held
    assert not Probe(1_000, 1_000, 0.11).is_held


_OPENAI = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"One"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":" two"}}]}\n\n'
    b'data: {"choices":[],"usage":{}}\n\ndata: [DONE]\n\n'
)
_TUTORIAL = (
    b'event: delta\r\ndata: {"text":"One"}\r\n\r\nevent: delta\r\ndata: {"text":" two"}\r\n\r\n'
    b": ping\r\n\r\nevent: done\r\ndata: {}\r\n\r\n"
)
_CHATSTREAM = (
    b'id: t.1-2\nevent: text.delta\ndata: {"text":"One"}\n\n'
    b'id: t.1-3\nevent: text.delta\ndata: {"text":" two"}\n\n'
    b'id: t.1-4\nevent: turn.completed\ndata: {"text":"One two"}\n\n'
)
_AI_SDK = (
    b'data: {"type":"start"}\n\ndata: {"type":"text-delta","id":"0","delta":"One"}\n\n'
    b'data: {"type":"text-delta","id":"0","delta":" two"}\n\ndata: {"type":"finish"}\n\n'
)


@pytest.mark.parametrize(
    "body",
    [_OPENAI, _TUTORIAL, _CHATSTREAM, _AI_SDK],
    ids=["openai", "tutorial", "chatstream", "ai-sdk"],
)
def test_text_is_read_out_of_every_wire_format(body: bytes) -> None:
    assert list(deltas(body)) == ["One", " two"]


def test_text_is_compared_with_the_models_and_merged_tokens_are_named() -> None:
    pieces = [prose.text_of((each,)) for each in prose.marked(prose.answer(1, MESSAGE, 6))]
    merged = ["".join(pieces[:3]), *pieces[3:]]

    assert str(compare(pieces, 6)) == "one event per token"
    assert str(compare(merged, 6)) == "6 tokens in 4 events"
    for wrong in (pieces[:-1], [*pieces, pieces[-1]], pieces[::-1]):
        with pytest.raises(NotTheTextError):
            compare(wrong, 6)


def test_a_figure_is_the_median_of_its_rounds_and_less_what_the_load_adds_itself() -> None:
    results = Results(load_before=0.0)
    for cpu_us in (50.0, 90.0, 52.0):
        results.add_steady(MANY, "chatstream", a_window(cpu_us, gap_s=0.031))
        results.add_steady(MANY, "nginx", a_window(cpu_us / 2))
        results.add_steady(MANY, "direct", a_window(10.0, gap_s=0.027))

    assert results.cpu_us(MANY.title, "chatstream") == 52.0
    assert results.ratio(MANY.title, "chatstream", "nginx") == 2.0
    assert results.ratio(MANY.title, "chatstream", "litellm") is None
    assert results.added(MANY.title, "chatstream", lambda one: one.pace.gap_p99_s) == pytest.approx(
        0.004
    )


def test_promises_are_judged_with_a_quarter_of_tolerance() -> None:
    held = a_run(chatstream=50.0, nginx=17.0, tutorial=210.0, litellm=600.0, node_relay=41.0)
    missed = a_run(chatstream=50.0, nginx=15.0, tutorial=190.0, litellm=500.0, node_relay=39.0)

    assert [row.is_held for row in judged(held) if row.name.startswith("CPU")] == [True] * 4
    assert [row.is_held for row in judged(missed) if row.name.startswith("CPU")] == [False] * 4


def test_the_rest_of_what_is_promised_is_judged_where_it_was_measured() -> None:
    results = a_run(chatstream=50.0)
    results.add_steady(MANY, "chatstream+redis", a_window(58.5))
    results.idle["chatstream"] = [Idle([0.001] * 9, [0.0015] * 9)]
    results.memory_kb["chatstream"] = 51.0
    results.ceiling["chatstream"] = Ceiling(30_000, [])

    told = {row.name: (row.seen, row.is_held) for row in judged(results)}

    assert told["log in Redis, 200 x 40 tokens/s"] == ("+ 8.5 μs", False)
    assert told["TTFT p50 added, idle"] == ("0.50 ms", True)
    assert told["memory of an open stream"] == ("51 KB", False)
    assert told["paced on one core"] == ("30,000 tokens/s", True)


def test_the_page_has_every_target_and_names_what_was_left_out() -> None:
    results = a_run(nginx=20.0, chatstream=50.0)
    results.delivered["nginx"] = Delivered(40, 60)
    results.ceiling["nginx"] = Ceiling(35_000, [Probe(35_000, 35_000, 0.01)])
    results.left_out["litellm"] = "LiteLLM is not installed (make bench-peers)"

    lines = report.markdown(results).splitlines()

    row = "| chatstream | 50.0 | [50.0..50.0] | 2.50 | 1.00 | 8000 | 30.0 | 2.0 / 4.0 |"
    assert row in lines
    assert "| nginx | - | - | 35,000 or more | 60 tokens in 40 events |" in lines
    assert "left out: litellm: LiteLLM is not installed (make bench-peers)" in lines
    assert "| CPU beside nginx, 200 x 40 tokens/s | 2.50 x | <= 2.5 x, + 25 % | held |" in lines


def test_only_the_measured_part_of_a_page_is_replaced() -> None:
    page = "# Title\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nthe rest\n"

    once = put_between(page, "new\n")

    assert once == "# Title\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nthe rest\n"
    assert put_between(once, "new\n") == once
    with pytest.raises(ValueError, match="substring not found"):
        put_between("# Title\n", "new\n")


def test_the_picture_is_a_document_with_a_bar_for_each_figure() -> None:
    results = a_run(nginx=20.0, chatstream=50.0)
    results.add_steady(MANY, "<slow>", a_window(100.0, delivered=4_000))
    results.memory_kb["chatstream"] = 40.0

    picture = ET.fromstring(plot.svg(results))  # noqa: S314  # our own

    space = "{http://www.w3.org/2000/svg}"
    bars = list(picture.findall(f"{space}rect"))
    assert [each.get("class") for each in bars] == ["bar", "own", "full", "own"]
    widths = [float(each.get("width") or 0) for each in bars]
    assert widths[0] / widths[2] == pytest.approx(0.2, abs=0.01)
    texts = [each.text for each in picture.findall(f"{space}text")]
    assert "<slow>" in texts
    assert "50 μs, 2.5 x nginx" in texts


def test_quantiles_of_few_values_are_values() -> None:
    assert quantile([3.0], 99) == 3.0
    assert quantile([1.0, 2.0, 3.0], 50) == 2.0
