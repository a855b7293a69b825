"""Tokens from any server that speaks OpenAI's chat completions.

The `openai` client knows the address, how to authenticate and what else to say of ourselves; it
is sent over its HTTP client, and what comes back is read by ours, for four reasons:

1. It calls a stream without a finish reason, a web page and an error in JSON a success.
2. Its chunk objects cost several times what the rest of a turn does.
3. It buffers lines and errors of any length.
4. It makes each request of options and models: 1.5 of 8.6 million instructions a turn (callgrind).

Its retries would not do: ours end at the first token, are bounded in time and are counted.
"""

from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import cached_property
from itertools import chain

import anyio
import httpx2
import msgspec
from openai import AsyncOpenAI
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from streaming.errors import SourceError, SourceTimeoutError, SourceUnavailableError
from streaming.llm.answer import OpenAIAnswer
from streaming.llm.base import Finish, Prompt
from streaming.llm.prefixes import PrefixStyle, continuation
from streaming.llm.refusals import RefusalError, StreamOptionsRefusedError, demand_event_stream
from streaming.llm.transport import http_client

OPENAI_URL = "https://api.openai.com/v1"

MAX_RETRY_AFTER_S = 20.0
"""A provider that asks for a longer pause is not waited for: the user should know at once."""

MAX_RETRYING_S = 30.0
"""No try starts later than this after the first one."""

_NO_KEY = "unused"  # the client insists on one

_Begun = tuple[OpenAIAnswer, Iterator[str]]
_backoff = wait_random_exponential(multiplier=0.25, max=4)


class OpenAITokenSource:
    """A model behind an OpenAI-compatible API.

    Args:
        base_url: Address up to and with `/v1`; None is OpenAI's own. A user and password in it
            are sent in place of the key.
        api_key: Empty where the server wants none.
        default_model: Model asked when a chatbot names none.
        connect_timeout_s: For one try to connect.
        request_timeout_s: For one try, from its start to the head of the answer.
        max_retries: Tries after the first one, all before the first token.
        prefix_style: How the server is asked to go on with an answer.
        may_retry: Asked before each further try; False lets the failure stand.
        on_retry: Called with the error that makes another try needed; for counting.
    """

    def __init__(  # noqa: PLR0913  each is a setting of its own
        self,
        *,
        base_url: str | None,
        api_key: str,
        default_model: str,
        connect_timeout_s: float,
        request_timeout_s: float,
        max_retries: int,
        prefix_style: PrefixStyle = "plain",
        may_retry: Callable[[], bool] = lambda: True,
        on_retry: Callable[[SourceError], None] | None = None,
    ) -> None:
        self._default_model = default_model
        self._connect_timeout_s = connect_timeout_s
        self._request_timeout_s = request_timeout_s
        self._max_retries = max_retries
        self._prefix_style = prefix_style
        self._may_retry = may_retry
        self._on_retry = on_retry
        self._asks_for_usage = True
        address, authorization = _without_credentials(base_url or OPENAI_URL, api_key)
        self._http = http_client(address, on_response=demand_event_stream)
        self._client = AsyncOpenAI(
            base_url=address,
            api_key=api_key or _NO_KEY,
            default_headers={
                "Accept": "text/event-stream",
                "Accept-Encoding": "identity",
                "Authorization": authorization,
            },
            http_client=self._http,
        )
        root = self._client.base_url  # with a slash at its end
        self._url = root.copy_with(raw_path=root.raw_path + b"chat/completions")
        # No read timeout: the caller bounds the waits, and a timer per read would cost.
        timeout = httpx2.Timeout(None, connect=connect_timeout_s, pool=connect_timeout_s)
        self._extensions = {"timeout": timeout.as_dict()}

    @property
    def default_model(self) -> str:
        return self._default_model

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        answer, texts = await self._begun(prompt)
        try:
            while True:
                for text in texts:
                    yield text
                if answer.is_complete():
                    break
                texts = await answer.read()
            yield await answer.finish()
        finally:
            await answer.close()

    async def close(self) -> None:
        await self._client.close()

    async def _begun(self, prompt: Prompt) -> _Begun:
        """Open an answer, trying again where that is worth it; the tries are not kept, 2 KB."""
        retrying = self._retrying()
        try:
            begun: _Begun = await retrying(self._begin, prompt)
        finally:
            retrying.iter_state.reset()  # its actions hold it: it would wait for a collection
        return begun

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(  # one for each turn: it holds the state of its tries
            sleep=anyio.sleep,
            stop=self._is_enough,
            wait=_pause_s,
            retry=retry_if_exception(_is_worth_another_try),
            before_sleep=self._count_retry,
            reraise=True,
        )

    def _is_enough(self, state: RetryCallState) -> bool:
        within = stop_after_attempt(1 + self._max_retries) | stop_before_delay(MAX_RETRYING_S)
        # Asked only for a try that would be made: it pays for what it grants.
        return within(state) or not self._may_retry()

    def _count_retry(self, state: RetryCallState) -> None:
        error = _error_of(state)
        if self._on_retry is not None and isinstance(error, SourceError):
            self._on_retry(error)

    async def _begin(self, prompt: Prompt) -> _Begun:
        """Open an answer and read up to its first item, before which it can still be retried."""
        answer = OpenAIAnswer(await self._open(prompt))
        prompt.opened()
        try:
            while True:
                texts = await answer.read()
                for text in texts:
                    return answer, chain((text,), texts)
                if answer.is_complete():
                    return answer, texts
        except BaseException:
            await answer.close()
            raise

    async def _open(self, prompt: Prompt) -> httpx2.Response:
        asks_for_usage = self._asks_for_usage
        try:
            return await self._post(self._body(prompt, asks_for_usage=asks_for_usage))
        except StreamOptionsRefusedError:
            if not asks_for_usage:
                raise
        response = await self._post(self._body(prompt, asks_for_usage=False))
        self._asks_for_usage = False  # only now: another fault may name the option as well
        return response

    def _body(self, prompt: Prompt, *, asks_for_usage: bool) -> dict[str, object]:
        body: dict[str, object] = {
            "model": prompt.model,
            "messages": [{"role": each.role, "content": each.text} for each in prompt.messages],
            "stream": True,
        }
        if prompt.prefix:
            body |= continuation(prompt, self._prefix_style)
        if asks_for_usage:
            body["stream_options"] = {"include_usage": True}
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        return body

    async def _post(self, body: dict[str, object]) -> httpx2.Response:
        """Send the request and return its answer, open and checked; the one mapping of errors."""
        try:
            request = httpx2.Request(
                "POST",
                self._url,
                headers=self._headers,
                content=msgspec.json.encode(body),
                extensions=self._extensions,
            )
            with anyio.fail_after(self._request_timeout_s):
                return await self._http.send(request, stream=True)
        except TimeoutError:
            raise SourceTimeoutError("first_token", self._request_timeout_s) from None
        except RefusalError as exc:
            raise exc.reason from None
        except httpx2.RequestError as exc:
            raise self._unreachable(exc) from exc
        except Exception as exc:
            raise SourceUnavailableError("The model provider could not be asked.") from exc

    @cached_property
    def _headers(self) -> httpx2.Headers:
        """Say who we are; told at the first request, since it looks at the machine."""
        headers = self._client.default_headers
        return httpx2.Headers({k: v for k, v in headers.items() if isinstance(v, str)})

    def _unreachable(self, error: httpx2.RequestError) -> SourceError:
        # The transport calls a reset a timeout as well; only what caused it tells them apart.
        cause: BaseException | None = error
        if isinstance(error, httpx2.ReadError):  # it was connected
            cause = None
        while cause is not None and not isinstance(cause, TimeoutError):
            cause = cause.__cause__
        if cause is not None:
            return SourceTimeoutError("connect", self._connect_timeout_s)
        return SourceUnavailableError("The model provider could not be reached.")


def _without_credentials(url: str, api_key: str) -> tuple[httpx2.URL, str]:
    """Return an address without its user and password, and how to authenticate there."""
    address = httpx2.URL(url)
    if not address.userinfo:
        return address, f"Bearer {api_key or _NO_KEY}"
    credentials = b64encode(f"{address.username}:{address.password}".encode()).decode()
    return address.copy_with(userinfo=b""), f"Basic {credentials}"


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _pause_s(state: RetryCallState) -> float:
    error = _error_of(state)
    told_s = error.retry_after_s if isinstance(error, SourceError) else None
    return _backoff(state) if told_s is None else told_s


def _is_worth_another_try(error: BaseException) -> bool:
    if isinstance(error, SourceTimeoutError):
        # A server that took the request and is slow may still answer it, and bill it.
        return error.phase == "connect"
    if not isinstance(error, SourceError) or not error.retryable:
        return False
    return (error.retry_after_s or 0.0) <= MAX_RETRY_AFTER_S
