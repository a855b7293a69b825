"""How an OpenAI-compatible server is asked to go on with an answer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import anyio
import pytest

from streaming.llm.base import Prompt, PromptMessage
from streaming.llm.openai import OpenAITokenSource
from streaming.llm.prefixes import REQUEST_TO_GO_ON, PrefixStyle
from tests.streaming.llm.upstream import WHOLE, Step, refusal, upstream

PROMPT = Prompt((PromptMessage("system", "Be kind."), PromptMessage("user", "Hi")), "a-model")


async def bodies(
    style: PrefixStyle, *prompts: Prompt, scripts: Sequence[Sequence[Step]] = ()
) -> list[dict[str, Any]]:
    """Return what a server is sent for some prompts; it answers all of them in the end."""
    async with upstream(*scripts, [WHOLE]) as server:
        source = OpenAITokenSource(
            base_url=server.base_url,
            api_key="a-key",
            default_model="a-model",
            connect_timeout_s=2.0,
            request_timeout_s=5.0,
            max_retries=0,
            prefix_style=style,
        )
        for prompt in prompts:
            first, *_ = [item async for item in source.stream(prompt)]
            assert first == "Hello"
        await source.close()
    return [request.body for request in server.requests]


@pytest.mark.parametrize(
    ("style", "last", "switches"),
    [
        (
            "plain",
            [
                {"role": "assistant", "content": "It is a long story, and"},
                {"role": "user", "content": f"{REQUEST_TO_GO_ON}It is a long story, and"},
            ],
            {},
        ),
        (
            "continue_final_message",
            [{"role": "assistant", "content": "It is a long story, and"}],
            {"continue_final_message": True, "add_generation_prompt": False},
        ),
        (
            "prefix",
            [{"role": "assistant", "content": "It is a long story, and", "prefix": True}],
            {},
        ),
    ],
)
async def test_an_answer_is_continued_as_the_server_understands_it(
    style: PrefixStyle, last: list[dict[str, object]], switches: dict[str, object]
) -> None:
    prompt = replace(PROMPT, prefix="It is a long story, and \n", temperature=0.5)
    with anyio.fail_after(10):
        (body,) = await bodies(style, prompt)

    assert body == {
        "model": "a-model",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            *last,
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        **switches,
    }


@pytest.mark.parametrize("style", get_args(PrefixStyle))
async def test_a_prefix_that_cannot_be_seen_is_none(style: PrefixStyle) -> None:
    with anyio.fail_after(10):
        blank, none = await bodies(style, replace(PROMPT, prefix=" \n"), PROMPT)

    assert blank == none


async def test_a_continuation_that_is_refused_stream_options_stays_one() -> None:
    refused = [refusal(400, b'{"error": {"message": "Unknown field: stream_options"}}')]
    with anyio.fail_after(10):
        first, second = await bodies("plain", replace(PROMPT, prefix="It"), scripts=[refused])

    assert first["messages"] == second["messages"]
    assert len(first["messages"]) == 4
