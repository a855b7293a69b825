"""The offline model says what it is, quotes what fits, and admits what it does not know."""

from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from streaming.llm.base import Finish, Prompt, PromptMessage
from streaming.llm.offline import FIRST_TOKEN_S, OfflineTokenSource, split_pieces
from streaming.llm.replies import HINT, reply
from streaming.llm.retrieval import PassageIndex

README = """\
# Chatstream

A chat server that you run yourself.

## Promises

- **A turn outlives its reader.** Reconnect with `Last-Event-ID` and get exactly the rest.
- A disconnect cancels nothing.
"""

API = """\
# The HTTP API

## Turns

`POST /api/v1/turns` starts a turn.

## Stop a turn

The model's connection is closed at once.

## Limits

| setting | default | meaning |
|---|---|---|
| `MAX_RESPONSE_CHARS` | 2000 | Longest answer. |
| `SEND_TIMEOUT_S` | 10 | How long a reader may block. |
| `OPENAI_BASE_URL` | | Address of a provider. |
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "README.md").write_text(README)
    (folder / "api.md").write_text(API)
    return folder


def asking(*texts: str, prefix: str = "") -> Prompt:
    """Return a prompt of user and assistant messages in turn, after a system message."""
    messages = [PromptMessage("system", "You are a pirate.")]
    for place, text in enumerate(texts):
        messages.append(PromptMessage("assistant" if place % 2 else "user", text))
    return Prompt(tuple(messages), "offline", prefix=prefix)


async def answer(docs: Path, *texts: str, prefix: str = "") -> str:
    source = OfflineTokenSource(docs_dir=docs, tokens_per_s=0)
    with anyio.fail_after(5):
        *pieces, finish = [item async for item in source.stream(asking(*texts, prefix=prefix))]
    assert isinstance(finish, Finish)
    assert finish.output_tokens == len(pieces)
    return "".join(map(str, pieces))


async def test_a_greeting_is_answered_with_what_it_is_and_what_can_be_asked(docs: Path) -> None:
    for greeting in ("Hi!", "hello there", "Bonjour", "Good morning!", "你好", "  ", "Привет"):
        said = await answer(docs, greeting)

        assert said.startswith("Hello!")
        assert "offline model" in said
        assert "- **The HTTP API**: Turns, Stop a turn, Limits" in said
        assert said.endswith(HINT)


async def test_a_question_is_answered_with_quotes_and_their_sources(docs: Path) -> None:
    said = await answer(docs, "How do I resume a stream after the connection dropped?")

    assert "> - **A turn outlives its reader.** Reconnect with `Last-Event-ID`" in said
    assert "> — `README.md § Promises`" in said


async def test_rows_of_a_table_come_under_its_head(docs: Path) -> None:
    said = await answer(docs, "What is SEND_TIMEOUT_S?")

    assert (
        "> | setting | default | meaning |\n"
        "> |---|---|---|\n"
        "> | `SEND_TIMEOUT_S` | 10 | How long a reader may block. |\n"
        ">\n"
        "> — `docs/api.md § Limits`"
    ) in said
    assert "MAX_RESPONSE" not in said


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "Write a poem about autumn leaves", "Bake bread on turns"],
)
async def test_what_no_page_tells_is_admitted(docs: Path, question: str) -> None:
    said = await answer(docs, question)

    assert "I found nothing" in said
    assert ">" not in said
    assert "- **Chatstream**: Promises" in said


async def test_another_language_is_told_that_only_english_is_understood(docs: Path) -> None:
    assert "English only" in await answer(docs, "Wie setze ich einen Vorgang fort?")
    assert "English only" not in await answer(docs, "What is the capital of France?")


async def test_a_question_too_short_to_mean_anything_continues_the_one_before(docs: Path) -> None:
    first = await answer(docs, "How do I stop a turn?")
    second = await answer(docs, "How do I stop a turn?", first, "And why?")
    third = await answer(docs, "Is a disconnect final?", "No.", "And why?")

    assert "closed at once" in first
    assert "no more about this" in second
    assert third.startswith("The documentation also says:\n\n> - A disconnect cancels nothing.")


async def test_how_to_connect_a_model_is_said_once_and_when_asked(docs: Path) -> None:
    first = await answer(docs, "What is a turn?")
    second = await answer(docs, "What is a turn?", first, "How do I stop a turn?")
    third = await answer(docs, "What is a turn?", first, "How do I use Ollama?")

    assert first.endswith(HINT)
    assert HINT not in second
    assert third.startswith(HINT)


@pytest.mark.parametrize("question", ["Who are you?", "are you a real model?", "help"])
async def test_asked_who_it_is_it_says_that_it_is_no_language_model(
    docs: Path, question: str
) -> None:
    assert "no language model" in await answer(docs, question)


async def test_asked_about_the_project_it_quotes_the_readme(docs: Path) -> None:
    assert "> A chat server that you run yourself." in await answer(docs, "What is Chatstream?")


async def test_thanks_are_answered_shortly(docs: Path) -> None:
    assert await answer(docs, "Thank you!") == (
        "You are welcome. Ask me anything else about Chatstream."
    )
    assert "closed at once" in await answer(docs, "Thanks! How do I stop a turn?")


async def test_quotes_are_bounded_whatever_the_pages_are_like(docs: Path) -> None:
    (docs / "a.md").write_text("Nothing above it.")
    (docs / "b.md").write_text("\n\n".join(f"{n} " + "widget sizes! " * 40 for n in range(9)))

    said = await answer(docs, "Which widget sizes are there?")

    assert said.count("> — `docs/b.md`") == 2
    assert len(said) < 2_000
    assert "a.md" not in await answer(docs, "Hi")  # a page without a title is no topic


async def test_a_table_is_not_quoted_whole(docs: Path) -> None:
    rows = "".join(f"| `GADGET_{n}` | {'as gadgets go, ' * 20} |\n" for n in range(6))
    (docs / "a.md").write_text(f"| name | meaning |\n|---|---|\n{rows}")

    assert (await answer(docs, "Which gadgets are there?")).count("`GADGET_") == 2


async def test_without_documentation_it_says_so(tmp_path: Path) -> None:
    assert "no documentation" in await answer(tmp_path / "missing", "How do I stop a turn?")
    assert "no documentation" in await answer(tmp_path / "missing", "Hi")


async def test_an_answer_that_was_broken_off_is_continued(docs: Path) -> None:
    whole = await answer(docs, "How do I stop a turn?")

    for cut in (1, 100, len(whole)):
        assert await answer(docs, "How do I stop a turn?", prefix=whole[:cut]) == whole[cut:]


async def test_the_words_of_another_model_are_followed_by_a_whole_answer(docs: Path) -> None:
    whole = await answer(docs, "How do I stop a turn?")

    said = await answer(docs, "How do I stop a turn?", prefix="Another model's wor")

    assert said == f"\n\n{whole}"


async def test_the_same_prompt_gets_the_same_pieces(docs: Path) -> None:
    for question in ("Hi", "How do I stop a turn?"):
        assert await answer(docs, question) == await answer(docs, question)


async def test_it_speaks_at_its_pace_after_a_moment_of_thought(docs: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    source = OfflineTokenSource(docs_dir=docs, tokens_per_s=50, sleep=sleep)
    *pieces, _ = [item async for item in source.stream(asking("How do I stop a turn?"))]

    assert waits[0] == FIRST_TOKEN_S
    assert len(waits) == len(pieces)
    assert all(0.01 <= wait <= 0.03 for wait in waits[1:])
    assert sum(waits[1:]) / len(waits[1:]) == pytest.approx(0.02, rel=0.1)


async def test_unpaced_it_lets_others_run(docs: Path) -> None:
    source = OfflineTokenSource(docs_dir=docs, tokens_per_s=0)
    turns_of_the_loop: list[int] = [0]

    async def count() -> None:
        while True:
            turns_of_the_loop[0] += 1
            await checkpoint()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(count)
            seen = [turns_of_the_loop[0] async for _ in source.stream(asking("Hi"))]
            group.cancel_scope.cancel()

    assert len(set(seen)) > 3


@given(st.text())
def test_joined_pieces_are_the_text(text: str) -> None:
    pieces = split_pieces(text)

    assert "".join(pieces) == text
    assert all(pieces)


@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_conversation_gets_an_answer_that_fits_the_usual_limit(texts: list[str]) -> None:
    said = reply(asking(*texts).messages, PassageIndex([]))

    assert 0 < len(said) < 2_000


async def test_the_projects_own_documentation_answers_its_own_example() -> None:
    docs = Path(__file__).parents[3] / "docs"

    said = await answer(docs, "How do I resume a stream?")

    assert "This is what the documentation says:" in said
    assert len(said) < 2_000
