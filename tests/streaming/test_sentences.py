"""What the splitter gives out, seen from outside; the rules' cases are in `vectors`."""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from streaming.sentences import Sentence, SentenceSplitter


class Case(TypedDict):
    about: str
    language: str
    text: str
    sentences: list[str]


CASES: list[Case] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "sentences_rules.json").read_text(encoding="utf-8")
)


def cut(text: str, language: str = "en") -> list[Sentence]:
    splitter = SentenceSplitter(language=language)
    found = [sentence for character in text for sentence in splitter.push(character)]
    return found + splitter.flush()


def kinds(text: str) -> list[tuple[str, str]]:
    return [(sentence.kind, sentence.text) for sentence in cut(text)]


@pytest.mark.parametrize(
    "case", CASES, ids=[f"{case['language']}-{case['about']}" for case in CASES]
)
def test_the_rules_cut_where_a_reader_would(case: Case) -> None:
    assert [sentence.text for sentence in cut(case["text"], case["language"])] == case["sentences"]


def test_an_item_without_a_stop_is_out_with_the_token_behind_its_newline() -> None:
    splitter = SentenceSplitter()
    splitter.push("- the item of number 0")

    for number in range(300):
        splitter.push("\n")
        item = splitter.push("- the")
        assert [sentence.text for sentence in item] == [f"- the item of number {number}"]
        splitter.push(f" item of number {number + 1}")


def test_three_hundred_items_are_three_hundred_sentences() -> None:
    text = "\n".join(f"* item {number}" for number in range(300))

    assert len(cut(text)) == 300


def test_a_plain_sentence_is_out_with_the_first_letter_of_the_next() -> None:
    splitter = SentenceSplitter()

    assert splitter.push("It rains. ") == []
    assert [sentence.text for sentence in splitter.push("W")] == ["It rains."]


def test_offsets_count_code_points_over_all_that_was_pushed() -> None:
    assert cut("  Nice 👍🏽.\n\n So it is. ") == [
        Sentence("Nice 👍🏽.", "text", 2, 10),
        Sentence("So it is.", "text", 13, 22),
    ]


def test_after_a_flush_the_splitter_goes_on_counting() -> None:
    splitter = SentenceSplitter()
    splitter.push("```\nx")

    assert splitter.flush() == [Sentence("```\nx", "code", 0, 5)]
    assert splitter.push("One. Two") == [Sentence("One.", "text", 5, 9)]
    assert splitter.flush() == [Sentence("Two", "text", 10, 13)]
    assert splitter.flush() == []


def test_what_is_pending_is_told_only_where_it_will_be_text() -> None:
    splitter = SentenceSplitter()

    assert splitter.pending() == (0, "")
    splitter.push("One. Two three,")
    assert splitter.pending() == (5, "Two three,")
    splitter.push(" four.\n\n``")
    assert splitter.pending() == (0, "")
    splitter.push("`py\nx = 1")
    assert splitter.pending() == (0, "")


def test_nothing_inside_code_is_cut() -> None:
    code = "```python\na = b. C\n\n# Done. Yes! No?\n- x\n````x\n  ```"

    assert kinds(f"Run:\n\n{code}\nDone. Ok") == [
        ("text", "Run:"),
        ("code", code),
        ("text", "Done."),
        ("text", "Ok"),
    ]


@pytest.mark.parametrize(
    "block",
    [
        "~~~\nx. Y\n```\n~~~~",
        "- ```\n  x. Y\n  ```",
        "1. ```sh\n   x. Y\n   ```",
        "> ```\n> x. Y\n> ```",
        "```\n   x. Y\n   ```",
        "<pre>\nx. Y\n</pre>",
        "<!-- x. Y\n -->",
        "```\nx. Y\r\n\r\n```",
    ],
)
def test_code_of_any_form_is_one_unit(block: str) -> None:
    assert kinds(f"{block}\nText") == [("code", block), ("text", "Text")]


def test_code_in_a_quote_ends_with_the_quote() -> None:
    assert kinds("> ```\n> x. Y\nText") == [("code", "> ```\n> x. Y"), ("text", "Text")]


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ("```\nx. Y", "code"),
        ("| a. B | c |\n|---|", "table"),
        ("$$\nx. Y", "math"),
        ("\\begin{align*}\nx. Y", "math"),
        ("```", "code"),
        ("---", "rule"),
        ("---|---", "table"),
        ("<think>\nWell. So", "text"),
    ],
)
def test_a_block_that_the_text_does_not_end_is_given_as_its_kind(block: str, kind: str) -> None:
    assert kinds(f"Text.\n{block}") == [("text", "Text."), (kind, block)]


def test_a_table_is_one_unit() -> None:
    table = "| a | b. C |\n|---|:-:|\n| 1. 2 | d! E |"

    assert kinds(f"{table}\n\nText") == [("table", table), ("text", "Text")]
    assert kinds(f"> {table}\r\nText")[0] == ("table", f"> {table}")
    assert kinds(f"{table}\r") == [("table", table)]


@pytest.mark.parametrize("row", ["---|---", ":--|--:", "--- | ---", "|--|--|", "-|-\t", "|---|---"])
@pytest.mark.parametrize("head", ["a | b", "Who? | b!", "| a | b.", "a. | `b` etc.", "一 | 二。"])
def test_a_table_without_edges_begins_with_its_head(head: str, row: str) -> None:
    table = f"{head}\n{row}\nc. D | e"

    assert kinds(f"{table}\n\nText") == [("table", table), ("text", "Text")]


@pytest.mark.parametrize(
    ("before", "table", "after"),
    [
        ("- One.\n", "- a | b\n  ---|---\n  c. D | e", "\n- Two"),
        ("> One.\n", "> a | b\n> ---|---\n> c. D | e", "\nTwo"),
        ("> One.\n", "> a | b\r\n> ---|---\r\n> c. D | e", "\r\n\r\n> Two"),
        ("One.\n", "a | b\n---|---\n- | e", "\n## Two"),
        ("One.\n", "a | b\n---|---\nc", "\n* Two"),
        ("This goes on for the\n", "A | b\n---|---\nc", "\n\nTwo"),
        ("A line that is long enough to have been wrapped by hand\n", "a | b\n-|-", "\n\nTwo"),
    ],
)
def test_a_table_without_edges_ends_with_its_list_or_quote(
    before: str, table: str, after: str
) -> None:
    assert kinds(before + table + after) == [
        ("text", before.strip()),
        ("table", table),
        ("text", after.strip()),
    ]


@pytest.mark.parametrize("below", ["- item", "---", "-- x | y", "--- | x", "Next | line", ":-)"])
def test_a_line_with_a_bar_heads_no_table_without_a_delimiter_row(below: str) -> None:
    assert kinds(f"a | b? Yes | no.\n{below}")[:2] == [("text", "a | b?"), ("text", "Yes | no.")]


def test_a_line_with_a_bar_is_not_pending() -> None:
    splitter = SentenceSplitter()

    splitter.push("Size ")
    assert splitter.pending() == (0, "Size ")
    splitter.push("| Chest")
    assert splitter.pending() == (0, "")
    assert splitter.push("\n--") == []
    assert [one.text for one in splitter.push("-x")] == ["Size | Chest"]
    assert splitter.pending() == (13, "---x")


def test_a_line_of_dashes_below_a_bar_is_not_waited_for_without_end() -> None:
    splitter = SentenceSplitter()
    splitter.push("a | b\n")

    assert splitter.push("-" * 399) == []
    assert [one.text for one in splitter.push("-")] == ["a | b"]


def test_a_long_row_is_a_table_before_its_line_ends() -> None:
    row = "| cell " * 100 + "|"

    assert kinds(f"{row}\nText") == [("table", row), ("text", "Text")]


def test_a_bar_alone_makes_no_table() -> None:
    assert kinds("|x| < 1 is so. Yes") == [("text", "|x| < 1 is so."), ("text", "Yes")]


@pytest.mark.parametrize(
    "block",
    ["$$x = 1. Y$$", "$$\na. B\n$$.", "\\[ a. B \\],", "\\begin{cases} a. B \\end{cases}"],
)
def test_maths_is_one_unit(block: str) -> None:
    assert kinds(f"So:\n{block}\nText") == [("text", "So:"), ("math", block), ("text", "Text")]


def test_text_may_follow_maths_in_its_line() -> None:
    assert kinds("$$x$$ holds. Yes") == [("math", "$$x$$"), ("text", "holds."), ("text", "Yes")]


@pytest.mark.parametrize(
    "text",
    ["$5 is. ", "\\alpha is. ", "\\begin is. ", ": so. ", "<b>is</b>. ", "~~is~~. ", "``` ` ```. "],
)
def test_signs_that_begin_no_block_begin_text(text: str) -> None:
    assert kinds(f"{text}Yes") == [("text", text.strip()), ("text", "Yes")]


@pytest.mark.parametrize("rule", ["---", "* * *", "___", "- - -", "====", "⸻", "─" * 80, "-" * 90])
def test_a_line_across_the_page_is_a_rule(rule: str) -> None:
    assert kinds(f"Text\n{rule}\nMore") == [("text", "Text"), ("rule", rule), ("text", "More")]


def test_thoughts_are_one_unit_of_text_that_starts_with_their_tag() -> None:
    assert kinds("<think>\nSo. Or so?\n\n```\n</think>\nYes. No") == [
        ("text", "<think>\nSo. Or so?\n\n```\n</think>"),
        ("text", "Yes."),
        ("text", "No"),
    ]


def test_text_without_stops_is_cut_after_a_clause_or_at_a_blank() -> None:
    words = "word " * 400
    clauses = "some words here, " * 100

    assert all(sentence.text.endswith("word") for sentence in cut(words))
    assert all(sentence.text.endswith("here,") for sentence in cut(clauses))
    assert max(len(sentence.text) for sentence in cut(words + clauses)) <= 1_000


def test_a_long_run_is_not_cut_before_a_combining_mark() -> None:
    text = "x" * 999 + "e\u0301" + "x" * 1_100

    assert not any(sentence.text.startswith("\u0301") for sentence in cut(text))
    assert len(cut("\u0301" * 1_500)) == 2


def test_a_code_span_that_is_never_closed_hides_stops_for_a_while_only() -> None:
    text = "A ` stands here. " + "So it is with them. " * 20

    assert 10 < len(cut(text)) < 20


def test_a_text_in_another_language_than_expected_is_cut_by_its_own_words() -> None:
    text = "Das Geschäft ist nicht mehr offen. Es öffnet erst am 3. Mai wieder, z. B. um 9."

    assert len(cut(text, "en")) == len(cut(text, "")) == len(cut(text, "de-AT")) == 2
