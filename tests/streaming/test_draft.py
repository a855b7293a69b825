"""The answer so far, and where in it each entry ends."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.draft import Draft
from tests.streaming.harness import properties


def test_a_new_draft_is_empty() -> None:
    draft = Draft()

    assert (draft.text, draft.length, draft.text_at(0), draft.text_at(7)) == ("", 0, "", "")


@properties
@given(
    st.lists(st.tuples(st.text(max_size=5), st.integers(0, 3), st.booleans()), max_size=40),
)
def test_the_text_at_every_seq_is_what_its_reader_has(
    adds: list[tuple[str, int, bool]],
) -> None:
    draft, seq, expected = Draft(), 1, {0: "", 1: ""}
    for text, gap, is_read in adds:
        for other in range(gap):  # entries that carry no text: a sentence, a reset
            expected[seq + other + 1] = expected[seq]
        seq += gap + 1
        expected[seq] = expected[seq - 1] + text
        draft.add(text, seq)
        if is_read:  # reading joins the pieces; it must change nothing
            assert draft.text == expected[seq]

    assert draft.text == expected[seq]
    assert draft.length == len(expected[seq])
    for at, text in expected.items():
        assert draft.text_at(at) == text
    assert draft.text_at(seq + 100) == draft.text


def test_text_that_no_entry_carries_belongs_to_no_seq() -> None:
    draft = Draft()
    draft.add("Hello", 0)
    draft.add(" there", 0)

    assert draft.text == "Hello there"
    assert draft.length == 11
    assert draft.text_at(5) == ""
