"""What must be true of every history, whatever was done to the workers. Pure functions.

Each yields what breaks it, as a sentence for whoever looks for the fault; `judge` asks them all.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.records import LEFT, LOST, TERMINAL, Operation
from tests.chaos.view import BREAKS_OFF, ReaderView, View

ATTACH_ANSWERS = frozenset({200, 204, 400, 401})
"""Anything else ends an EventSource for good; 404 cannot be: every turn was acknowledged."""

SERVER_ERROR = 500
_UNSTREAMED_END = 2
_STATUS = {
    "turn.completed": "completed",
    "turn.failed": "failed",
    "turn.cancelled": "cancelled",
    "turn.interrupted": "interrupted",
}
Broken = Iterator[str]


def no_gap_no_repeat(view: View) -> Broken:
    """A reader gets the entry after its cursor, or a reset, which moves the cursor."""
    for reader in view.readers:
        epoch, seq = 0, 0
        for event in reader.entries:
            is_next = event.seq == seq + 1 and event.epoch >= epoch
            if not is_next and event.name != "turn.reset":
                yield f"{_at(event)} came after {epoch}-{seq}"
            epoch, seq = event.epoch, event.seq


def opens_where_it_was(view: View) -> Broken:
    """A reader comes back with the cursor that it has: else the others would prove nothing."""
    for reader in view.readers:
        place = (0, 0)
        for each in reader.operations:
            if each.op == "open" and (each.epoch, each.seq) != place:
                yield f"{_at(each)} opened, but its cursor was {place[0]}-{place[1]}"
            if each.op == "event" and each.seq:
                place = (each.epoch, each.seq)


def shown_is_stored(view: View) -> Broken:
    """What a reader shows begins the stored text, and is all of it at the end."""
    for reader in view.readers:
        stored = view.stored.get(reader.turn)
        if stored is None:
            continue
        shown = shown_text(reader)
        is_right = shown == stored.text if reader.ends else _begins(shown, stored)
        if not is_right:
            yield f"{reader.name} shows {_differ(shown, stored.text)} of {reader.turn}"


def readers_agree(view: View) -> Broken:
    """An entry is the same for everybody who gets it."""
    seen: dict[tuple[str, int, int], Operation] = {}
    for reader in view.readers:
        for event in reader.entries:
            if event.name == "turn.reset":  # its id is that of the entry it covers
                continue
            other = seen.setdefault((event.turn, event.epoch, event.seq), event)
            if other.digest != event.digest:
                yield f"{_at(event)} {event.name} is another entry for {other.process}"


def one_end(view: View) -> Broken:
    """A turn ends once, for everybody in the same way, and as it is stored."""
    for turn, stored in view.stored.items():
        if stored.name not in _STATUS.values():
            yield f"{turn} is stored as {stored.name}"
    for reader in view.readers:
        if len(reader.ends) > 1:
            yield f"{reader.name} was told {len(reader.ends)} ends of {reader.turn}"
        for end in reader.ends:
            ended = view.stored.get(reader.turn)
            if ended is not None and (_STATUS[end.name], end.text) != (ended.name, ended.text):
                yield f"{_at(end)} was told {end.name}, other than is stored: {ended.name}"


def everybody_is_told(view: View) -> Broken:
    """Who stays to the end is told it."""
    for reader in view.readers:
        has_left = any(each.op == "close" and each.name == LEFT for each in reader.operations)
        if not reader.ends and not has_left:
            yield f"{reader.name} was never told the end of {reader.turn}"


def nothing_after_the_end(view: View) -> Broken:
    """No entry follows a terminal one."""
    for reader in view.readers:
        is_ended = False
        for event in reader.entries:
            if is_ended:
                yield f"{_at(event)} {event.name} came after the end"
            is_ended = is_ended or event.name in TERMINAL


def acknowledged_is_stored(view: View) -> Broken:
    """A turn that was acknowledged has a record and the user's message; one for each key."""
    asked = {each.key for each in view.messages}
    turns: dict[str, str] = {}
    for post in view.posts:
        if post.result != "ok":
            continue
        if post.turn not in view.stored:
            yield f"{post.turn} was acknowledged to {post.process} and is not stored"
        if post.key not in asked:
            yield f"the message of {post.turn} is not stored"
        if turns.setdefault(post.key, post.turn) != post.turn:
            yield f"key {post.key} made {turns[post.key]} and {post.turn}"


def no_message_twice(view: View) -> Broken:
    """However often a message is sent with its key, it is stored once, and one turn answers it."""
    for key, count in Counter(each.key for each in view.messages).items():
        if count > 1:
            yield f"the message of key {key} is stored {count} times"


def refused_is_not_stored(view: View) -> Broken:
    """What was surely refused, and never accepted, has left nothing."""
    accepted = {each.key for each in view.posts if each.result != "fail"}
    stored = {each.key for each in view.messages}
    for post in view.posts:
        if post.result == "fail" and post.key in stored - accepted:
            yield f"key {post.key} was refused with {post.status} and is stored"


def upstream_calls(view: View) -> Broken:
    """The model is asked once a turn, and once more for each takeover or break."""
    breaking = {each.turn for each in view.posts if each.name.startswith(BREAKS_OFF)}
    allowed = sum(turn.epoch * (2 if turn.turn in breaking else 1) for turn in view.stored.values())
    allowed += sum(each.seq for each in view.faults if each.name.startswith("upstream"))
    for calls in view.calls:
        if calls.seq > allowed:
            yield f"the model was asked {calls.seq} times; {allowed} are accounted for"


def one_producer(view: View) -> Broken:
    """An epoch of a turn has one worker that writes in it."""
    writers: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for lease in view.leases:
        if lease.name != LOST:
            writers[lease.turn, lease.epoch].add(lease.worker)
    for (turn, epoch), workers in writers.items():
        if len(workers) > 1:
            yield f"{turn} was written in epoch {epoch} by {' and '.join(sorted(workers))}"


def fenced_off(view: View) -> Broken:
    """Nobody writes in an epoch once a later one has begun, as long as Redis remembers it."""
    latest: dict[str, int] = {}
    for lease in view.leases:
        if lease.name == LOST:
            latest.clear()
        elif lease.epoch < latest.get(lease.turn, 0):
            yield f"{lease.worker} wrote {lease.turn} in epoch {lease.epoch} after a later one"
        else:
            latest[lease.turn] = lease.epoch


def few_resets(view: View) -> Broken:
    """A fault costs a reader one reset at the most; who comes later may be told of each, too."""
    for reader in view.readers:
        if not (resets := reader.resets):
            continue
        faults = view.faults_within(view.began[reader.turn], resets[-1].t_mono)
        if len(resets) > len(faults):
            yield (
                f"{reader.name} was reset {len(resets)} times in {reader.turn}"
                f" while {len(faults)} faults were at work"
            )


def whole_answers(view: View) -> Broken:
    """A completed answer is what the model says: at no joint is anything lost or doubled."""
    for post in view.posts:
        stored = view.stored.get(post.turn)
        if stored is None or not post.text or stored.name != "completed":
            continue
        if stored.text != post.text:
            yield f"{post.turn} is stored as {_differ(stored.text, post.text)} of the answer"


def answers_are_honest(view: View) -> Broken:
    """Nothing is answered with 500; attaching only with what an EventSource survives."""
    for each in [*view.posts, *view.states]:
        if each.status == SERVER_ERROR:
            yield f"{each.process} got {each.status} for {each.op} of {each.turn or each.key}"
    for each in view.opens:
        if each.status and each.status not in ATTACH_ANSWERS:
            yield f"{each.process} got {each.status} when it attached to {each.turn}"


def ends_are_final(view: View) -> Broken:
    """Once a turn is told to have ended it has, and in that way."""
    for each in view.states:
        stored = view.stored.get(each.turn)
        if each.name in {"", "running"} or stored is None:
            continue
        if each.name != stored.name:
            yield f"{each.turn} was {each.name} for {each.process}; it is stored as {stored.name}"


def in_time(view: View) -> Broken:
    """Nobody waits longer than the bounds, beside the time in which a fault was at work."""
    for post in view.posts:
        began = post.t_mono - post.took_s
        if post.took_s - view.excused_s(began, post.t_mono) > view.bounds.post_s:
            yield f"{post.process} waited {post.took_s:.1f} s for its turn {post.turn}"
    for reader in view.readers:
        for began, ended in reader.pauses():
            waited_s, bound_s = ended - began, view.bounds.pause_s
            if waited_s > bound_s and waited_s - view.excused_s(began, ended) > bound_s:
                yield f"{reader.name} heard nothing of {reader.turn} for {waited_s:.1f} s"


INVARIANTS: dict[str, Callable[[View], Broken]] = {
    check.__name__: check
    for check in (
        opens_where_it_was,
        no_gap_no_repeat,
        nothing_after_the_end,
        readers_agree,
        one_end,
        everybody_is_told,
        shown_is_stored,
        whole_answers,
        acknowledged_is_stored,
        no_message_twice,
        refused_is_not_stored,
        one_producer,
        fenced_off,
        upstream_calls,
        few_resets,
        answers_are_honest,
        ends_are_final,
        in_time,
    )
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken invariant."""

    invariant: str
    detail: str


def judge(view: View) -> list[Finding]:
    """Return everything that breaks an invariant, in the invariants' order."""
    return [Finding(name, detail) for name, check in INVARIANTS.items() for detail in check(view)]


def shown_text(reader: ReaderView) -> str:
    """Return what a reader shows: the text of its last reset, and the deltas after it.

    Where nothing was streamed (the log is a beginning and an end) it is the text of the end.
    """
    pieces: list[str] = []
    for event in reader.entries:
        is_whole = event.name in TERMINAL and event.seq == _UNSTREAMED_END
        if is_whole or event.name in {"turn.reset", "turn.cancelled"}:
            pieces = [event.text]
        elif event.name == "text.delta":
            pieces.append(event.text)
    return "".join(pieces)


def _begins(shown: str, stored: Operation) -> bool:
    """Whether a text is as much of the stored one as had come; a cancelled one may be shorter."""
    if stored.text.startswith(shown):
        return True
    return stored.name == "cancelled" and shown.startswith(stored.text)


def _differ(text: str, other: str) -> str:
    pairs = enumerate(zip(text, other, strict=False))
    place = next((n for n, (a, b) in pairs if a != b), min(len(text), len(other)))
    return (
        f"{len(text)} of {len(other)} characters, from {place} on"
        f" {text[place : place + 20]!r} instead of {other[place : place + 20]!r},"
    )


def _at(event: Operation) -> str:
    return f"{event.process}, {event.turn} {event.epoch}-{event.seq}:"
