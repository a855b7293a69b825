"""Turns as a user has them: streamed, whole, resumed, stopped, spoken."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from uuid import uuid4

from operations.findings import Finding, ok, skip
from operations.smoke.caller import TERMINAL, Caller, Event, SmokeError

QUESTION = "How do I resume a stream?"
STREAM = {"Accept": "text/event-stream"}
CUT_AFTER = 5
"""Events that are read before the connection is cut."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one streamed turn: milliseconds to the first word, and between its pieces of text."""

    ttft_ms: float
    gaps_ms: Sequence[float]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all streamed turns together."""

    turns: int
    ttft_p50_ms: float
    ttft_p95_ms: float
    gap_p50_ms: float
    gap_p95_ms: float


def streamed(caller: Caller) -> tuple[Finding, Timing | None]:
    """Read a turn's events as they come; on the off arm the whole answer.

    Raises:
        SmokeError: there is a gap, another end than one, or another text than what is stored.
    """
    began_at = time.monotonic()
    with caller.stream("POST", "/turns", json={"message": QUESTION}, headers=STREAM) as opened:
        answer, events = opened
        if answer.status_code != 200:  # noqa: PLR2004  # the protocol's own
            answer.read()
            raise SmokeError(f"a start answered {answer.status_code}")
        if answer.headers.get("X-Streaming") == "off":
            answer.read()
            return whole(answer.json()), None
        told = answer.headers["Content-Type"]
        if "Content-Encoding" in answer.headers:
            raise SmokeError("the stream is compressed: events come in lumps; turn that off")
        got = [event for event in events if event.name != "heartbeat"]
    if not told.startswith("text/event-stream"):
        raise SmokeError(f"the stream is {told}")
    text = checked(got)
    _is_stored(caller, got, text)
    said = f"{len(got)} events, no gap, {len(text)} characters as stored"
    return ok("a streamed turn", said), timed(got, began_at)


def whole(state: dict[str, object]) -> Finding:
    """Judge the answer of the off arm.

    Raises:
        SmokeError: it is no completed turn.
    """
    if state.get("status") != "completed" or not state.get("text"):
        raise SmokeError(f"the off arm answered a turn that is {state.get('status')}")
    return ok("a whole answer", f"{len(str(state['text']))} characters, off arm")


def timed(events: Sequence[Event], began_at: float) -> Timing:
    """Return how soon the first text came, and how far the pieces lay apart."""
    times = [event.at for event in events if event.name == "text.delta"]
    if not times:
        raise SmokeError("the turn has no text")
    gaps = [(after - before) * 1000 for before, after in pairwise(times)]
    return Timing((times[0] - began_at) * 1000, gaps)


def measured(timings: Sequence[Timing]) -> Figures:
    """Return the figures of some turns, one at least."""
    first = [timing.ttft_ms for timing in timings]
    gaps = [gap for timing in timings for gap in timing.gaps_ms]
    return Figures(
        len(timings),
        quantile(first, 0.5),
        quantile(first, 0.95),
        quantile(gaps, 0.5),
        quantile(gaps, 0.95),
    )


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value that a share `q` of all does not exceed, to a tenth; 0 of none."""
    if not values:
        return 0.0
    return round(sorted(values)[math.ceil(q * len(values)) - 1], 1)


def checked(events: Sequence[Event], *, after: int = 0, shown: str = "") -> str:
    """Return the text of a turn's events; `after` is the last seq that was had before.

    Raises:
        SmokeError: a seq is missing or comes twice, or the end is not one good end.
    """
    text = shown
    for number, event in enumerate(events, after + 1):
        if int(event.event_id.rpartition("-")[2]) != number:
            raise SmokeError(f"event {event.event_id} came where seq {number} was due")
        if event.name == "turn.reset":
            text = event.data["text"]
        elif event.name == "text.delta":
            text += event.data["text"]
    ends = [event for event in events if event.name in TERMINAL]
    if len(ends) != 1 or ends[0] is not events[-1]:
        raise SmokeError(f"the turn has {len(ends)} ends")
    if ends[0].name != "turn.completed":
        raise SmokeError(f"the turn ended with {ends[0].name}: {ends[0].data.get('code', '')}")
    if ends[0].data["text"] != text:
        raise SmokeError("the pieces are not the text of the end")
    return text


def resumed(caller: Caller) -> Finding:
    """Cut a stream in the middle and ask for the rest: exactly that has to come."""
    started = caller.start(QUESTION)
    path = f"/turns/{started['turn_id']}/events"
    had: list[Event] = []
    with caller.stream("GET", path) as (_, events):
        for event in events:
            if event.event_id:
                had.append(event)
            if len(had) == CUT_AFTER:
                break
    cursor = had[-1].event_id
    with caller.stream("GET", path, headers={"Last-Event-ID": cursor}) as (_, events):
        rest = [event for event in events if event.event_id]
    text = checked([*had, *rest])
    _is_stored(caller, rest, text)
    return ok("resume after a cut", f"{len(had)} events, then the other {len(rest)}")


def cancelled(caller: Caller) -> Finding:
    """Stop a turn in the middle: the text ends where it was seen to end.

    A turn that was faster stays as it ended.
    """
    started = caller.start(QUESTION)
    path = f"/turns/{started['turn_id']}"
    with caller.stream("GET", f"{path}/events") as (_, events):
        seen = next(event for event in events if event.name == "text.delta")
        state = caller.post(f"{path}/cancel", {"seen": seen.event_id}, expect=200).json()
        end = next(event for event in events if event.name in TERMINAL)
    if state["status"] not in {"cancelled", "completed"}:
        raise SmokeError(f"a stopped turn is {state['status']}")
    if state["status"] == "cancelled" and end.data["text"] != state["text"]:
        raise SmokeError("the stream ended with another text than the turn has")
    return ok("stop", f"{state['status']} after {len(state['text'])} characters")


def repeated(caller: Caller) -> Finding:
    """Start twice with one key: one turn; with another body a conflict."""
    key = {"Idempotency-Key": uuid4().hex}
    body = {"message": QUESTION}
    first = caller.call("POST", "/turns", expect=201, json=body, headers=key)
    again = caller.call("POST", "/turns", expect=201, json=body, headers=key)
    if first.headers["X-Turn-ID"] != again.headers["X-Turn-ID"]:
        raise SmokeError("one Idempotency-Key made two turns")
    other = {"message": "Something else"}
    caller.call("POST", "/turns", expect=409, json=other, headers=key)
    return ok("a repeated start", "one turn; with another body 409")


def spoken(caller: Caller) -> Finding:
    """Have an answer spoken and fetch its first audio, where the service has an engine."""
    told = caller.get("/speech/voices", expect=200).json()
    if told["engine"] in {None, "off", "silent"}:
        return skip("speech", "the service has no engine")
    started = caller.start("Say hello.", speech={"audio": "url"})
    path = f"/turns/{started['turn_id']}/events"
    with caller.stream("GET", path) as (_, events):
        chunks = [event for event in _to_the_end(events) if event.name == "speech.chunk"]
    if not chunks:
        raise SmokeError(f"{told['engine']} said nothing")
    audio = caller.get(f"/speech/{chunks[0].data['audio_id']}", expect=200)
    seconds = sum(chunk.data["duration_s"] for chunk in chunks)
    return ok(
        "speech",
        f"{told['engine']}: {len(chunks)} units, {seconds:.1f} s, {len(audio.content)} bytes first",
    )


def _to_the_end(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield event
        if event.name in TERMINAL:
            return


def _is_stored(caller: Caller, events: Sequence[Event], text: str) -> None:
    """Compare with what the history has.

    Raises:
        SmokeError: it has another text, or none.
    """
    end = events[-1]
    turn_id = end.event_id.partition(".")[0]
    state = caller.get(f"/turns/{turn_id}", expect=200).json()
    page = caller.get(f"/conversations/{state['conversation_id']}/messages", expect=200).json()
    stored = {message["message_id"]: message["text"] for message in page["messages"]}
    if stored.get(end.data["message_id"]) != text:
        raise SmokeError("the stored message is another than what was streamed")
