"""Verdicts from OpenAI's moderation endpoint, or any server that speaks like it.

The `openai` client makes the request; what comes back is read by ours: the client takes whatever
JSON for an answer, and buffers one of any length.
"""

import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import cast

import httpx2
import msgspec
from openai import APIConnectionError, AsyncOpenAI, AsyncStream, OpenAIError

from streaming.errors import ModerationFault, ModerationUnavailableError
from streaming.llm.transport import http_client
from streaming.moderation.base import CLEAN, Verdict

OPENAI_URL = "https://api.openai.com/v1"

MAX_ANSWER_BYTES = 1 << 20
"""A real verdict has about 2 kB, and there are at most `BATCH`."""

_MAX_CATEGORIES = 16
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9_/-]{0,63}", re.ASCII)
_UNNAMED = "unnamed"


class _Result(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None] = {}  # msgspec copies it
    category_scores: dict[str, float | None] = {}


class _Answer(msgspec.Struct):
    results: list[_Result]


class _WrongAnswerError(OpenAIError):
    """Carry a fault through the client, which lets only its own kind pass as they are."""

    def __init__(self, reason: ModerationFault) -> None:
        super().__init__(reason)
        self.reason = reason


class OpenAIModerator:
    """A moderation model behind OpenAI's API.

    Args:
        base_url: Address up to and with `/v1`; None is OpenAI's own.
        api_key: Empty where the server wants none.
        model: Which one judges.
        connect_timeout_s: For connecting; the whole call is the caller's to bound.
    """

    name = "openai"

    def __init__(
        self, *, base_url: str | None, api_key: str, model: str, connect_timeout_s: float
    ) -> None:
        self._model = model
        self._read = msgspec.json.Decoder(_Answer).decode
        url = httpx2.URL(base_url or OPENAI_URL)
        self._client = AsyncOpenAI(
            base_url=url,
            api_key=api_key or "unused",  # the client insists on one
            max_retries=0,
            timeout=httpx2.Timeout(None, connect=connect_timeout_s, pool=connect_timeout_s),
            default_headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            http_client=http_client(url, on_response=_demand_json),
        )

    async def check(self, texts: Sequence[str]) -> Sequence[Verdict]:
        try:
            results = self._read(await self._ask(texts)).results
        except _WrongAnswerError as exc:
            raise ModerationUnavailableError(exc.reason) from None
        except APIConnectionError as exc:
            raise ModerationUnavailableError("unreachable") from exc
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ModerationUnavailableError("protocol") from None
        except Exception as exc:
            raise ModerationUnavailableError("unreachable") from exc
        if len(results) != len(texts):
            raise ModerationUnavailableError("protocol")
        return [_verdict(result) for result in results]

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, texts: Sequence[str]) -> bytes:
        response = cast(  # asked to cast to it, the client hands over its transport's response
            "httpx2.Response",
            await self._client.post(
                "/moderations",
                cast_to=httpx2.Response,
                body={"model": self._model, "input": list(texts)},
                stream=True,
                stream_cls=AsyncStream[object],
            ),
        )
        try:
            return await _whole(response)
        finally:
            await response.aclose()


async def _whole(response: httpx2.Response) -> bytes:
    body = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise _WrongAnswerError("protocol")
    return bytes(body)


async def _demand_json(response: httpx2.Response) -> None:
    """Let pass only plain JSON; run by the client before it looks at an answer itself."""
    status = response.status_code
    if status == httpx2.codes.TOO_MANY_REQUESTS:
        raise _WrongAnswerError("limited")
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        raise _WrongAnswerError("unreachable")
    if status != httpx2.codes.OK:
        raise _WrongAnswerError("refused")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").lower()
    if media_type != "application/json" or encoding != "identity":
        raise _WrongAnswerError("protocol")


def _verdict(result: _Result) -> Verdict:
    if not result.flagged:
        return CLEAN
    named = [name for name, is_so in result.categories.items() if is_so]
    known = sorted(name for name in named if _CATEGORY.fullmatch(name))[:_MAX_CATEGORIES]
    scores = [score for name in named if (score := result.category_scores.get(name)) is not None]
    score = min(1.0, max(0.0, *scores)) if scores else None
    return Verdict(tuple(known) or (_UNNAMED,), score)
