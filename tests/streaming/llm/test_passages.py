"""Pages are cut into passages that can be quoted as they are."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from streaming.llm.passages import Passage, cut_page, read_passages, unwrapped

PAGE = """\
Before any heading.

# The API

Two lines
of one paragraph.

## Turns `v1`

- one item
  goes on
- another item

| call | does |
|---|---|
| `POST` | starts |
| `GET` | reads |

For example:

```
# not a heading

| not | a table |
```

### Errors ###

<!-- nothing to read -->
![an image](x.png)
See [the page](page.md#x) and [elsewhere](https://example.org/).
"""


def texts(page: str) -> list[str]:
    return [passage.text for passage in cut_page("docs/api.md", page)]


def test_a_page_is_cut_into_paragraphs_items_rows_and_examples() -> None:
    assert texts(PAGE) == [
        "Before any heading.",
        "Two lines\nof one paragraph.",
        "- one item\n  goes on",
        "- another item",
        "| call | does |\n|---|---|\n| `POST` | starts |",
        "| call | does |\n|---|---|\n| `GET` | reads |",
        "For example:\n```\n# not a heading\n\n| not | a table |\n```",
        "See the page and [elsewhere](https://example.org/).",
    ]


def test_a_passage_knows_where_it_stands() -> None:
    passages = list(cut_page("docs/api.md", PAGE))

    assert passages[0] == Passage("docs/api.md", (), "Before any heading.")
    assert passages[1].source == "docs/api.md"
    assert passages[2].headings == ("The API", "Turns v1")
    assert passages[2].source == "docs/api.md § Turns v1"
    assert passages[-1].headings == ("The API", "Turns v1", "Errors")


@given(st.lists(st.sampled_from([*PAGE.splitlines(), "x" * 900, "y " * 400, "", "    code"])))
def test_any_page_gives_bounded_passages(lines: list[str]) -> None:
    for text in texts("\n".join(lines)):
        assert text.strip()
        assert len(text) < 1_300


def test_the_readme_and_the_pages_are_read_in_order(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "README.md").write_text("First.")
    (docs / "b.md").write_bytes(b"Third: \xff\0.")
    (docs / "a.md").write_text("Second.")
    (docs / "c.txt").write_text("Not a page.")
    (docs / "d.md").mkdir()

    assert read_passages(docs) == [
        Passage("README.md", (), "First."),
        Passage("docs/a.md", (), "Second."),
        Passage("docs/b.md", (), "Third: \ufffd\ufffd."),
    ]


def test_without_a_folder_there_is_nothing_to_quote(tmp_path: Path) -> None:
    assert read_passages(tmp_path / "missing" / "docs") == []


def test_lines_that_only_wrap_are_joined_and_all_others_stand() -> None:
    lines = [
        "A paragraph",
        "that wraps:",
        "- an item",
        "  that wraps",
        "- another",
        "",
        "| a |",
        "| b |",
    ]
    code = ["```", "one", "two", "```", "After", "it."]

    assert unwrapped(lines) == [
        "A paragraph that wraps:",
        "- an item that wraps",
        "- another",
        "",
        "| a |",
        "| b |",
    ]
    assert unwrapped(code) == ["```", "one", "two", "```", "After it."]
