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
    prefix: bool | None = False

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
    continue_final_message: bool = False
    add_generation_prompt: bool = True


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that the request goes on with, as it was asked: `quoted` is to be said again."""

    said: str
    style: str
    quoted: str = ""


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
            asked = _Asked(request, parse_model(request.model, self._defaults))
        except (msgspec.DecodeError, UnicodeDecodeError, ModelNameError, BegunError) as exc:
            message = chunks.error(str(exc), "invalid_request_error", "invalid_request")
            return document(message, 400), None
        model = asked.model
        record = asked.record(self._stats.requests + 1)
        self._stats.open(record)
        spared = asked.begun is not None and model.options.first
        if (
            model.fault is None
            or spared
            or not self._stats.meets_fault(model.name, asked.prompt, model.options.times)
        ):
            return _healthy(asked), record
        return _faulty(asked, model.fault, record), record


class BegunError(ValueError):
    """A request asks to go on with an answer in a way that servers refuse; the text says why."""


class _Asked:
    """A request, understood: what to say and what was said before."""

    def __init__(self, request: Request, model: Model) -> None:
        messages, options = request.messages, model.options
        self.begun, answered = _begun(request)
        self.stream = bool(request.stream)
        self.options = options
        self.roles = [message.role for message in messages[-20:]]
        self.prompt = _digest(answered)
        self.prompt_tokens = sum(len(message.text) // 4 + 4 for message in messages)
        self.model = model
        usage = bool(request.stream_options and request.stream_options.include_usage)
        pieces = _pieces(answered, options, self.begun)
        limit = request.max_completion_tokens or request.max_tokens
        self.reason = "length" if limit and limit < len(pieces) else "stop"
        self.answer = scripts.Answer(
            chunks.Chunks(model.name, usage=usage),
            pieces[:limit] if limit else pieces,
            options,
            self.prompt_tokens,
        )

    def record(self, number: int) -> Record:
        return Record(
            number,
            self.model.name,
            self.stream,
            self.roles,
            self.prompt_tokens,
            continued=self.begun is not None,
            style=self.begun.style if self.begun else "",
        )


def _begun(request: Request) -> tuple[Begun | None, list[Message]]:
    """Return the answer to go on with, if there is one, and the messages that it answers."""
    messages = request.messages
    last = messages[-1] if messages else Message("")
    if request.continue_final_message:
        if request.add_generation_prompt:
            raise BegunError("continue_final_message and add_generation_prompt exclude each other")
        if last.role != "assistant" or last.text != last.text.rstrip():
            raise BegunError("continue_final_message needs an assistant's text without blank end")
        return Begun(last.text, "continue_final_message"), messages[:-1]
    if last.role == "assistant" and last.text:
        return Begun(last.text, "prefix" if last.prefix else "last_message"), messages[:-1]
    if last.role == "user" and [message.role for message in messages[-2:-1]] == ["assistant"]:
        said, quoted = messages[-2].text, last.text.partition("\n\n")[2]
        if quoted and said.endswith(quoted):
            return Begun(said, "plain", quoted), messages[:-2]
    return None, messages


def _pieces(answered: list[Message], options: Options, begun: Begun | None) -> prose.Pieces:
    message = next((each.text for each in reversed(answered) if each.role == "user"), "")
    starts_over = begun is not None and options.continues == "anew"
    pieces = prose.answer(options.seed + starts_over, message, options.tokens)
    if options.mark:
        pieces = prose.marked(pieces)
    if begun is None or starts_over:
        return pieces
    return prose.continuation(
        pieces, begun.said, options.continues, quoted=begun.quoted, repeats=options.repeats
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
