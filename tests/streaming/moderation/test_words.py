# ruff: noqa: RUF001  # letters that look like others are the point
"""A list of words: what it finds, whatever it is dressed as, and what it leaves alone."""

from pathlib import Path

import pytest

from streaming.moderation.base import CLEAN, MAX_TEXT_CHARS, Verdict
from streaming.moderation.words import (
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    WordListError,
    WordModerator,
    read_word_list,
)

LIST = WordModerator(
    [
        ("darn", "swearing"),
        ("secret plan", "plans"),
        ("secret plan b", "later"),
        ("禁止", "han"),
        ("ห้าม", "thai"),
        ("अक", "hindi"),
        ("Straße", "street"),
        ("don't", "refusal"),
        ("darn", "twice"),
    ]
)


async def categories(text: str) -> tuple[str, ...]:
    (verdict,) = await LIST.check([text])
    return verdict.categories


@pytest.mark.parametrize(
    "text",
    [
        "darn",
        "Well, DARN!",
        "ｄａｒｎ",
        "da\u200brn",
        "da\u00adrn",
        "\u202edarn",
        "d**ar**n",
        "_d_arn",
        "`darn`",
        "~~da~~rn",
        "d\\arn",
        "d&#97;rn",
        "d&ZeroWidthSpace;arn",
        "[da](https://x.example/y)rn",
        "![darn](https://x.example/y)",
        "such_darn_words",
        "(darn)",
        "𝐝𝐚𝐫𝐧",
        "ⓓⓐⓡⓝ",
    ],
)
async def test_a_word_is_found_whatever_it_is_dressed_as(text: str) -> None:
    assert await categories(text) == ("swearing", "twice")


@pytest.mark.parametrize(
    "text",
    ["", "darned", "undarn", "darn7", "7darn", "dárn", "da rn", "secret planes", "secret, the plan",
     "अक्ष", "\u0300\u0316", "plan secret"],
)  # fmt: skip
async def test_what_only_looks_alike_is_left_alone(text: str) -> None:
    assert await categories(text) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a secret plan", ("plans",)),
        ("SECRET\nPLAN", ("plans",)),
        ("secret-plan", ("plans",)),
        ("secret — plan B!", ("later", "plans")),
        ("secret secret plan", ("plans",)),
        ("这是禁止的", ("han",)),
        ("禁\u200b止", ("han",)),
        ("นี่ห้ามทำ", ("thai",)),
        ("अक है", ("hindi",)),
        ("STRASSE", ("street",)),
        ("I don’t", ("refusal",)),  # an apostrophe parts words as a blank does
        ("don t", ("refusal",)),
    ],
)
async def test_phrases_and_other_scripts_are_found(text: str, found: tuple[str, ...]) -> None:
    assert await categories(text) == found


@pytest.mark.parametrize(
    "text",
    ["a\u0300\u0316" * 1_300, "](" * 2_000, "secret " * 570, "x" * 4_000, "&#" * 2_000,
     "*_" * 2_000, "ﷺ" * 4_000, "[" * 4_000, "\u0301" * 4_000],
)  # fmt: skip
async def test_texts_made_to_take_long_do_not(text: str) -> None:
    assert len(text) <= MAX_TEXT_CHARS
    assert await LIST.check([text] * 3) == [CLEAN] * 3  # seconds, were anything square


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text(
        "\ufeff# a comment\n\nDarn\n  secret plan  |  plans/b-1  # why\nC# sharp|code\n", "utf-8"
    )

    assert read_word_list(path) == [
        ("Darn", "listed"),
        ("secret plan", "plans/b-1"),
        ("C# sharp", "code"),
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has 0 entries"),
        (b"# nothing\n\n", "has 0 entries"),
        (b"fine\n...\n", "line 2: an entry has 1 to 32 words"),
        (b"word " * 33, "line 1: an entry"),
        (b"w" * 201, "line 1: an entry"),
        (b"fine\nfine | Not Fine\n", "line 2: behind the bar"),
        (b"fine |\n", "line 1: behind the bar"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x\n" * (MAX_ENTRIES + 1), f"has {MAX_ENTRIES + 1} entries"),
        (b"#" * (MAX_FILE_BYTES + 1), "bytes"),
    ],
)
def test_a_file_that_is_no_list_is_refused_and_not_quoted(
    tmp_path: Path, data: bytes, said: str
) -> None:
    path = tmp_path / "words"
    path.write_bytes(data)

    with pytest.raises(WordListError, match=said) as refused:
        read_word_list(path)

    assert "Fine" not in str(refused.value)


def test_an_entry_without_a_word_is_refused() -> None:
    with pytest.raises(WordListError, match="entry 2"):
        WordModerator([("fine", "x"), ("!?", "x")])


async def test_a_verdict_of_words_has_no_score() -> None:
    assert await LIST.check(["darn", "fine"]) == [Verdict(("swearing", "twice")), CLEAN]
