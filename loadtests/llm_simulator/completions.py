"""From a request for a completion to what is played: reads the body, picks script or refusal."""

from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

from loadtests.llm_simulator import chunks, faults, prose, scripts
from loadtests.llm_simulator.options import Model, ModelNameError, Options, parse_model
from loadtests.llm_simulator.scripts import Script
from loadtests.llm_simulator.stats import Record, Stats

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"


class Part(msgspec.Struct):
    """One part of a message's content."""

    text: str = ""


class Message(msgspec.Struct):
    """One message of the prompt."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """The message's text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or ())


class StreamOptions(msgspec.Struct):
    """The request's `stream_options`."""

    include_usage: bool = False


class Request(msgspec.Struct):
    """What is read of a request; the rest is accepted and ignored."""

    model: str
    messages: list[Message]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: its head, and the script that is its body. `length` None: chunked."""

    script: Script
    status: int = 200
    media_type: str = JSON
    length: int | None = None
    retry_after: str | None = None
    silent: bool = False  # not even a head is sent


def document(body: bytes, status: int = 200, media_type: str = JSON) -> Reply:
    """Return a response that is there at once."""
    return Reply(scripts.at_once(body), status, media_type, len(body))


class Completions:
    """Answers `POST /v1/chat/completions`."""

    def __init__(self, defaults: Options, stats: Stats) -> None:
        self._defaults = defaults
        self._stats = stats
        self._read = msgspec.json.Decoder(Request).decode

    def reply(self, body: bytes) -> tuple[Reply, Record | None]:
        """Return the response to a request body, and its record where it was a valid one."""
        try:
            request = self._read(body)
            model = parse_model(request.model, self._defaults)
        except (msgspec.DecodeError, UnicodeDecodeError, ModelNameError) as exc:
            message = chunks.error(str(exc), "invalid_request_error", "invalid_request")
            return document(message, 400), None
        asked = _Asked(request, model)
        record = asked.record(self._stats.requests + 1)
        self._stats.open(record)
        if model.fault is None or not self._stats.meets_fault(
            model.name, asked.prompt, model.options.times
        ):
            return _healthy(asked), record
        return _faulty(asked, model.fault, record), record


class _Asked:
    """A request, understood: what to say and what was said before."""

    def __init__(self, request: Request, model: Model) -> None:
        messages = request.messages
        prefill = messages[-1].text if messages and messages[-1].role == "assistant" else ""
        self.stream = bool(request.stream)
        self.options = model.options
        self.roles = [message.role for message in messages[-20:]]
        self.prompt = _digest(messages[:-1] if prefill else messages)
        self.prompt_tokens = sum(len(message.text) // 4 + 4 for message in messages)
        self.continued = bool(prefill)
        self.model = model.name
        usage = bool(request.stream_options and request.stream_options.include_usage)
        pieces = prose.answer(model.options.seed, self.prompt, model.options.tokens)
        pieces = prose.continuation(prose.marked(pieces) if model.options.mark else pieces, prefill)
        limit = request.max_completion_tokens or request.max_tokens
        self.reason = "length" if limit and limit < len(pieces) else "stop"
        self.answer = scripts.Answer(
            chunks.Chunks(model.name, usage=usage),
            pieces[:limit] if limit else pieces,
            model.options,
            self.prompt_tokens,
        )

    def record(self, number: int) -> Record:
        return Record(
            number, self.model, self.stream, self.roles, self.prompt_tokens, self.continued
        )


def _digest(messages: list[Message]) -> str:
    whole = "\0".join(f"{message.role}\0{message.text}" for message in messages)
    return blake2b(whole.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _healthy(asked: _Asked) -> Reply:
    answer = asked.answer
    if asked.stream:
        return Reply(scripts.chat(answer, asked.reason), media_type=EVENT_STREAM)
    body = answer.chunks.whole(answer.pieces, asked.reason, asked.prompt_tokens)
    return Reply(scripts.document(answer, body), length=len(body))


def _faulty(asked: _Asked, fault: str, record: Record) -> Reply:
    wrong = faults.WRONG_ANSWERS.get(fault)
    if wrong is not None:
        record.state = "refused"
        reply = document(wrong.body, wrong.status, wrong.media_type)
        limited = fault == "rate-limit"
        return replace(reply, retry_after=asked.options.retry_after) if limited else reply
    if fault == "wrong-type":
        return replace(_healthy(asked), media_type=JSON)
    if fault == "stall-headers":
        return Reply(faults.STREAM_FAULTS["stall-first"].script(asked.answer), silent=True)
    known = faults.STREAM_FAULTS.get(fault)
    if known is None:
        record.state = "refused"
        return document(faults.NO_MODEL, 404)
    if not asked.stream:
        return _healthy(asked)
    return Reply(known.script(asked.answer), media_type=EVENT_STREAM)
