"""Answers `POST /v1/moderations`: what names a category is flagged in it.

"This is violence." is flagged as `violence`; a text that names nothing is not flagged. The model's
name chooses pace and faults as for completions; without a name of ours it answers at once.
Source: the OpenAI API reference, moderations.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b

import msgspec

from loadtests.llm_simulator import chunks, faults
from loadtests.llm_simulator.completions import Part, Reply, document
from loadtests.llm_simulator.options import Model, ModelNameError, Options, parse_model
from loadtests.llm_simulator.scripts import Ending, Script
from loadtests.llm_simulator.stats import Stats

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_NAMED = {name: re.compile(rf"(?<![\w/-]){name}(?![\w/-])") for name in CATEGORIES}
_HUGE_BYTES = 20 << 20


class Request(msgspec.Struct):
    """What is read of a request."""

    input: str | list[str | Part]
    model: str = "omni-moderation-latest"


class Moderations:
    """Judges texts."""

    def __init__(self, defaults: Options, stats: Stats) -> None:
        self._defaults = defaults
        self._stats = stats
        self._read = msgspec.json.Decoder(Request).decode

    def reply(self, body: bytes) -> Reply:
        """Return the response to a request body."""
        try:
            request = self._read(body)
            model = parse_model(request.model, self._defaults)
        except (msgspec.DecodeError, UnicodeDecodeError, ModelNameError) as exc:
            message = chunks.error(str(exc), "invalid_request_error", "invalid_request")
            return document(message, 400)
        texts = _texts(request)
        self._stats.moderated += len(texts)
        answer = _answer(model.name, texts)
        seen = blake2b(body, digest_size=16).hexdigest()
        if model.fault is not None and self._stats.meets_fault(
            model.name, seen, model.options.times
        ):
            return _faulty(model, model.fault, answer)
        wait_s = 0.0 if model.options is self._defaults else model.options.ttft_s
        return Reply(_after(wait_s, answer), length=len(answer))


def _texts(request: Request) -> list[str]:
    match request.input:
        case str(text):
            return [text]
        case [Part(), *_] as parts:  # one thing in several parts: one result
            return ["".join(part.text for part in parts if isinstance(part, Part))]
        case texts:
            return [text for text in texts if isinstance(text, str)]


def _answer(model: str, texts: list[str]) -> bytes:
    answer = {
        "id": f"modr-{secrets.token_hex(12)}",
        "model": model,
        "results": [_result(text.lower()) for text in texts],
    }
    return msgspec.json.encode(answer)


def _result(text: str) -> dict[str, object]:
    found = {name: each.search(text) is not None for name, each in _NAMED.items()}
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {name: 0.93 if is_so else 0.0004 for name, is_so in found.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def _faulty(model: Model, fault: str, answer: bytes) -> Reply:
    wrong = faults.WRONG_ANSWERS.get(fault)
    if wrong is not None:
        reply = document(wrong.body, wrong.status, wrong.media_type)
        limited = fault == "rate-limit"
        return replace(reply, retry_after=model.options.retry_after) if limited else reply
    play = _FAULTS.get(fault)
    return document(faults.NO_MODEL, 404) if play is None else play(answer, model.options)


def _after(wait_s: float, body: bytes) -> Script:
    yield wait_s, body, 0
    return Ending.COMPLETE


def _half(body: bytes, ending: Ending) -> Script:
    yield 0.0, body[: len(body) // 2], 0
    return ending


def _huge(size: int) -> Script:
    yield 0.0, b'{"results":[{"flagged":false,"categories":{"', 0
    for _ in range(size // 65_536 + 1):
        yield 0.0, b"x" * 65_536, 0
    yield 0.0, b'":false}}]}', 0
    return Ending.COMPLETE


_FAULTS: dict[str, Callable[[bytes, Options], Reply]] = {
    "stall-headers": lambda _, __: Reply(_half(b"", Ending.HANG), silent=True),
    "stall": lambda answer, _: Reply(_half(answer, Ending.HANG), length=len(answer)),
    "cut": lambda answer, _: Reply(_half(answer, Ending.CUT), length=len(answer)),
    "bad-json": lambda answer, _: document(answer[: len(answer) // 2]),
    "bad-utf8": lambda answer, _: document(answer.replace(b"hate", b"\xff\xfe\xc3(")),
    "huge-chunk": lambda _, options: Reply(_huge(options.size_bytes or _HUGE_BYTES)),
    "wrong-type": lambda answer, _: document(answer, media_type="text/plain"),
}
