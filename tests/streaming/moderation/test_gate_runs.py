"""Moderated turns under all that can happen to them, drawn from a seed.

Time is virtual, so that minutes of checks take milliseconds. `make acceptance` runs 10,000.
"""

import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import anyio

from streaming.beside import gate_of
from streaming.cursor import START
from streaming.errors import SourceTruncatedError
from streaming.event_log.base import EventReader
from streaming.event_log.memory import MemoryEventLog
from streaming.llm.base import Finish, Prompt, PromptMessage
from streaming.moderation.base import Policy
from streaming.moderation.checks import Checks, WhenDown
from streaming.moderation.guarded import ModeratorLimits
from streaming.sentences import Sentence, SentenceSplitter
from streaming.turn import (
    Cancelled,
    Deadlines,
    Failed,
    Finished,
    Interrupted,
    LiveTurn,
    OnBreak,
    TurnSpec,
)
from streaming.writing import TextWriting
from tests.streaming.harness import told
from tests.streaming.moderation.moderators import TardyModerator, checks_of
from tests.support.sources import STOP, a_chain
from tests.support.virtual_time import run_in_virtual_time

TIMEOUT_S = 2.0
PARTS = (
    "The first thing to know is this.", " Readers come back!", " Is that all?", "\n\n", "\n",
    "# A heading\n", "- one\n- two\n", "```py\nprint(1.5)\n```\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    " Dr. Who paid 3.50 for it.", "彼は来た。", " 🦉", "   ", " no end here", "> quoted words.\n",
    " It is BAD.", "```\nBAD\n```\n", " DOWN it is.", "$$x^2$$\n",
)  # fmt: skip
CALM = 15
"""Parts before those that are flagged or cannot be judged."""


@dataclass
class Drawn:
    """What happens in one run."""

    text: str
    policy: Policy
    when_down: WhenDown
    on_break: OnBreak
    max_chars: int
    longest_s: float
    breaks: list[int]
    stop_at_s: float | None
    stop: Cancelled | Interrupted
    streaming: bool


def draw(random_: random.Random) -> Drawn:
    parts = PARTS if random_.random() < 0.6 else PARTS[:CALM]
    text = "".join(random_.choices(parts, k=random_.randint(0, 25)))
    is_stopped = random_.random() < 0.2
    return Drawn(
        text=text,
        policy=random_.choice(["block", "block", "block", "flag"]),
        when_down=random_.choice(["refuse", "allow"]),
        on_break=random_.choice(["continue", "restart", "interrupt"]),
        max_chars=random_.choice([100_000, 100_000, random_.randint(1, len(text) + 50)]),
        longest_s=random_.choice([0.0, 0.5, TIMEOUT_S * 1.3]),
        breaks=sorted(random_.choices(range(len(text) + 1), k=random_.choice([0, 0, 1, 2]))),
        stop_at_s=random_.uniform(0, 8) if is_stopped else None,
        stop=Cancelled("user") if random_.random() < 0.5 else Interrupted("handed_over"),
        streaming=random_.random() < 0.8,
    )


class BreakingSource:
    """Says a text from any prefix on, in pieces of any size, and breaks off where it is told to."""

    default_model = "breaking"

    def __init__(self, random_: random.Random, drawn: Drawn) -> None:
        self._random = random_
        self._text = drawn.text
        self._breaks = list(drawn.breaks)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str | Finish, None]:
        at = len(prompt.prefix)
        stop = self._breaks.pop(0) if self._breaks else None
        while at < len(self._text) and (stop is None or at < stop):
            size = self._random.choice([1, 3, 10, 200])
            yield self._text[at : at + size]
            at += size
            await anyio.sleep(self._random.choice([0.0, 0.0, 0.01, 0.3]))
        if stop is not None:
            raise SourceTruncatedError("cut")
        yield STOP

    async def close(self) -> None:
        """Has nothing to release."""


async def run(random_: random.Random, drawn: Drawn) -> tuple[LiveTurn, TardyModerator]:
    """Run one turn to its end; return it, and who judged it."""
    moderator = TardyModerator(random_, longest_s=drawn.longest_s)
    checks: Checks = checks_of(
        moderator, when_down=drawn.when_down, limits=ModeratorLimits(timeout_s=TIMEOUT_S)
    )
    log = MemoryEventLog(replay_window_s=60, max_bytes=1 << 24, clock=anyio.current_time)
    spec = TurnSpec(
        turn_id="turn_1", owner_id="o", conversation_id="c", message_id="m", chatbot_id="b",
        model="x", prompt=Prompt((PromptMessage("user", "?"),), "x"), streaming=drawn.streaming,
        max_response_chars=drawn.max_chars, received_at=0.0, on_break=drawn.on_break,
        moderation=drawn.policy,
    )  # fmt: skip
    turn = LiveTurn(spec, log.create("turn_1", lambda: None), lambda _: None)
    turn.gate = gate_of(turn, checks)
    assert turn.gate is not None
    source = a_chain(BreakingSource(random_, drawn))
    deadlines = Deadlines(first_token_s=60, inter_token_s=60, turn_s=600)
    with anyio.fail_after(1_000):
        async with anyio.create_task_group() as beside:
            beside.start_soon(turn.gate.run)
            if drawn.stop_at_s is not None:
                beside.start_soon(stop_later, turn, drawn.stop_at_s, drawn.stop)
            await TextWriting(turn, source, deadlines, anyio.current_time).run()
            shown = turn.draft.text
            beside.cancel_scope.deadline = anyio.current_time() + 30
    assert turn.draft.text == shown, "something came out after the end"
    assert readers_text(log.attach("turn_1", START)) == (shown if drawn.streaming else "")
    return turn, moderator


def readers_text(reader: EventReader) -> str:
    """Return what readers have: the deltas after the last reset."""
    text = ""
    for event in told("turn_1", reader.take(1 << 24)):
        text = text + event.data["text"] if event.name == "text.delta" else event.data["text"]
    reader.close()
    return text


async def stop_later(turn: LiveTurn, after_s: float, cause: Cancelled | Interrupted) -> None:
    await anyio.sleep(after_s)
    turn.stop(cause)


def check_blocked(drawn: Drawn, turn: LiveTurn) -> None:
    """Hold a turn under `block` to what it promises."""
    shown, outcome = turn.draft.text, turn.outcome
    is_judged = "DOWN" not in drawn.text and drawn.longest_s < TIMEOUT_S
    if drawn.when_down == "refuse" or is_judged:  # else what nobody judged is let through
        assert "BAD" not in shown
        assert drawn.when_down == "allow" or "DOWN" not in shown
    if drawn.breaks and drawn.on_break == "continue":
        return  # parts that are alike may be taken for a repetition, and be joined as one
    assert drawn.text.startswith(shown)
    ends = [0, *(sentence.end for sentence in cut(drawn.text))]
    is_whole = not drawn.breaks and drawn.max_chars > len(drawn.text)
    match outcome:
        case Finished():
            assert shown == drawn.text or not is_whole
        case Failed(code="content_blocked"):
            assert shown == drawn.text[: len(shown)]
            assert len(shown) in ends
            assert "BAD" in next_sentence(drawn.text, len(shown))
        case Failed(code="moderation_unavailable"):
            assert drawn.when_down == "refuse"
            assert len(shown) in ends
            is_late = drawn.longest_s > TIMEOUT_S
            assert is_late or "DOWN" in drawn.text[len(shown) :]
        case Failed(code=code):
            assert code == "upstream_truncated"
            assert drawn.breaks
        case _:
            assert outcome == drawn.stop
            assert len(shown) in ends or shown == drawn.text


def check_flagged(drawn: Drawn, turn: LiveTurn, moderator: TardyModerator) -> None:
    """Hold a turn under `flag` to what it promises: as without it, and all of it is judged."""
    assert turn.gate is not None
    assert turn.gate.held == ""
    match turn.outcome:
        case Finished() if not drawn.breaks and drawn.max_chars > len(drawn.text):
            assert turn.draft.text == drawn.text
        case Failed(code=code):
            assert code == "upstream_truncated"
        case _:
            pass
    if not drawn.breaks and drawn.longest_s == 0:
        asked = [text for texts in moderator.asked for text in texts]
        wanted = {sentence.text for sentence in cut(turn.draft.text)}
        assert wanted == set(asked)


def cut(text: str) -> list[Sentence]:
    splitter = SentenceSplitter("")
    return [*splitter.push(text), *splitter.flush()]


def next_sentence(text: str, shown: int) -> str:
    return next(sentence.text for sentence in cut(text) if sentence.end > shown)


def test_what_is_shown_ends_before_what_may_not_be_said_whatever_happens(runs: int) -> None:
    for seed in range(runs):
        random_ = random.Random(seed)  # noqa: S311  # reproducible, no secret
        drawn = draw(random_)
        try:
            turn, moderator = run_in_virtual_time(run, random_, drawn)
            if drawn.policy == "block":
                check_blocked(drawn, turn)
            else:
                check_flagged(drawn, turn, moderator)
        except BaseException as error:
            error.add_note(f"seed {seed}: {drawn}")
            raise
