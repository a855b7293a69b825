"""The wire form of an answer: `chat.completion.chunk` frames, the whole completion, errors.

Source: the OpenAI API reference, chat completions, streaming.
"""

import secrets
import time
from typing import Any

import msgspec

from loadtests.llm_simulator import prose

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.encode


class Chunks:
    """Encoder of one answer's chunks; what they share is encoded once."""

    def __init__(self, model: str, *, usage: bool) -> None:
        self.with_usage = usage
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._model = model
        start = _encode(
            {
                "id": self._id,
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": model,
                "service_tier": "default",
                "system_fingerprint": "fp_simulator",
            }
        )
        self._envelope = b"data: " + start[:-1]
        self._before = self._envelope + b',"choices":[{"index":0,"delta":'
        self._usage = b',"usage":null' if usage else b""
        self._after = b',"logprobs":null,"finish_reason":null}]' + self._usage + b"}\n\n"
        self._before_content = self._before + b'{"content":'
        self._after_content = b"}" + self._after

    def role(self) -> bytes:
        """Return the first chunk: the role, and content that is still empty."""
        delta = b'{"role":"assistant","content":"","refusal":null}'
        return self._before + delta + self._after

    def content(self, literal: bytes) -> bytes:
        """Return a chunk whose content is the JSON string literal."""
        return self._before_content + literal + self._after_content

    def finish(self, reason: str) -> bytes:
        """Return the finishing chunk: an empty delta and the reason."""
        end = b'{},"logprobs":null,"finish_reason":' + _encode(reason) + b"}]"
        return self._before + end + self._usage + b"}\n\n"

    def choices(self, literal: bytes) -> bytes:
        """Return a chunk with anything for `choices`."""
        return self._envelope + b',"choices":' + literal + self._usage + b"}\n\n"

    def usage(self, prompt_tokens: int, tokens: int) -> bytes:
        """Return the extra chunk after the finishing one: no choices, the usage."""
        usage = _encode(_usage(prompt_tokens, tokens))
        return self._envelope + b',"choices":[],"usage":' + usage + b"}\n\n"

    def whole(self, pieces: prose.Pieces, reason: str, prompt_tokens: int) -> bytes:
        """Return the answer to a request that does not stream."""
        message = {"role": "assistant", "content": prose.text_of(pieces), "refusal": None}
        return _encode(
            {
                "id": self._id,
                "object": "chat.completion",
                "created": self._created,
                "model": self._model,
                "choices": [
                    {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
                ],
                "usage": _usage(prompt_tokens, len(pieces)),
                "service_tier": "default",
                "system_fingerprint": "fp_simulator",
            }
        )


def error(message: str, kind: str, code: str) -> bytes:
    """Return an error body as the API writes it."""
    return _encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _usage(prompt_tokens: int, tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": prompt_tokens + tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
