"""What can go wrong inside a stream: one script per fault, and the list of all faults.

Faults strike after `after` tokens, but for those that say otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from loadtests.llm_simulator import chunks
from loadtests.llm_simulator.scripts import Answer, Ending, Script

_HUGE_BYTES = 20 << 20
_ENDLESS_BYTES = 64 << 20
_BLOCK = b"x" * 65_536


def _ended_by(ending: Ending) -> Callable[[Answer], Script]:
    def script(answer: Answer) -> Script:
        yield from answer.beginning()
        return ending

    return script


def _stall_first(_answer: Answer) -> Script:
    yield 0.0, b"", 0
    return Ending.HANG


def _slowloris(answer: Answer) -> Script:
    yield from answer.beginning()
    for _, frame, tokens in answer.remainder():
        for place in range(len(frame)):
            last = place == len(frame) - 1
            yield answer.options.every_s, frame[place : place + 1], tokens if last else 0
    return Ending.COMPLETE


def _with_frame(frame: Callable[[Answer], bytes]) -> Callable[[Answer], Script]:
    """Return a script that slips one frame in and goes on as if nothing had been."""

    def script(answer: Answer) -> Script:
        yield from answer.beginning()
        yield answer.options.gap_s, frame(answer), 0
        yield from answer.remainder()
        return Ending.COMPLETE

    return script


def _error_frame(answer: Answer) -> Script:
    yield from answer.beginning()
    body = chunks.error("The model is overloaded.", "server_error", "overloaded")
    yield answer.options.gap_s, b"data: " + body + b"\n\n", 0
    return Ending.COMPLETE


def _huge_chunk(answer: Answer) -> Script:
    yield from answer.beginning()
    start, _, end = answer.chunks.content(b'"|"').partition(b"|")
    yield answer.options.gap_s, start, 0
    for block in _blocks(answer.options.size_bytes or _HUGE_BYTES):
        yield 0.0, block, 0
    yield 0.0, end, 1
    yield from answer.remainder()
    return Ending.COMPLETE


def _endless_line(answer: Answer) -> Script:
    yield from answer.beginning()
    yield answer.options.gap_s, b'data: {"choices":[{"index":0,"delta":{"content":"', 0
    for block in _blocks(answer.options.size_bytes or _ENDLESS_BYTES):
        yield 0.0, block, 0
    return Ending.CUT


def _blocks(size: int) -> list[bytes]:
    whole, rest = divmod(size, len(_BLOCK))
    return [_BLOCK] * whole + [_BLOCK[:rest]]


def _after_done(answer: Answer) -> Script:
    yield from answer.beginning()
    yield from answer.remainder()
    yield 0.0, answer.chunks.content(b'" This comes after the end."'), 0
    yield 0.0, b"data: not even JSON\n\n", 0
    return Ending.COMPLETE


def _no_done(answer: Answer) -> Script:
    yield from answer.opening()
    yield from answer.tokens(0)
    yield 0.0, answer.chunks.finish("stop"), 0
    return Ending.COMPLETE


def _odd_framing(answer: Answer) -> Script:
    """All that the event stream format allows, in writes that respect no boundary.

    No `id:`, no event without data: the openai package takes those for broken chunks.
    """
    yield answer.options.ttft_s, b": first a comment\r\n\r\n:\r\n\r\n", 0
    yield 0.0, b"event: ping\r\n" + answer.chunks.choices(b"[]").replace(b"\n", b"\r\n"), 0
    frames = [*answer.tokens(0), *answer.closing()]
    for place, (gap_s, frame, tokens) in enumerate(frames):
        odd = _ODDITIES[place % len(_ODDITIES)](frame)
        half = len(odd) // 2
        yield gap_s, odd[:half], 0
        yield 0.0, odd[half:], tokens
    return Ending.COMPLETE


_ODDITIES: tuple[Callable[[bytes], bytes], ...] = (
    lambda frame: frame.replace(b"\n", b"\r\n"),
    lambda frame: b": a comment\nretry: 1000\n" + frame,
    lambda frame: frame.replace(b"data: ", b"data:", 1),
    lambda frame: b"unknown: field\nanother\n" + frame.replace(b"\n", b"\r"),
    # Between two members of an object JSON allows the line feed that joins two data lines.
    lambda frame: frame.replace(b',"object"', b',\ndata: "object"', 1),
    lambda frame: b"\n\n" + frame + b"\n",
)


def _split_surrogate(answer: Answer) -> Script:
    yield from answer.beginning()
    yield answer.options.gap_s, answer.chunks.content(rb'"\ud83d"'), 1
    yield answer.options.gap_s, answer.chunks.content(rb'"\ude00"'), 1
    yield from answer.remainder()
    return Ending.COMPLETE


def _finished_by(reason: str) -> Callable[[Answer], Script]:
    def script(answer: Answer) -> Script:
        yield from answer.beginning()
        yield from answer.closing(reason, min(answer.options.after, len(answer.pieces)))
        return Ending.COMPLETE

    return script


def _bad_json(answer: Answer) -> bytes:
    return answer.chunks.content(b'"never closed')[:-4] + b"\n\n"


@dataclass(frozen=True, slots=True)
class StreamFault:
    """A fault of the body of a stream that began as it should."""

    about: str
    script: Callable[[Answer], Script]


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """An answer that is not the stream asked for."""

    about: str
    status: int
    body: bytes
    media_type: str = "application/json"


_HTML = b"<!doctype html>\n<title>Welcome</title>\n<p>This is the hotel's Wi-Fi.</p>\n"
_JSON_ERROR = chunks.error("The server had an error.", "server_error", "internal_error")
_LIMITED = chunks.error("Rate limit reached.", "requests", "rate_limit_exceeded")
_KEY = chunks.error("Incorrect API key.", "invalid_request_error", "invalid_api_key")
NO_MODEL = chunks.error("No such model.", "invalid_request_error", "model_not_found")

STREAM_FAULTS: dict[str, StreamFault] = {
    "cut": StreamFault("connection closed in the middle of the body", _ended_by(Ending.CUT)),
    "reset": StreamFault("TCP reset in the middle of the body", _ended_by(Ending.RESET)),
    "truncate": StreamFault(
        "clean end without finish reason or [DONE]", _ended_by(Ending.COMPLETE)
    ),
    "stall-first": StreamFault("headers, then nothing", _stall_first),
    "stall": StreamFault("nothing more, connection stays open", _ended_by(Ending.HANG)),
    "slowloris": StreamFault("one byte every `every` seconds (5)", _slowloris),
    "bad-json": StreamFault("one frame of malformed JSON, then on", _with_frame(_bad_json)),
    "bad-utf8": StreamFault(
        "one frame of invalid UTF-8, then on",
        _with_frame(lambda answer: answer.chunks.content(b'"\xff\xfe\xc3("')),
    ),
    "error-frame": StreamFault('a frame `{"error": …}`, then a clean end', _error_frame),
    "huge-chunk": StreamFault("one delta of `bytes` bytes (20 MiB), then on", _huge_chunk),
    "endless-line": StreamFault("a line of `bytes` bytes (64 MiB), then cut", _endless_line),
    "empty-choices": StreamFault(
        "one chunk with `choices: []`, then on (clients skip it)",
        _with_frame(lambda answer: answer.chunks.choices(b"[]")),
    ),
    "null-choices": StreamFault(
        "one chunk with `choices: null`, then on",
        _with_frame(lambda answer: answer.chunks.choices(b"null")),
    ),
    "after-done": StreamFault("frames after [DONE] (clients ignore them)", _after_done),
    "no-done": StreamFault("finish reason, but no [DONE] (complete all the same)", _no_done),
    "odd-framing": StreamFault(
        "CRLF, CR, comments, unknown events and fields, split data (all valid)", _odd_framing
    ),
    "split-surrogate": StreamFault(
        "an emoji whose surrogate pair lies in two chunks, then on", _split_surrogate
    ),
    "length": StreamFault("finish reason `length`", _finished_by("length")),
    "content-filter": StreamFault("finish reason `content_filter`", _finished_by("content_filter")),
}

WRONG_ANSWERS: dict[str, WrongAnswer] = {
    "html": WrongAnswer("200 with a page of HTML", 200, _HTML, "text/html; charset=utf-8"),
    "error-json": WrongAnswer("200 with an error body", 200, _JSON_ERROR),
    "rate-limit": WrongAnswer("429 with Retry-After (`retry_after`, 1)", 429, _LIMITED),
    "http-401": WrongAnswer("401, wrong key", 401, _KEY),
    "http-404": WrongAnswer("404, no such model", 404, NO_MODEL),
    "http-500": WrongAnswer("500 with an error body", 500, _JSON_ERROR),
    "http-502": WrongAnswer("502 with a page of HTML", 502, _HTML, "text/html; charset=utf-8"),
    "http-503": WrongAnswer("503 with an error body", 503, _JSON_ERROR),
}

# These change how a healthy stream is sent, not the stream.
SENDING_FAULTS = {
    "stall-headers": "request taken, not even headers come",
    "wrong-type": "a healthy stream labelled application/json",
}


def catalogue() -> dict[str, str]:
    """Return every fault with its description, in the order of the documentation."""
    return (
        {name: fault.about for name, fault in STREAM_FAULTS.items()}
        | {name: answer.about for name, answer in WRONG_ANSWERS.items()}
        | SENDING_FAULTS
    )


def models() -> bytes:
    """Return the body of `GET /v1/models`."""
    names = ["sim", *(f"fault:{name}" for name in catalogue())]
    listed = [
        {"id": name, "object": "model", "created": 0, "owned_by": "simulator"} for name in names
    ]
    return msgspec.json.encode({"object": "list", "data": listed})
