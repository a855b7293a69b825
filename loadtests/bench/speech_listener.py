"""One spoken turn as a page meets it: what came when. Imports none of ours."""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

_TERMINAL = frozenset({"turn.completed", "turn.failed", "turn.cancelled", "turn.interrupted"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event and when all of it was there (monotonic seconds)."""

    at: float
    name: str
    seq: int
    data: dict[str, Any]


@dataclass(slots=True)
class Playback:
    """A page that plays what has come, in real time, from the first audio on."""

    ends_at: float | None = None
    total_s: float = 0.0
    gaps_s: list[float] = field(default_factory=list)

    def take(self, at: float, duration_s: float) -> None:
        """Queue audio that arrived at a moment."""
        if self.ends_at is None:
            self.ends_at = at
        self.gaps_s.append(max(0.0, at - self.ends_at))
        self.ends_at = max(at, self.ends_at) + duration_s
        self.total_s += duration_s

    def buffered_s(self, now: float) -> float:
        """Return how much waits to be played."""
        return 0.0 if self.ends_at is None else max(0.0, self.ends_at - now)


@dataclass(slots=True)
class Heard:
    """A turn's events. `faults` says what was wrong with them, in words."""

    arrivals: list[Arrival] = field(default_factory=list)
    played: Playback = field(default_factory=Playback)
    faults: list[str] = field(default_factory=list)

    def take(self, at: float, frame: bytes) -> None:
        """Note a frame that was there at a moment."""
        fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line[1:])
        if b"id" not in fields:
            return  # a heartbeat or a comment
        seq = int(fields[b"id"].rpartition(b"-")[2])
        arrival = Arrival(at, fields[b"event"].decode(), seq, json.loads(fields[b"data"]))
        self.arrivals.append(arrival)
        if arrival.name == "speech.chunk":
            self.played.take(at, arrival.data["duration_s"])

    def named(self, name: str) -> list[Arrival]:
        """Return the events of a name, in order."""
        return [each for each in self.arrivals if each.name == name]


async def listen(
    http: httpx.AsyncClient, message: str, voice: str | None, report_every_s: float | None
) -> Heard:
    """Start a turn, read it to its end, and return what came.

    Args:
        http: A guest's client.
        message: What to ask.
        voice: In which the answer is to be spoken; None: not at all.
        report_every_s: Seconds between two playback reports; None sends none.
    """
    heard = Heard()
    body = {"message": message, "speech": False if voice is None else {"voice": voice}}
    request = http.stream(
        "POST", "/api/v1/turns", json=body, headers={"Accept": "text/event-stream"}
    )
    async with request as answer, anyio.create_task_group() as tasks:
        if not answer.is_success:
            heard.faults.append(f"the start was answered {answer.status_code}")
            return heard
        if report_every_s is not None:
            path = f"/api/v1/turns/{answer.headers['x-turn-id']}/playback"
            tasks.start_soon(_report, http, path, heard.played, report_every_s)
        await _read(answer, heard)
        tasks.cancel_scope.cancel()
    _check(heard, message, is_spoken=voice is not None)
    return heard


async def _report(http: httpx.AsyncClient, path: str, played: Playback, every_s: float) -> None:
    while True:
        buffered_s = played.buffered_s(time.monotonic())
        report = {"played_s": played.total_s - buffered_s, "buffered_s": buffered_s}
        await http.post(path, json=report)
        await anyio.sleep(every_s)


async def _read(answer: httpx.Response, heard: Heard) -> None:
    rest = b""
    async for data in answer.aiter_raw():
        at = time.monotonic()
        *frames, rest = (rest + data).split(b"\n\n")
        for frame in frames:
            heard.take(at, frame)


def _check(heard: Heard, message: str, *, is_spoken: bool) -> None:
    """Note whatever breaks what is promised of order and content."""
    text = "".join(each.data["text"] for each in heard.named("text.delta"))
    sentences = [each.data for each in heard.named("sentence.completed")]
    units = [each.data for each in heard.arrivals if each.name.startswith("speech.")]
    names = [each.name for each in heard.arrivals]
    seqs = [each.seq for each in heard.arrivals]
    promises = {
        "entries are numbered without gaps": seqs == list(range(1, len(seqs) + 1)),
        "one terminal event, the last": [n for n in names if n in _TERMINAL] == names[-1:],
        "it is turn.completed": names[-1:] == ["turn.completed"],
        "the deltas are the text": bool(text) and heard.arrivals[-1].data.get("text") == text,
        "sentences are numbered without gaps": _is_contiguous(sentences),
        "units are numbered without gaps": _is_contiguous(units),
        "sentences stand in the text": all(
            text[one["start"] : one["end"]] == one["text"] for one in sentences
        ),
        "units speak the sentences in order": _is_rising([one["sentence"] for one in units]),
        "every unit is spoken": all("code" not in one for one in units),
        "audio is whole": all(_is_whole(one) for one in units if "code" not in one),
        "it is spoken as asked": bool(units) == bool(sentences) == is_spoken,
    }
    heard.faults += [f"{message} broken: {name}" for name, held in promises.items() if not held]


def _is_contiguous(numbered: list[dict[str, Any]]) -> bool:
    return [one["index"] for one in numbered] == list(range(len(numbered)))


def _is_rising(numbers: list[int]) -> bool:
    return numbers == sorted(numbers)


def _is_whole(unit: dict[str, Any]) -> bool:
    size = len(base64.b64decode(unit.get("data", "")))
    return size > 0 and size == unit["bytes"]
