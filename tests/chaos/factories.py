"""Histories of a service that keeps its promises, made up from a seed; and ways to spoil them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from tests.chaos.records import LOST, Details, Op, Operation, digest_of
from tests.chaos.view import BREAKS_OFF

_WORDS = ["stream ", "Wörter ", "流式 ", "\n\n", "and ", "🙂", "so on. ", "e.g. "]
_END = {
    "completed": "turn.completed",
    "failed": "turn.failed",
    "cancelled": "turn.cancelled",
    "interrupted": "turn.interrupted",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a made-up log."""

    at: float
    epoch: int
    seq: int
    name: str
    text: str = ""


@dataclass
class Story:
    """A made-up history while it grows."""

    random: random.Random
    operations: list[Operation] = field(default_factory=list)

    def tell(self, at: float, process: str, op: Op, **details: object) -> None:
        """Add an operation."""
        fields: Details = details  # type: ignore[assignment]  # checked by `Operation`
        self.operations.append(Operation(t_mono=at, process=process, op=op, **fields))


def good_history(seed: int, *, turns: int = 4) -> list[Operation]:
    """Return the history of some turns, with killed workers and readers that come and go."""
    story = Story(random.Random(seed))  # noqa: S311  # which history, no secret
    calls = 0
    for number in range(turns):
        calls += _tell_turn(story, f"turn_{number}", at=10.0 * number)
    story.tell(999.0, "model", "calls", seq=calls)
    story.operations.sort(key=lambda each: each.t_mono)
    return story.operations


def _tell_turn(story: Story, turn: str, *, at: float) -> int:
    rng = story.random
    epochs, key = rng.randint(1, 3), f"key {turn}"
    log, status, whole = _log(rng, at, epochs)
    chatbot = f"{BREAKS_OFF}-once" if rng.random() < 0.3 else "plain"
    for attempt in range(rng.randint(1, 2)):
        result = "info" if attempt and rng.random() < 0.5 else "ok"
        story.tell(
            at + 0.1 * attempt,
            f"client {attempt}",
            "post",
            result=result,
            turn=turn if result == "ok" else "",
            key=key,
            name=chatbot,
            text=whole if chatbot == "plain" else "",
            status=201 if result == "ok" else 0,
            took_s=0.05,
        )
    for epoch in range(1, epochs + 1):
        began = next(entry.at for entry in log if entry.epoch == epoch)
        worker = f"worker {epoch % 2}"
        story.tell(began, "redis", "lease", turn=turn, epoch=epoch, worker=worker)
        if rng.random() < 0.2:  # Redis loses everything, and is told again
            story.tell(began + 0.001, "redis", "lease", name=LOST)
            story.tell(began + 0.002, "redis", "lease", turn=turn, epoch=epoch, worker=worker)
    for epoch in range(2, epochs + 1):
        born = next(entry.at for entry in log if entry.epoch == epoch)
        story.tell(born - 4.0, "nemesis", "fault", name="kill", worker=f"worker {(epoch - 1) % 2}")
    for reader in range(rng.randint(1, 4)):
        _tell_reader(story, turn, f"{turn} reader {reader}", log)
    stored = log[-1]
    story.tell(900, "store", "message", key=key, turn=turn)
    story.tell(
        900,
        "store",
        "turn",
        turn=turn,
        name=status,
        text=stored.text,
        epoch=stored.epoch,
        seq=stored.seq,
    )
    story.tell(901, "client 0", "state", turn=turn, name=status, status=200)
    return epochs + (1 if chatbot != "plain" and rng.random() < 0.5 else 0)


def _log(rng: random.Random, at: float, epochs: int) -> tuple[list[Entry], str, str]:
    """Return a turn's entries, how it ended, and what its whole answer would have been."""
    log = [Entry(at, 1, 1, "turn.started")]
    text = ""
    for epoch in range(1, epochs + 1):
        at += 5.0 if epoch > 1 else 0.0
        for _ in range(rng.randint(2, 12)):
            at += rng.uniform(0.01, 0.1)
            word = rng.choice(_WORDS)
            text += word
            log.append(Entry(at, epoch, len(log) + 1, "text.delta", word))
    status = rng.choice(["completed", "completed", "failed", "cancelled", "interrupted"])
    whole = text if status == "completed" else text + "and more"
    if status == "cancelled":
        text = text[: rng.randint(0, len(text))]
    if status == "completed":
        log.append(Entry(at, epochs, len(log) + 1, "text.done", text))
    log.append(Entry(at, epochs, len(log) + 1, _END[status], text))
    return log, status, whole


def _tell_reader(story: Story, turn: str, name: str, log: list[Entry]) -> None:
    """Let a reader follow a log; now and then it is cut, and comes back, or is reset once."""
    rng = story.random
    at, cursor = log[0].at, (0, 0)
    resets = 0
    story.tell(at, name, "open", turn=turn, status=200)
    for place, entry in enumerate(log):
        at = max(at, entry.at) + 0.001
        if rng.random() < 0.1 and place:
            story.tell(at, name, "close", turn=turn, name="cut")
            epoch, seq = cursor
            story.tell(at, name, "open", turn=turn, epoch=epoch, seq=seq, status=200)
            before = log[place - 1]
            if resets < entry.epoch - 1 and rng.random() < 0.5:  # one for each killed worker
                resets += 1
                text = "".join(e.text for e in log[:place] if e.name == "text.delta")
                _tell_event(story, name, turn, Entry(at, *cursor_of(before), "turn.reset", text))
        _tell_event(story, name, turn, Entry(at, *cursor_of(entry), entry.name, entry.text))
        cursor = cursor_of(entry)


def cursor_of(entry: Entry) -> tuple[int, int]:
    """Return where an entry stands."""
    return entry.epoch, entry.seq


def _tell_event(story: Story, name: str, turn: str, entry: Entry) -> None:
    data = msgspec.json.encode({"text": entry.text}).decode()
    story.tell(
        entry.at,
        name,
        "event",
        turn=turn,
        epoch=entry.epoch,
        seq=entry.seq,
        name=entry.name,
        text=entry.text if entry.name != "text.done" else "",
        digest=digest_of(entry.name, data),
    )


def places(history: list[Operation], claim: Callable[[Operation], bool]) -> list[int]:
    """Return where in a history operations are of which something is true."""
    return [place for place, each in enumerate(history) if claim(each)]


def changed(history: list[Operation], place: int, **changes: object) -> list[Operation]:
    """Return a history with one operation changed."""
    spoiled = list(history)
    spoiled[place] = msgspec.structs.replace(history[place], **changes)
    return spoiled
